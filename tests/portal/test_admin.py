# SPDX-License-Identifier: GPL-3.0-or-later
"""Administration and status: who sees what, and what each deed does."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.browser.portal import Browser, Page, password_of
from support.ports import wait_until
from support.servers.faults import hung
from support.servers.service import Service, dev

NewUser = Callable[[], tuple[str, Browser]]

PAGES = (
    "/admin",
    "/admin/users",
    "/admin/users/new",
    "/admin/user/admin",
    "/admin/groups",
    "/admin/hosts",
    "/admin/domains",
    "/admin/requests",
    "/admin/requests/1",
    "/admin/deny",
    "/admin/abuse",
    "/admin/abuse/1",
    "/admin/events",
    "/admin/events.csv",
)
DEEDS = (
    "/admin/users",
    "/admin/user/save/admin",
    "/admin/user/sessions/admin",
    "/admin/user/tokens/1/admin",
    "/admin/user/remove/admin",
    "/admin/deny",
    "/admin/deny/1/remove",
    "/admin/abuse/1/block",
    "/admin/abuse/1/dismiss",
    "/admin/requests/1/approve",
    "/admin/requests/1/decline",
)


def csrf(browser: Browser) -> dict[str, str]:
    return {"csrf": browser.open("/help").form("/logout").values["csrf"]}


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_for_administrators(service: Service, alice: Browser, path: str) -> None:
    assert alice.open(path).status == 403
    assert Browser(service).open(path).path.startswith("/login?")


@pytest.mark.parametrize("path", DEEDS)
def test_deeds_are_for_administrators(service: Service, alice: Browser, path: str) -> None:
    page = alice.post(path, {**csrf(alice), "name": "mallory", "active": "on", "admin": "on"})
    assert page.status == 403
    assert Browser(service).post(path, {}).path == "/login"
    assert "mallory" not in service.get("/api/users", service.admin_token).text


def test_the_first_page_says_what_wants_a_look(service: Service, admin: Browser, new_user: NewUser) -> None:
    name, user = new_user()
    user.post("/domains/ask", {**csrf(user), "name": f"{name}.example.net", "reason": "why"})
    page = admin.open("/admin")
    assert page.status == 200
    assert "Open domain requests" in page.text


# ---- users


def test_a_user_is_added_changed_and_removed(service: Service, admin: Browser) -> None:
    name = "zoë/smith@example.org"
    page = admin.send(admin.open("/admin/users/new"), "/admin/users", name=name)
    assert page.status == 200
    assert "was added" in page.text
    assert admin.send(admin.open("/admin/users/new"), "/admin/users", name=name).status == 422
    assert admin.send(admin.open("/admin/users/new"), "/admin/users", name="two words").status == 422
    unnamed = admin.send(admin.open("/admin/users/new"), "/admin/users", name=" ", admin="on")
    assert (unnamed.status, unnamed.form("/admin/users").values.get("admin")) == (422, "on")
    assert "Enter a name." in unnamed.text
    assert name in admin.open("/admin/users?q=zo%C3%AB").text

    save = next(form.action for form in page.forms if "/save/" in form.action)
    saved = admin.send(page, save, groups="vo.example.org\r\nvo.example.com", admin="on")
    assert "Saved." in saved.text
    groups = admin.open("/admin/groups").text
    assert "vo.example.org" in groups
    shown = service.get(f"/api/users/{name.replace('/', '%2F')}", service.admin_token)
    assert "administrator" in saved.text, shown.text
    wrong = admin.send(saved, save, groups="vo.example.org\r\n" + "x" * 256)
    assert wrong.status == 422
    assert "Enter at most 255 characters." in wrong.text
    assert "x" * 256 in wrong.html, "what was entered stays"

    remove = next(form.action for form in saved.forms if "/remove/" in form.action)
    assert "was removed" in admin.send(saved, remove).text
    assert name not in admin.open("/admin/users?q=zo%C3%AB").text


def test_who_is_switched_off_is_out_at_once(service: Service, admin: Browser, new_user: NewUser) -> None:
    name, _ = new_user()
    token = service.cli("token", "add", name, "--name", "api").stdout.strip()
    page = admin.open(f"/admin/user/{name}")
    assert "api" in page.text
    admin.send(page, f"/admin/user/save/{name}", active=None, reason="Spam since Monday")
    assert service.get("/api/users/me", token).status_code == 401
    assert admin.open(f"/admin/user/{name}").form(f"/admin/user/save/{name}").values["reason"] == "Spam since Monday"
    login = Browser(service)
    password = password_of(service, name)
    refused = login.send(login.open("/login"), "/login", name=name, password=password)
    assert (refused.status, "Reason: Spam since Monday" in refused.text) == (403, True)
    admin.send(admin.open(f"/admin/user/{name}"), f"/admin/user/save/{name}", active="on")
    assert service.get("/api/users/me", token).status_code == 200


def test_records_of_a_user_who_is_switched_off(service: Service, admin: Browser, new_user: NewUser) -> None:
    name, _ = new_user()
    token = service.cli("token", "add", name, "--name", "api").stdout.strip()
    fqdn = f"{name}-off.{service.domain}"
    secret, save = service.register(fqdn, token, ip="192.0.2.1"), f"/admin/user/save/{name}"

    def word() -> str:
        return service.get("/nic/update", auth=(fqdn, secret), params={"myip": "192.0.2.1"}).text

    admin.send(admin.open(f"/admin/user/{name}"), save, active=None)
    assert (word(), service.dig(fqdn)) == ("nohost", ["192.0.2.1"])
    assert "The host's owner is disabled: updates get" in admin.open(f"/hosts/{fqdn}").text
    admin.send(admin.open(f"/admin/user/{name}"), save, withdrawn="on")
    wait_until(lambda: service.dig(fqdn) == [], 15, "records removed")
    assert "its records are not in DNS" in admin.open(f"/hosts/{fqdn}").text
    page = admin.open(f"/admin/user/{name}")
    assert page.form(save).values["withdrawn"] == "on"
    admin.send(page, save, active="on")  # whatever the other box says
    wait_until(lambda: service.dig(fqdn) == ["192.0.2.1"], 15, "records back")
    assert word() == "nochg 192.0.2.1"


def test_a_page_of_before_undoes_no_decision_of_since(service: Service, admin: Browser, new_user: NewUser) -> None:
    name, _ = new_user()
    page, path = admin.open(f"/admin/user/{name}"), f"/api/users/{name}"
    off = service.request("PATCH", path, service.admin_token, json={"active": False})
    assert off.json()["active"] is False
    stale = admin.send(page, f"/admin/user/save/{name}", groups="vo.example.org")
    assert stale.status == 412
    assert "Someone else changed this while you were editing." in stale.text
    assert service.get(path, service.admin_token).json()["active"] is False
    page = admin.open(f"/admin/user/{name}")
    assert "vo.example.org" not in page.html
    assert "Saved." in admin.send(page, f"/admin/user/save/{name}", groups="vo.example.org").text
    assert service.get(path, service.admin_token).json()["active"] is False


@pytest.mark.parametrize("own", [True, False])
def test_groups_that_somebody_else_gave_meanwhile_are_kept(
    service: Service, admin: Browser, new_user: NewUser, own: bool
) -> None:
    name = "admin" if own else new_user()[0]
    save = f"/admin/user/save/{name}"
    mine, theirs = (admin.open(f"/admin/user/{name}") for _ in range(2))
    assert "Saved." in admin.send(theirs, save, groups="vo.example.org").text
    stale = admin.send(mine, save, groups="vo.example.com")
    assert stale.status == 412
    assert "Someone else changed this while you were editing." in stale.text
    assert service.cli("user", "groups", name).stdout == "vo.example.org\n"
    mine = admin.open(f"/admin/user/{name}")
    service.cli("user", "groups", name, "--add", "vo.example.net")
    assert admin.send(mine, save, groups="").status == 412
    for _ in range(2):  # the second time nothing changes
        assert "Saved." in admin.send(admin.open(f"/admin/user/{name}"), save, groups="").text
    assert service.cli("user", "groups", name).stdout == ""


def test_tokens_of_others_are_revoked_on_their_users_page_alone(
    service: Service, admin: Browser, new_user: NewUser
) -> None:
    name, _ = new_user()
    other, _ = new_user()
    token = service.cli("token", "add", name, "--name", "api").stdout.strip()
    page = admin.open(f"/admin/user/{name}")
    deed = re.findall(rf'action="(/admin/user/tokens/\d+/{name})"', page.html)[-1]
    assert admin.post(deed.replace(name, other), csrf(admin)).status == 404
    assert service.get("/api/users/me", token).status_code == 200
    assert "was revoked" in admin.send(page, deed).text
    assert service.get("/api/users/me", token).status_code == 401


def test_nobody_takes_their_own_rights_away(service: Service, admin: Browser) -> None:
    page = admin.open("/admin/user/admin")
    assert "This is you" in page.text
    admin.post("/admin/user/save/admin", {**csrf(admin), "groups": ""})
    assert admin.post("/admin/user/remove/admin", csrf(admin)).status == 422
    assert admin.open("/admin").status == 200


def test_who_owns_something_is_not_removed(service: Service, admin: Browser, new_user: NewUser) -> None:
    name, _ = new_user()
    service.register(f"{name}-owned", service.cli("token", "add", name, "--name", "api").stdout.strip())
    page = admin.send(admin.open(f"/admin/user/{name}"), f"/admin/user/remove/{name}")
    assert page.status == 422
    assert "owns hosts or domains" in page.text
    assert page.form(f"/admin/user/save/{name}").values["active"] == "on", "what the user is stays filled in"


# ---- hosts, deny lists, events


def test_hosts_of_everybody_are_found(service: Service, admin: Browser, new_user: NewUser) -> None:
    name, _ = new_user()
    fqdn = f"{name}-search.{service.domain}"
    token = service.cli("token", "add", name, "--name", "api").stdout.strip()
    service.register(fqdn, token, ip="192.0.2.123", comment=f"about {name}")
    for query in (f"q={name}-sea", f"owner={name}", f"q=about+{name}", f"domain={service.domain}&q={name}"):
        page = admin.open(f"/admin/hosts?{query}")
        assert fqdn in page.text, query
        assert name in page.text
    for query in ("owner=nobody-of-that-name", f"q={name}&state=blocked", f"q={name}&domain=example.net"):
        assert fqdn not in admin.open(f"/admin/hosts?{query}").text, query


def test_what_is_denied_is_refused_until_it_is_not(service: Service, admin: Browser) -> None:
    def deny(**values: str) -> Page:
        return admin.send(admin.open("/admin/deny"), "/admin/deny", **values)

    assert "203.0.113.0/24" in deny(kind="network", value="203.0.113.9/24", comment="A <scanner>").text
    assert "A &lt;scanner&gt;" in admin.open("/admin/deny").html
    secret = service.register("denied-here")
    basic = (f"denied-here.{service.domain}", secret)
    assert service.get("/nic/update", auth=basic, params={"myip": "203.0.113.1"}).text == "abuse"
    for wrong in (
        {"kind": "network", "value": "203.0.113.0/24"},
        {"kind": "network", "value": "nonsense"},
        {"kind": "else", "value": "x"},
        {"kind": "name", "value": ""},
    ):
        assert deny(**wrong).status == 422, wrong
    page = admin.open("/admin/deny")
    (number,) = re.findall(r'203\.0\.113\.0/24.*?action="/admin/deny/(\d+)/remove"', page.html, re.S)
    assert "The entry was removed" in admin.send(page, f"/admin/deny/{number}/remove").text
    assert admin.post(f"/admin/deny/{number}/remove", csrf(admin)).status == 404


def test_events_are_filtered_and_exported(service: Service, admin: Browser, new_user: NewUser) -> None:
    name, _ = new_user()
    token = service.cli("token", "add", name, "--name", "=1+1").stdout.strip()
    service.register(f"{name}-event", token)
    page = admin.open(f"/admin/events?actor={name}")
    assert f"{name}-event.{service.domain}" in page.text
    assert "host.register" in page.text
    assert "No matching events" in admin.open(f"/admin/events?actor={name}&action=host.delete").text

    answer = admin.request("GET", f"/admin/events.csv?object={name}")
    assert answer.headers["content-type"].startswith("text/csv")
    assert 'filename="events.csv"' in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["object"] for row in rows} == {name}
    assert "'=1+1" in {row["detail"] for row in rows}
    assert token not in answer.text


def test_events_have_pages(service: Service, admin: Browser) -> None:
    for _ in range(101):
        assert service.request("POST", "/api/tokens", service.admin_token, json={"name": f"n{_}"}).status_code == 201
    first = admin.open("/admin/events?action=token.add")
    (following,) = re.findall(r'href="([^"]+)" rel="next"', first.html)
    second = admin.open(following.replace("&amp;", "&"))
    assert second.status == 200
    assert "First page" in second.text


# ---- status


def test_status_is_for_everybody_and_hides_what_is_private(service: Service, admin: Browser, new_user: NewUser) -> None:
    name, owner = new_user()
    private = f"{name}.example.org"
    admin.send(admin.open("/domains/new"), "/domains", name=private, owner=name, do="add")
    nobody = Browser(service)
    wait_until(lambda: "1 private domain" in nobody.open("/status").text or private in owner.open("/status").text)
    shown = nobody.open("/status")
    assert shown.status == 200
    assert service.domain in shown.text
    assert private not in shown.text
    assert "127.0.0.1" not in shown.text
    assert private in owner.open("/status").text
    assert private in admin.open("/status").text


def test_status_says_when_a_name_server_is_silent(tmp_path: Path) -> None:
    with dev(tmp_path / "service") as service:
        nobody = Browser(service)
        wait_until(lambda: "Everything works." in nobody.open("/status").text, 10, "status")
        with hung(service.named_pid()):
            wait_until(lambda: "No name server answers." in nobody.open("/status").text, 20, "status")
            assert "does not answer" in nobody.open("/status").text
        wait_until(lambda: "Everything works." in nobody.open("/status").text, 20, "status")
