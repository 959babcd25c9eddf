# SPDX-License-Identifier: GPL-3.0-or-later
"""Every page in a real browser: wide and narrow, light and dark, with nothing for axe-core to mind.

With PORTAL_SHOTS=FOLDER in the environment each is also put there as a picture.
"""

from collections.abc import Iterable, Iterator

import pytest
from playwright.sync_api import Browser as Chromium
from support.authenticator import Authenticator
from support.browser import chromium
from support.browser.passkeys import add
from support.browser.portal import Browser, entered
from support.servers.service import DOMAIN, Service, named_dev

HOST = "www.dyn.example.org"
PUBLIC = ["/", "/login", "/status", "/help", "/help/words", "/help/ttl", "/domains/nothing/at/all"]
SIGNED_IN = [
    "/",
    "/?q=nothing-like-it",
    "/hosts/new",
    f"/hosts/{HOST}",
    "/hosts/blocked.dyn.example.org",
    f"/hosts/{HOST}/edit",
    f"/hosts/{HOST}/history",
    f"/hosts/{HOST}/related",
    f"/hosts/{HOST}/certificate",
    f"/hosts/{HOST}/configuration",
    f"/hosts/{HOST}/records",
    f"/hosts/{HOST}/records?name=_443._tcp&type=TLSA",
    "/tokens",
    "/tokens/new",
    "/keys",
    "/keys/new",
    "/dhcp-keys",
    "/dhcp-keys/new",
    "/account",
    "/account/second-factor",
    "/account/second-factor/app",
    "/account/second-factor/passkeys/new",
    "/account/second-factor/passkeys/1",
    "/account/delete",
]
AXE = ("wide-light", "narrow-dark")
"""Where axe-core looks: each layout once, and each scheme."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with what is furnished here alone: axe-core takes long over what other tests leave in lists."""
    with named_dev(tmp_path_factory.mktemp("looks")) as service:
        yield service


@pytest.fixture(scope="module")
def admin(service: Service) -> Browser:
    return entered(service, "admin")


