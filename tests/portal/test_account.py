# SPDX-License-Identifier: GPL-3.0-or-later
"""Your account: the password, and the browsers that are signed in."""

from collections.abc import Callable

import pytest
from support.browser.portal import Browser, entered, password_of
from support.servers.service import Service, dev

SESSION = "__Host-ddns"
NewUser = Callable[[], tuple[str, Browser]]


def signed_in(service: Service, name: str, password: str) -> Browser:
    browser = Browser(service, headers={"User-Agent": "Second/1.0"})
    assert browser.send(browser.open("/login"), "/login", name=name, password=password).status == 200
    return browser


def test_the_password_is_changed(service: Service, new_user: NewUser) -> None:
    name, browser = new_user()
    old, new = password_of(service, name), "a new horse battery"
    other, before = signed_in(service, name, old), browser.cookies[SESSION]
    page = browser.open("/account")
    page = browser.send(page, "/account/password", current=old, new=new, again=new)
    assert (page.path, page.status) == ("/account", 200)
    assert "The password was changed." in page.text
    assert browser.cookies[SESSION] != before
    assert other.open("/account").path.startswith("/login")
    stale = Browser(service, {SESSION: before})
    assert stale.open("/account").path.startswith("/login")
    signed_in(service, name, new)
    failed = Browser(service)
    assert failed.send(failed.open("/login"), "/login", name=name, password=old).status == 403


def test_a_first_password_needs_a_recent_sign_in(service: Service, new_user: NewUser) -> None:
    name, fresh = new_user()
    found = entered(service, name, ago=3600)  # somebody's open browser
    new = {"new": "a new horse battery", "again": "a new horse battery"}
    page = found.send(found.open("/account"), "/account/password", **new)
    assert page.path.startswith("/login?again=1")
    assert "Nothing was changed." in page.text
    failed = Browser(service)
    assert failed.send(failed.open("/login"), "/login", name=name, password=new["new"]).status == 403
    assert "The password was changed." in fresh.send(fresh.open("/account"), "/account/password", **new).text


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"current": "wrong"}, "Wrong password."),
        ({"current": ""}, "Wrong password."),
        ({"new": "short", "again": "short"}, "A password has at least 12 characters."),
        ({"new": "x" * 300, "again": "x" * 300}, "A password has at most 256 characters."),
        ({"new": "a" * 20, "again": "a" * 20}, "or one repeated character"),
        ({"again": "another horse battery"}, "The two passwords differ."),
    ],
)
def test_changes_that_are_refused(service: Service, new_user: NewUser, values: dict[str, str], reason: str) -> None:
    name, browser = new_user()
    right = {"current": password_of(service, name), "new": "a new horse battery", "again": "a new horse battery"}
    for _ in range(2):
        page = browser.send(browser.open("/account"), "/account/password", **right | values)
        assert page.status == 422
        assert reason in page.text
        assert not any(value and value in page.html for value in (right | values).values() if len(value) > 5)
    signed_in(service, name, right["current"])


def test_browsers_are_listed_and_signed_out(service: Service, new_user: NewUser) -> None:
    name, browser = new_user()
    others = [signed_in(service, name, password_of(service, name)) for _ in range(3)]
    page = browser.open("/account")
    ends = [form.action for form in page.forms if form.action.endswith("/end") and form.action.count("/") == 4]
    assert len(ends) == 3
    assert page.text.count("Second/1.0") == 3
    assert all(cookie not in page.html for cookie in (browser.cookies[SESSION], others[0].cookies[SESSION]))
    page = browser.send(page, ends[0])
    assert "That browser is signed out." in page.text
    assert sum(other.open("/account").path.startswith("/login") for other in others) == 1
    assert browser.post(ends[0], {"csrf": page.forms[0].values["csrf"]}).status == 404
    page = browser.send(page, "/account/sessions/end")
    assert "2 other browsers are signed out." in page.text
    assert all(other.open("/account").path.startswith("/login") for other in others)
    assert browser.open("/account").status == 200


def test_sessions_of_others_stay(service: Service, new_user: NewUser) -> None:
    (_, mine), (name, theirs) = new_user(), new_user()
    signed_in(service, name, password_of(service, name))
    end = next(f.action for f in theirs.open("/account").forms if f.action.count("/") == 4)
    csrf = mine.open("/account").forms[0].values["csrf"]
    for path in (end, "/account/sessions/0/end", "/account/sessions/x/end", f"/account/sessions/{'9' * 30}/end"):
        assert mine.post(path, {"csrf": csrf}).status == 404
    assert end in [form.action for form in theirs.open("/account").forms]


def test_groups_are_shown(service: Service, new_user: NewUser) -> None:
    name, browser = new_user()
    assert "None. Groups come from" in browser.open("/account").text
    for _ in range(2):
        assert service.cli("user", "groups", name, "--add", "staff", "--add", "<b>lab").stdout == "<b>lab\nstaff\n"
    assert "&lt;b&gt;lab" in browser.open("/account").html
    assert service.cli("user", "groups", name, "--remove", "staff").stdout == "<b>lab\n"
    assert "staff" not in browser.open("/account").text
    assert "group" in service.cli("user", "groups", name, "--add", "a\nb", check=False).stderr


# ---- limits


def test_limits_are_shown(tmp_path_factory: pytest.TempPathFactory, service: Service, new_user: NewUser) -> None:
    assert "There are no limits for you." in new_user()[1].open("/account").text
    with dev(tmp_path_factory.mktemp("limits"), rules="on", hosts_per_user="1") as limited:
        limited.register(f"a.{limited.domain}", limited.user("alice"))
        browser = entered(limited, "alice")
        text = browser.open("/account").text
        assert "Hosts 1 1 Tokens 1 100 Keys 0 100" in text
        assert "Changes of one host within an hour 1 600" in text
        page = browser.send(browser.open("/hosts/new"), "/hosts/new", name="b", domain=limited.domain)
        assert page.status == 429
        assert "You have reached the limit for hosts (1). Remove one first" in page.text
        limited.cli("user", "set", "alice", "--api-writes-per-minute", "1", "--hosts-per-user", "0")
        browser.headers["Accept-Language"] = "de"
        assert "Hosts – keine Grenze" in browser.open("/account").text
        assert "There are no limits for you." in entered(limited, "admin").open("/account").text
