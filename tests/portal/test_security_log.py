# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's security log, in the portal and in the API."""

from collections.abc import Callable

from support.browser.portal import Browser, password_of
from support.ports import wait_until
from support.servers.service import Service

NewUser = Callable[[], tuple[str, Browser]]


def events(service: Service, token: str, **parameters: object) -> list[tuple[str, str, str | None]]:
    """(actor, action, detail) of the log, newest first."""
    answer = service.get("/api/users/me/events", token, params=parameters)
    assert answer.status_code == 200, answer.text
    return [(one["actor"], one["action"], one["detail"]) for one in answer.json()["items"]]


def test_the_log_tells_of_sign_ins_and_credentials(service: Service, new_user: NewUser) -> None:
    name, browser = new_user()
    token = service.cli("token", "add", name, "--name", "ci").stdout.strip()
    fqdn = service.get("/nic/register", token, params={"fqdn": f"{name}.{service.domain}"}).json()["host"]["fqdn"]
    login = service.request("POST", "/api/keys", token, json={"hosts": [fqdn], "name": "k"}).json()["login"]
    service.request("DELETE", f"/api/keys/{login}", token)
    other = Browser(service)
    other.send(other.open("/login"), "/login", name=name, password=password_of(service, name))
    other.send(other.open("/"), "/logout")
    stranger = Browser(service)
    for _ in range(2):
        assert stranger.send(stranger.open("/login"), "/login", name=name, password="wrong").status == 403
    wait_until(lambda: events(service, token)[0][1] == "session.fail", 20, what="the failure is recorded")
    expected = [
        ("?", "session.fail", "password"),
        (name, "session.end", "password"),
        (name, "session.begin", "password"),
        (name, "key.delete", "k"),
        (name, "key.add", "k"),
        ("ddnsd", "token.add", "ci"),
    ]
    assert events(service, token) == expected
    assert events(service, token, limit=2) == expected[:2]

    account = browser.open("/account").text
    for text in ("Failed sign-in", "Signed in", "Signed out", "Key created", f"Key deleted {login}", "Token created"):
        assert text in account
    log = browser.open("/account/log").text
    assert "Failed sign-in password unknown 127.0.0.1" in log
    assert "Token created ci ddnsd" in log


def test_others_do_not_see_it(service: Service, new_user: NewUser) -> None:
    name, browser = new_user()
    token = service.cli("token", "add", name, "--name", "mine").stdout.strip()
    other, other_browser = new_user()
    assert "Token created mine" in browser.open("/account/log").text
    assert name not in other_browser.open("/account/log").text
    assert ("ddnsd", "token.add", "mine") not in events(service, service.admin_token)
    assert other not in str(events(service, token))


def test_a_limited_token_reads_nothing(service: Service, new_user: NewUser) -> None:
    name, _ = new_user()
    limited = service.cli("token", "add", name, "--name", "mine", "--domain", service.domain).stdout.strip()
    assert events(service, limited) == []


def test_an_administrator_ends_sessions(service: Service, new_user: NewUser, admin: Browser) -> None:
    name, _ = new_user()
    token = service.cli("token", "add", name, "--name", "t").stdout.strip()
    admin.send(admin.open(f"/admin/user/{name}"), f"/admin/user/sessions/{name}")
    assert events(service, token)[0] == ("admin", "session.end", "1 browser")
