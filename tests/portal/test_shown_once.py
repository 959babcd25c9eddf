# SPDX-License-Identifier: GPL-3.0-or-later
"""A page with a new secret: shown once, whatever a person does to it; a reload makes nothing."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, expect
from playwright.sync_api import Page as Tab
from support.browser import chromium
from support.browser.portal import Browser, Page, entered
from support.clients.dyndns import new_label
from support.servers.service import DOMAIN, Service

from ddnsd.auth.secrets import digest

AGAIN = "It was shown once, when it was created, and cannot be shown again."
SECRET = re.compile(r'<code aria-label="(?:the secret|the token)">([^<]+)</code>')


@dataclass
class Form:
    """A form that makes a secret: the page that has it, where it goes, and what is filled in."""

    page: str
    action: str
    values: dict[str, str]


def _new_host(_browser: Browser) -> Form:
    return Form("/hosts/new", "/hosts/new", {"name": new_label(), "domain": DOMAIN})


def _new_secret(browser: Browser) -> Form:
    form = _new_host(browser)
    browser.send(browser.open(form.page), form.action, **form.values)
    fqdn = f"{form.values['name']}.{DOMAIN}"
    return Form(f"/hosts/{fqdn}/edit", f"/hosts/{fqdn}/secret", {})


def _new_token(_browser: Browser) -> Form:
    return Form("/tokens/new", "/tokens", {"name": new_label()})


def _new_key(browser: Browser) -> Form:
    form = _new_host(browser)
    browser.send(browser.open(form.page), form.action, **form.values)
    return Form("/keys/new", "/keys", {"name": "router", "hosts": f"{form.values['name']}.{DOMAIN}"})


MAKERS = [_new_host, _new_secret, _new_token, _new_key]


def secret_of(page: Page) -> str:
    assert page.status == 200, page.text
    (found,) = SECRET.findall(page.html)
    return str(found)


def counts(browser: Browser) -> tuple[int, ...]:
    """How many things and new secrets the service has made."""
    with closing(sqlite3.connect(browser.service.dir / "ddnsd.db", timeout=10)) as store:
        kinds = "host.register", "host.secret", "token.add", "key.add"
        query = "SELECT count(*) FROM events WHERE action = ?"
        return tuple(store.execute(query, (kind,)).fetchone()[0] for kind in kinds)


def session_of(browser: Browser) -> int:
    with closing(sqlite3.connect(browser.service.dir / "ddnsd.db", timeout=10)) as store:
        query = "SELECT id FROM sessions WHERE hash = ?"
        (number,) = store.execute(query, (digest(browser.cookies["__Host-ddns"]),)).fetchone()
    return int(number)


def waiting(service: Service, session: int) -> list[str]:
    """What the store keeps for the session's pages."""
    with closing(sqlite3.connect(service.dir / "ddnsd.db", timeout=10)) as store:
        query = "SELECT sealed FROM one_time_secrets WHERE session_id = ? AND sealed IS NOT NULL"
        return [sealed for (sealed,) in store.execute(query, (session,))]


@pytest.mark.parametrize("make", MAKERS)
def test_a_secret_is_shown_by_one_page_once(
    service: Service, alice: Browser, new_user: Callable[[], tuple[str, Browser]], make: Callable[[Browser], Form]
) -> None:
    form = make(alice)
    filled = alice.open(form.page).form(form.action).values | form.values
    answer = alice.request("POST", form.action, data=filled)
    assert (answer.status_code, answer.content) == (303, b"")
    where, made = answer.headers["location"], counts(alice)
    assert alice.request("HEAD", where).status_code == 200
    for stranger in (Browser(service), new_user()[1], entered(service, "admin")):
        assert SECRET.findall(stranger.open(where).html) == []
    (sealed,) = waiting(service, session_of(alice))
    secret = secret_of(alice.open(where))
    told = (where, sealed, service.log.read_text(errors="replace"), str(alice.cookies))
    assert not any(secret in text for text in told)
    for _ in range(2):
        again = alice.open(where)
        assert (again.status, AGAIN in again.text) == (200, True)
        assert secret not in again.html
    assert waiting(service, session_of(alice)) == []
    assert counts(alice) == made


@pytest.mark.parametrize("make", MAKERS)
def test_a_form_that_is_sent_twice_makes_one_secret(alice: Browser, make: Callable[[Browser], Form]) -> None:
    form, before = make(alice), counts(alice)
    filled = alice.open(form.page).form(form.action).values | form.values
    with ThreadPoolExecutor(2) as pool:
        copies = [Browser(alice.service, dict(alice.cookies)) for _ in range(2)]
        answers = list(pool.map(lambda copy: copy.request("POST", form.action, data=filled), copies))
    assert {answer.status_code for answer in answers} == {303}
    (where,) = {answer.headers["location"] for answer in answers}
    assert sum(counts(alice)) == sum(before) + 1
    assert secret_of(alice.open(where))
    assert AGAIN in alice.open(where).text


def test_two_tabs_show_their_own(alice: Browser) -> None:
    forms = [make(alice) for make in (_new_token, _new_token, _new_secret)]
    sent = [(f, alice.open(f.page).form(f.action).values | f.values) for f in forms]
    where = [alice.request("POST", form.action, data=filled).headers["location"] for form, filled in sent]
    secrets = [secret_of(alice.open(path)) for path in reversed(where)]
    assert len(set(secrets)) == 3


