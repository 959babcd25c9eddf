# SPDX-License-Identifier: GPL-3.0-or-later
"""Every route and everybody: nobody, another user, the owner, the owner of its domain, an administrator, against this
table.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import pytest
from support.browser.portal import Browser, Page
from support.clients.dyndns import new_label
from support.servers.service import Service

from ddnsd.web.portal.app import MODULES

OPEN = "open to everybody"
USERS = "for whoever has signed in"
NAMED = "not there, since the service's URL has an IP address"
LOCAL = "for users who have signed in, and have a password"
OWNERS = "for its owner, and administrators, who read whose it is"
OVERSEEN = "for its owner, the owner of its domain, and administrators"
BLOCKING = "for the owner of its domain, and administrators"
OWN = "for its owner alone"
ADMINS = "for administrators"

TABLE = {
    "GET /": OPEN,
    "GET /report-abuse": OPEN,
    "POST /report-abuse": OPEN,
    "GET /report-abuse/sent": OPEN,
    "GET /admin/abuse": ADMINS,
    "GET /admin/abuse/{report}": ADMINS,
    "POST /admin/abuse/{report}/block": ADMINS,
    "POST /admin/abuse/{report}/quarantine": ADMINS,
    "POST /admin/abuse/{report}/dismiss": ADMINS,
    "GET /hosts": USERS,
    "GET /hosts/new": USERS,
    "POST /hosts/new": USERS,
    "GET /hosts/check": USERS,
    "GET /hosts/{fqdn}": OVERSEEN,
    "GET /hosts/{fqdn}/history": OWNERS,
    "GET /hosts/{fqdn}/related": OWNERS,
    "POST /hosts/{fqdn}/related": OWNERS,
    "POST /hosts/{fqdn}/related/{label}/remove": OWNERS,
    "GET /hosts/{fqdn}/records": OWNERS,
    "POST /hosts/{fqdn}/records": OWNERS,
    "POST /hosts/{fqdn}/records/{prefix}/{rtype}/remove": OWNERS,
    "GET /hosts/{fqdn}/certificate": OWNERS,
    "GET /hosts/{fqdn}/configuration": OWNERS,
    "GET /hosts/{fqdn}/edit": OWNERS,
    "POST /hosts/{fqdn}/edit": OWNERS,
    "POST /hosts/{fqdn}/remove": OVERSEEN,
    "POST /hosts/{fqdn}/block": BLOCKING,
    "POST /hosts/{fqdn}/unblock": BLOCKING,
    "GET /hosts/{fqdn}/created": OWNERS,
    "GET /hosts/{fqdn}/secret": OWNERS,
    "POST /hosts/{fqdn}/secret": OWNERS,
    "POST /hosts/{fqdn}/lift": OWNERS,
    "GET /domains": USERS,
    "GET /domains/new": ADMINS,
    "POST /domains": ADMINS,
    "POST /domains/key": ADMINS,
    "GET /domains/ask": USERS,
    "POST /domains/ask": USERS,
    "POST /domains/requests/{request}/withdraw": OWN,
    "GET /domains/{domain}": OWNERS,
    "GET /domains/{domain}/hosts": OWNERS,
    "GET /domains/{domain}/members": OWNERS,
    "GET /domains/{domain}/edit": OWNERS,
    "POST /domains/{domain}/edit": OWNERS,
    "POST /domains/{domain}/remove": OWNERS,
    "GET /tokens": USERS,
    "GET /tokens/new": USERS,
    "GET /tokens/made": USERS,
    "POST /tokens": USERS,
    "POST /tokens/{token}/revoke": OWN,
    "GET /keys": USERS,
    "GET /keys/new": USERS,
    "GET /keys/made": USERS,
    "POST /keys": USERS,
    "POST /keys/{key}/revoke": OWN,
    "GET /dhcp-keys": USERS,
    "GET /dhcp-keys/new": USERS,
    "GET /dhcp-keys/made": USERS,
    "POST /dhcp-keys": USERS,
    "POST /dhcp-keys/{dhcp}/revoke": OWNERS,
    "GET /account": USERS,
    "GET /account/log": USERS,
    "GET /account/export": USERS,
    "GET /account/delete": USERS,
    "POST /account/delete": USERS,
    "POST /account/language": OPEN,
    "POST /account/password": USERS,
    "POST /account/sessions/end": USERS,
    "POST /account/sessions/{session}/end": OWN,
    "POST /account/identities/{identity}/remove": USERS,  # it removes none but their own
    "GET /account/second-factor": LOCAL,
    "GET /account/second-factor/app": LOCAL,
    "POST /account/second-factor/app": LOCAL,
    "POST /account/second-factor/app/remove": USERS,
    "GET /account/second-factor/passkeys/new": NAMED,
    "POST /account/second-factor/passkeys": NAMED,
    "GET /account/second-factor/passkeys/{passkey}": NAMED,
    "POST /account/second-factor/passkeys/{passkey}": NAMED,
    "POST /account/second-factor/passkeys/{passkey}/remove": USERS,  # it removes none but their own
    "GET /account/second-factor/codes": USERS,
    "POST /account/second-factor/codes": USERS,
    "GET /admin": ADMINS,
    "GET /admin/hosts": ADMINS,
    "GET /admin/domains": ADMINS,
    "GET /admin/groups": ADMINS,
    "GET /admin/requests": ADMINS,
    "GET /admin/requests/{request}": ADMINS,
    "POST /admin/requests/{request}/approve": ADMINS,
    "POST /admin/requests/{request}/decline": ADMINS,
    "GET /admin/users": ADMINS,
    "GET /admin/users/new": ADMINS,
    "POST /admin/users": ADMINS,
    "GET /admin/user/{user}": ADMINS,
    "GET /admin/user/export/{user}": ADMINS,
    "POST /admin/user/save/{user}": ADMINS,
    "POST /admin/user/sessions/{user}": ADMINS,
    "POST /admin/user/tokens/{token}/{user}": ADMINS,
    "POST /admin/user/factors/{user}": ADMINS,
    "POST /admin/user/remove/{user}": ADMINS,
    "GET /admin/deny": ADMINS,
    "POST /admin/deny": ADMINS,
    "POST /admin/deny/{rule}/remove": ADMINS,
    "GET /admin/events": ADMINS,
    "GET /admin/events.csv": ADMINS,
    "GET /status": OPEN,
    "GET /help": OPEN,
    "GET /help/clients": OPEN,
    "GET /help/files/{file}": OPEN,
    "GET /help/{topic}": OPEN,
    "GET /login": OPEN,
    "POST /login": OPEN,
    "POST /login/code": OPEN,
    "POST /login/code/passkey": OPEN,
    "POST /login/passkey": OPEN,
    "GET /login/{provider}": OPEN,
    "GET /login/{provider}/callback": OPEN,
    "POST /login/{provider}/backchannel-logout": OPEN,
    "POST /logout": USERS,
}

NAMES = {
    "/hosts/{fqdn}": "{fqdn}",
    "/domains/requests/": "{request}",
    "/domains/{name}": "{domain}",
    "/tokens/": "{token}",
    "/keys/": "{key}",
    "/dhcp-keys/": "{dhcp}",
    "/account/sessions/": "{session}",
    "/account/identities/": "{identity}",
    "/account/second-factor/passkeys/": "{passkey}",
    "/admin/requests/": "{request}",
    "/admin/deny/": "{rule}",
    "/help/files/": "{file}",
    "/admin/abuse/": "{report}",
}
"""What a parameter of the paths with this beginning stands for."""

NOT_TRIED = {
    "POST /login",
    "POST /login/code",
    "POST /login/code/passkey",
    "POST /login/passkey",
    "POST /logout",
    "GET /login/{provider}",
    "GET /login/{provider}/callback",
    "POST /login/{provider}/backchannel-logout",
}
"""They change who it is, and have tests of their own."""

_numbers = count(1)


def _in_the_table(path: str) -> str:
    path = path.replace("{name:path}", "{user}").replace("/tokens/{id}/{user}", "/tokens/{token}/{user}")
    for beginning, name in NAMES.items():
        if path.startswith(beginning):
            return re.sub(r"\{(fqdn|id|name|login)\}", name, path)
    return path


def test_the_table_has_every_route() -> None:
    routes = [route for module in MODULES for route in module.ROUTES]
    methods = [(method, route.path) for route in routes for method in route.methods or ()]
    assert {f"{method} {_in_the_table(path)}" for method, path in methods if method != "HEAD"} == set(TABLE)


@dataclass
class Cast:
    """Who tries; `owner` owns what is tried, and `landlord` the domain with its hosts."""

    service: Service
    name: str
    owner: Browser
    other: Browser
    landlord: Browser
    zone: str
    admin: Browser

    def who(self) -> dict[str, Browser]:
        known = {"other": self.other, "owner": self.owner, "landlord": self.landlord, "admin": self.admin}
        return {"nobody": Browser(self.service), **known}


@pytest.fixture
def cast(service: Service, admin: Browser, new_user: Callable[[], tuple[str, Browser]]) -> Cast:
    name, owner = new_user()
    landlord, its_browser = new_user()
    zone = _domain(service, landlord, "shared", public=True)
    return Cast(service, name, owner, new_user()[1], its_browser, zone, admin)


def made(page: Page, pattern: str) -> str:
    """The last of what the page's forms lead to."""
    found = re.findall(pattern, page.html)
    assert found, page.text
    return str(found[-1])