@pytest.fixture(scope="module")
def furnished(service: Service, admin: Browser) -> Browser:
    """The administrator, with hosts that stand in different ways."""
    hosts = [
        {"fqdn": HOST, "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "wildcard": True, "comment": "Front end"},
        {"fqdn": "vm-7.dyn.example.org"},
        {"fqdn": "blocked.dyn.example.org", "ipv4": "192.0.2.3", "stack": "web-prod"},
        {"fqdn": f"a-rather-long-name-of-a-machine.building-7.{DOMAIN}", "ipv6": "2001:db8:1234:5678:9abc:def0:0:5678"},
    ]
    for body in hosts:
        assert service.request("POST", "/api/hosts", service.admin_token, json=body).status_code == 201
    for label in ("printer", "nas"):
        path = f"/api/hosts/{HOST}/related/{label}"
        service.request("PUT", path, service.admin_token, json={"interface_id": "::7"})
    sets = {
        "@/MX": ["10 mail.example.org.", "20 mail.example.net."],
        "_443._tcp/TLSA": ["3 1 1 " + "ab" * 32],
        "_dmarc/TXT": ['"v=DMARC1; p=none; rua=mailto:dmarc@example.org"'],
    }
    for place, values in sets.items():
        path = f"/api/hosts/{HOST}/records/{place}"
        service.request("PUT", path, service.admin_token, json={"values": values, "ttl": 300})
    for number in range(8):
        params = {"hostname": HOST, "myip": f"192.0.2.{100 + number // 2}"}
        service.get("/nic/update", service.admin_token, params=params, headers={"User-Agent": "ddclient/3.10.0"})
    for name in ("Laptop", "The blue security key in the drawer"):
        add(admin, Authenticator(service.url), name)
    block = {"abuse_blocked": True}
    service.request("PATCH", "/api/hosts/blocked.dyn.example.org", service.admin_token, json=block)
    return admin


def test_public_pages(service: Service, browser: Chromium, furnished: Browser) -> None:
    look(service, browser, PUBLIC, {}, "public")


def test_pages_of_who_has_signed_in(service: Service, browser: Chromium, furnished: Browser) -> None:
    look(service, browser, SIGNED_IN, furnished.cookies, "in")


def test_long_german_words_fit(service: Service, browser: Chromium, furnished: Browser) -> None:
    look(service, browser, SIGNED_IN, furnished.cookies | {"ddns-language": "de"}, "german", ["narrow-light"])


@pytest.mark.parametrize("mode", AXE)
def test_the_page_of_a_new_host(service: Service, browser: Chromium, furnished: Browser, mode: str) -> None:
    with chromium.context(browser, service, furnished.cookies, mode) as context:
        page = chromium.examined(context)
        page.goto("/hosts/new")
        page.fill("[name=name]", f"fresh-{mode}")
        page.get_by_text(f"fresh-{mode}.dyn.example.org is free.").wait_for()
        chromium.shoot(page, "in-hosts-new-filled", mode)
        page.click("main form button")
        page.get_by_role("heading", name="Its secret").wait_for()
        chromium.shoot(page, "in-hosts-created", mode)
        assert chromium.violations(page) == []
        assert chromium.too_wide(page) <= 0


OVERSEEN = [
    "/account/delete",
    "/domains/shared.example.org/hosts",
    "/hosts/good.shared.example.org",
    "/hosts/bad.shared.example.org",
    "/hosts/worse.shared.example.org",
]


@pytest.fixture(scope="module")
def shared(service: Service) -> None:
    """A domain of dave's, with hosts of erin's."""
    owner, tenant = service.user("dave"), service.user("erin")
    body = {"name": "shared.example.org", "owner": "dave", "public": True}
    service.request("POST", "/api/domains", service.admin_token, json=body)
    for label in ("good", "bad", "worse"):
        host = {"fqdn": f"{label}.shared.example.org", "ipv4": "192.0.2.1", "comment": "Of no concern to others"}
        service.request("POST", "/api/hosts", tenant, json=host)
    for label, token in (("bad", owner), ("worse", service.admin_token)):
        block = {"abuse_blocked": True, "block_reason": "It sends spam."}
        service.request("PATCH", f"/api/hosts/{label}.shared.example.org", token, json=block)


@pytest.mark.parametrize(("who", "language"), [("dave", "en"), ("dave", "de"), ("erin", "de")])
@pytest.mark.usefixtures("shared")
def test_hosts_of_others_in_ones_domain(service: Service, browser: Chromium, who: str, language: str) -> None:
    """As the owner of the domain, and as the owner of the hosts."""
    cookies = entered(service, who).cookies | {"ddns-language": language}
    look(
        service,
        browser,
        OVERSEEN if who == "dave" else [page for page in OVERSEEN if "domains" not in page],
        cookies,
        f"{who}-{language}",
    )


def look(
    service: Service,
    browser: Chromium,
    paths: list[str],
    cookies: dict[str, str],
    who: str,
    modes: Iterable[str] = chromium.MODES,
) -> None:
    """Open each page once, and change the window and the scheme."""
    wrong: list[str] = []
    with chromium.context(browser, service, cookies) as context:
        page = chromium.examined(context)
        page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
        page.on("console", lambda message: _console(wrong, page.url, message.type, message.text))
        for path in paths:
            page.goto(path)
            for mode in modes:
                chromium.become(page, mode)
                chromium.shoot(page, f"{who}-{chromium.slug(path)}", mode)
                if (width := chromium.too_wide(page)) > 0:
                    wrong.append(f"{path}, {mode}: {width} px too wide")
                if mode in AXE:
                    wrong += [f"{path}, {mode}: {found}" for found in chromium.violations(page)]
    assert not wrong, "\n".join(wrong)


def _console(wrong: list[str], url: str, kind: str, text: str) -> None:
    if kind in ("error", "warning") and "404 (Not Found)" not in text:
        wrong.append(f"{url}: {text}")


# ---- domains and administration

GOVERNED = [
    "/domains",
    "/domains/new",
    "/domains/ask",
    f"/domains/{DOMAIN}",
    "/domains/lab.example.org",
    f"/domains/{DOMAIN}/edit",
    "/tokens",
    "/keys",
    "/status",
    "/admin",
    "/admin/users",
    "/admin/users/new",
    "/admin/user/carol",
    "/admin/hosts",
    "/admin/domains",
    "/admin/groups",
    "/admin/requests",
    "/admin/requests/1",
    "/admin/deny",
    "/admin/events",
    "/help/start",
    "/help/clients",
    "/help/nat",
    "/help/own-domain",
    "/help/ports",
]


@pytest.fixture(scope="module")
def governing(service: Service, furnished: Browser) -> Browser:
    """The administrator, where there is something of everything."""
    carol = service.user("carol")
    calls = [
        (carol, "/api/domain-requests", {"name": "project.example.org", "reason": "For the machines of the project."}),
        (None, "/api/domains", {"name": "lab.example.org", "owner": "carol", "group": "urn:example:vo:lab"}),
        (None, "/api/deny", {"kind": "network", "value": "198.51.100.0/24", "comment": "A scanner"}),
        (None, "/api/tokens", {"name": "pipeline", "hosts": ["web-*.dyn.example.org"]}),
        (None, "/api/keys", {"name": "router", "hosts": [HOST, "vm-7.dyn.example.org"]}),
    ]
    for token, path, body in calls:
        answer = service.request("POST", path, token or service.admin_token, json=body)
        assert answer.status_code == 201, answer.text
    return furnished


def test_pages_of_domains_and_administration(service: Service, browser: Chromium, governing: Browser) -> None:
    look(service, browser, GOVERNED, governing.cookies, "admin")