def test_a_form_that_is_refused_makes_nothing(alice: Browser) -> None:
    form = _new_host(alice)
    filled = alice.open(form.page).form(form.action).values | form.values
    assert alice.post(form.action, filled | {"name": "not_good"}).status == 422
    assert alice.post(form.action, filled | {"name": "www", "domain": "nowhere.example"}).status == 422
    long = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * (252 - 192 - len(DOMAIN) - 1)])
    refused = alice.post(form.action, filled | {"name": long, "wildcard": "on"})
    assert (refused.status, "With *. before it, the name has 254 characters" in refused.text) == (422, True)
    assert waiting(alice.service, session_of(alice)) == []
    assert secret_of(alice.post(form.action, filled))


def test_a_form_without_its_number_is_taken(alice: Browser) -> None:
    form = _new_token(alice)
    filled = alice.open(form.page).form(form.action).values | form.values
    del filled["once"]
    assert secret_of(alice.post(form.action, filled))


def test_a_key_for_a_zone_is_shown_once(admin: Browser) -> None:
    form = admin.open("/domains/new").form("/domains").values
    filled = form | {"name": f"{new_label()}.example.org"}
    answer = admin.request("POST", "/domains/key", data=filled)
    assert answer.status_code == 303
    shown = admin.open(answer.headers["location"])
    key = shown.form("/domains").values["secret"]
    assert f'secret "{key}";' in shown.html
    again = admin.open(answer.headers["location"])
    assert AGAIN in again.text
    assert key not in again.html


def test_signing_out_forgets_what_was_not_shown(service: Service, alice: Browser) -> None:
    form = _new_token(alice)
    alice.request("POST", form.action, data=alice.open(form.page).form(form.action).values | form.values)
    session = session_of(alice)
    assert len(waiting(service, session)) == 1
    alice.send(alice.open("/"), "/logout")
    assert waiting(service, session) == []


def test_german(alice: Browser) -> None:
    alice.cookies["ddns-language"] = "de"
    page = alice.open("/tokens/made?made=" + "0" * 64)
    assert "kann nicht noch einmal angezeigt werden" in page.text


# ---- a real browser


@pytest.fixture
def window(service: Service, browser: Chromium, alice: Browser) -> Iterator[BrowserContext]:
    with chromium.context(browser, service, alice.cookies) as context:
        yield context


def shown(tab: Tab) -> str:
    return tab.get_by_label("the secret", exact=True).inner_text()


def add_host(tab: Tab, label: str) -> str:
    tab.goto("/hosts/new")
    tab.get_by_label("Name", exact=True).fill(label)
    tab.get_by_role("button", name="Add host").click()
    return shown(tab)


def works(service: Service, fqdn: str, secret: str) -> bool:
    answer = service.get("/nic/update", auth=(fqdn, secret), params={"myip": "192.0.2.1"})
    return answer.text in ("good 192.0.2.1", "nochg 192.0.2.1")


def gone(tab: Tab) -> None:
    expect(tab.get_by_text(AGAIN)).to_be_visible()
    expect(tab.get_by_label("the secret", exact=True)).to_have_count(0)


def test_reload_and_back(service: Service, alice: Browser, window: BrowserContext) -> None:
    tab, label = window.new_page(), new_label()
    fqdn = f"{label}.{service.domain}"
    first = add_host(tab, label)
    made = counts(alice)
    tab.reload()
    gone(tab)
    tab.get_by_role("link", name="Go to the host").click()
    tab.go_back()
    gone(tab)
    assert counts(alice) == made
    assert works(service, fqdn, first)

    tab.get_by_text("Replace secret …").click()
    tab.get_by_role("button", name="Replace secret").click()
    second = shown(tab)
    assert second != first
    assert works(service, fqdn, second)
    tab.reload()
    gone(tab)
    tab.goto(f"/hosts/{fqdn}")
    tab.go_back()
    gone(tab)
    assert works(service, fqdn, second)


def test_a_double_click(service: Service, alice: Browser, window: BrowserContext) -> None:
    tab, label = window.new_page(), new_label()
    fqdn = f"{label}.{service.domain}"
    before = counts(alice)
    tab.goto("/hosts/new")
    tab.get_by_label("Name", exact=True).fill(label)
    tab.get_by_role("button", name="Add host").dblclick()
    assert works(service, fqdn, shown(tab))
    tab.goto(f"/hosts/{fqdn}/edit")
    tab.get_by_text("Replace secret …").click()
    tab.get_by_role("button", name="Replace secret").dblclick()
    assert works(service, fqdn, shown(tab))
    assert counts(alice)[:2] == (before[0] + 1, before[1] + 1)


def test_two_windows_at_once(service: Service, window: BrowserContext) -> None:
    names, tabs = [new_label(), new_label()], [window.new_page(), window.new_page()]
    secrets = [add_host(tab, name) for tab, name in zip(tabs, names, strict=True)]
    assert all(works(service, f"{n}.{service.domain}", s) for n, s in zip(names, secrets, strict=True))
    assert [shown(tab) for tab in tabs] == secrets