def filled_in(cast: Cast, path: str) -> str:
    """The path with things of the owner's that were just made, so that nobody before has taken them away."""
    owner, service = cast.owner, cast.service
    values: dict[str, Callable[[], str]] = {
        "fqdn": lambda: _host(cast),
        "label": lambda: "behind",
        "prefix": lambda: "_x",
        "rtype": lambda: "TXT",
        "domain": lambda: _domain(service, cast.name),
        "request": lambda: _request(owner),
        "token": lambda: _token(owner),
        "key": lambda: _key(cast),
        "dhcp": lambda: _dhcp_key(cast),
        "session": lambda: _session(owner, cast.name),
        "identity": lambda: "1",
        "passkey": lambda: "1",
        "rule": lambda: _rule(cast.admin),
        "report": lambda: _report(cast),
        "user": lambda: cast.name,
        "file": lambda: "ddns-update",
        "topic": lambda: "words",
    }
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]](), path)


def _host(cast: Cast) -> str:
    owner, label = cast.owner, new_label()
    assert owner.send(owner.open("/hosts/new"), "/hosts/new", name=label, domain=cast.zone).status == 200
    fqdn = f"{label}.{cast.zone}"
    page = owner.open(f"/hosts/{fqdn}/related")
    assert owner.send(page, f"/hosts/{fqdn}/related", label="behind", interface_id="::7").status == 200
    page = owner.open(f"/hosts/{fqdn}/records")
    assert owner.send(page, f"/hosts/{fqdn}/records", name="_x", type="TXT", values="x").status == 200
    return fqdn


