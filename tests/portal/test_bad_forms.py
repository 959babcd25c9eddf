# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input in every path, query and form of the portal: a page that says what is wrong, and never a 5xx.

All routes are tried, so that a new one cannot be forgotten, as an administrator, as a user and as nobody.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.browser.portal import Browser, entered
from support.servers.service import Service, dev
from support.spice import SPICE, TEXTS, bounded

from ddnsd.web.portal import forms
from ddnsd.web.portal.app import MODULES

STATUSES = {200, 303, 400, 403, 404, 405, 409, 412, 413, 415, 422, 429}
ASKING = ("/hosts", "/domains", "/admin/requests")
"""Paths that ask name servers. Forms change the domains at random, so some of these do not answer: 503."""
FEW = settings(bounded, max_examples=12, phases=[Phase.generate])  # a shorter example is not worth its time
ROUTES = sorted(
    (method, route.path)
    for module in MODULES
    for route in module.ROUTES
    for method in route.methods or ()
    if method != "HEAD"
)
READ = re.compile(r'(?:text|long_text|words|checked|cursor|search_text|query\.get|form\.get|getlist)\(\s*"(\w+)"')


def field_names() -> list[str]:
    """The names of fields that views read, in queries and forms."""
    found = {"csrf", "tag", "next", "number", "page", "limit"}
    for module in MODULES:
        found.update(READ.findall(inspect.getsource(module)))
    for _, model in inspect.getmembers(forms, inspect.isclass):
        found.update(getattr(model, "model_fields", ()))
    return sorted(found)


NAMES = field_names()
VALUES = st.one_of(
    TEXTS, st.sampled_from(["1", "admin", "alice", "victim.dyn.example.org", "spam", "keep", "on", "TXT"])
)
FIELDS = st.dictionaries(st.one_of(st.sampled_from(NAMES), SPICE), VALUES, max_size=8)


@dataclass
class People:
    """Browsers by user; each has a host, and is signed in again where a form has ended its session."""

    service: Service
    browsers: dict[str, Browser]

    def csrf(self, who: str) -> str:
        """The value that the user's forms carry."""
        if who == "nobody":
            return ""
        for _ in range(2):
            found = re.search(r'name="csrf" value="([^"]+)"', self.browsers[who].open("/hosts").html)
            if found:
                return found[1]
            self._restore(who)
            self.browsers[who] = entered(self.service, who)
        raise AssertionError(f"{who} cannot sign in")

    def _restore(self, who: str) -> None:
        """The administrator's forms may have disabled or deleted the other user."""
        if who != "admin":
            self.service.request("POST", "/api/users", self.service.admin_token, json={"name": who})
            enabled = self.service.request(
                "PATCH", f"/api/users/{who}", self.service.admin_token, json={"active": True}
            )
            assert enabled.status_code == 200, enabled.text


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    """A service of its own: what is sent here changes it at random."""
    with dev(tmp_path_factory.mktemp("spice"), abuse_reports_per_hour="10000") as service:
        names = ("admin", "alice")
        token = service.user("alice")
        service.request("POST", "/api/hosts", token, json={"fqdn": f"victim.{service.domain}"}).raise_for_status()
        assert service.request(
            "POST", "/report-abuse", data={"name": f"victim.{service.domain}", "kind": "spam", "text": "x"}
        ).ok
        yield People(service, {name: entered(service, name) for name in names} | {"nobody": Browser(service)})


def test_the_fields_are_found() -> None:
    assert {"name", "code", "contact", "kind", "reply", "reason", "sealed", "groups", "q", "after"} <= set(NAMES)


def sendable(text: str) -> str:
    """The text as a path can carry it."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


@pytest.mark.parametrize(("method", "path"), ROUTES)
@FEW
@given(
    parts=st.lists(VALUES, min_size=3, max_size=3),
    query=FIELDS,
    form=FIELDS,
    who=st.sampled_from(["admin", "alice", "nobody"]),
    genuine=st.booleans(),
)
def test_every_route(
    people: People,
    method: str,
    path: str,
    parts: list[str],
    query: dict[str, str],
    form: dict[str, str],
    who: str,
    genuine: bool,
) -> None:
    values = iter(parts)
    target = re.sub(r"\{[^}]+\}", lambda _: sendable(next(values)) or "x", path)
    if query:
        target += "?" + urlencode(query, errors="surrogatepass")[:8000]
    csrf = people.csrf(who) if method == "POST" and genuine else ""
    sent = form | ({"csrf": csrf} if csrf else {})
    body = urlencode(sent, errors="surrogatepass") if method == "POST" else None
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if body is not None else {}
    answer = people.browsers[who].request(method, target, data=body, headers=headers)
    expected = STATUSES | ({503} if path.startswith(ASKING) else set())
    assert answer.status_code in expected, (method, target, sent, answer.text[:300])
    assert "Traceback" not in answer.text
    location = answer.headers.get("location", "/")
    assert location.startswith("/"), location
    assert not location.startswith("//"), location


def test_the_service_works_after_all_of_it(people: People) -> None:
    log = people.service.log.read_text(errors="replace")
    assert "unexpected error" not in log
    assert "Traceback" not in log
    people.csrf("admin")
    assert people.service.get("/readyz").status_code == 200