def _domain(service: Service, owner: str, label: str = "access", *, public: bool = False) -> str:
    name = f"{label}-{next(_numbers)}.example.org"
    made = service.request(
        "POST", "/api/domains", service.admin_token, json={"name": name, "owner": owner, "public": public}
    )
    assert made.status_code == 201, made.text
    return name


def _request(owner: Browser) -> str:
    name = f"request-{next(_numbers)}.example.org"
    page = owner.send(owner.open("/domains/ask"), "/domains/ask", name=name, reason="To try it.")
    return made(page, r"/domains/requests/(\d+)/withdraw")


def _token(owner: Browser) -> str:
    page = owner.send(owner.open("/tokens/new"), "/tokens", name=f"token-{next(_numbers)}")
    assert page.status == 200, page.text
    return made(owner.open("/tokens"), r"/tokens/(\d+)/revoke")


def _key(cast: Cast) -> str:
    owner, fqdn = cast.owner, _host(cast)
    page = owner.send(owner.open("/keys/new"), "/keys", name=f"key-{next(_numbers)}", hosts=fqdn)
    assert page.status == 200, page.text
    return made(owner.open("/keys"), r"/keys/([^/]+)/revoke")


def _dhcp_key(cast: Cast) -> str:
    name = f"dhcp-{next(_numbers)}"
    cast.service.cli("dhcp-key", "add", name, "--domain", _domain(cast.service, cast.name))
    return name


def _session(owner: Browser, name: str) -> str:
    Browser(owner.service).enter(name)
    return made(owner.open("/account"), r"/account/sessions/(\d+)/end")


def _rule(admin: Browser) -> str:
    values = {"kind": "name", "value": f"denied-{next(_numbers)}", "comment": "", "csrf": _csrf(admin)}
    admin.post("/admin/deny", values)
    return made(admin.open("/admin/deny"), r"/admin/deny/(\d+)/remove")


def _report(cast: Cast) -> str:
    owner, admin, fqdn = cast.owner, cast.admin, _host(cast)
    page = owner.open("/report-abuse")
    assert owner.send(page, "/report-abuse", name=fqdn, kind="spam", text="It sends spam.").status == 200
    return made(admin.open("/admin/abuse"), r"/admin/abuse/(\d+)")


def _csrf(browser: Browser) -> str:
    found = re.search(r'name="csrf" value="([^"]*)"', browser.open("/help").html)
    assert found
    return found[1]


def outcome(browser: Browser, route: str, path: str) -> str:
    """`sent away` to sign in, `refused`, `not there`, or `let in`, whatever then is said of an empty form."""
    method = route.partition(" ")[0]
    data = {"csrf": _csrf(browser)} if method == "POST" else None
    answer = browser.request(method, path, data=data)
    if answer.status_code == 303 and answer.headers["location"].startswith("/login"):
        return "sent away"
    if answer.status_code in (200, 303, 400, 409, 412, 415, 422):
        return "let in"
    return {403: "refused", 404: "not there"}.get(answer.status_code, str(answer.status_code))


EXPECTED = {
    OPEN: {"nobody": "let in", "other": "let in", "owner": "let in", "admin": "let in"},
    USERS: {"nobody": "sent away", "other": "let in", "owner": "let in", "admin": "let in"},
    NAMED: {"nobody": "sent away", "other": "not there", "owner": "not there", "admin": "not there"},
    LOCAL: {"nobody": "sent away", "other": "not there", "owner": "not there", "admin": "let in"},
    OWNERS: {"nobody": "sent away", "other": "not there", "owner": "let in", "admin": "let in"},
    OWN: {"nobody": "sent away", "other": "not there", "owner": "let in", "admin": "not there"},
    ADMINS: {"nobody": "sent away", "other": "refused", "owner": "refused", "admin": "let in"},
    OVERSEEN: {"nobody": "sent away", "other": "not there", "owner": "let in", "admin": "let in"},
    BLOCKING: {"nobody": "sent away", "other": "not there", "owner": "not there", "admin": "let in"},
}


def expected(route: str) -> dict[str, str]:
    """What each is answered. The owner of the domain is another user, who may see, block and remove the host."""
    kind = TABLE[route]
    landlord = "let in" if kind in (OVERSEEN, BLOCKING) else EXPECTED[kind]["other"]
    return EXPECTED[kind] | {"landlord": landlord}


@pytest.mark.parametrize("route", [route for route in TABLE if route not in NOT_TRIED])
def test_route(cast: Cast, route: str) -> None:
    path = route.partition(" ")[2]
    found = {}
    for who, browser in cast.who().items():
        found[who] = outcome(browser, route, filled_in(cast, path))
    assert found == expected(route)
