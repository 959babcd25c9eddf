# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's own data in the portal: the file, and the end of the account."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from support.browser.portal import Browser
from support.clients.dyndns import GIVEN, Host, new_label, register
from support.ports import wait_until
from support.servers.service import Service

DELETE = "/account/delete"


@dataclass
class Person:
    """A user with a host, and a browser in which they have just signed in."""

    name: str
    browser: Browser
    host: Host


@pytest.fixture
def person(service: Service, new_user: Callable[[], tuple[str, Browser]]) -> Person:
    name, browser = new_user()
    return Person(name, browser, register(service, service.user(name)))


def is_there(person: Person) -> bool:
    return person.host.update(myip=GIVEN).text == f"nochg {GIVEN}"


def test_the_file(person: Person, admin: Browser, alice: Browser) -> None:
    assert 'href="/account/export"' in person.browser.open("/account").html
    for browser, path in ((person.browser, "/account/export"), (admin, f"/admin/user/export/{person.name}")):
        answer = browser.request("GET", path)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-disposition"] == 'attachment; filename="account.json"'
        assert answer.headers["content-length"] == str(len(answer.content))
        assert answer.headers["cache-control"] == "no-store"
        assert [host["fqdn"] for host in answer.json()["hosts"]] == [person.host.fqdn]
    assert alice.open(f"/admin/user/export/{person.name}").status == 403
    assert alice.request("GET", "/account/export").json()["hosts"] == []


def test_a_person_leaves(person: Person, service: Service) -> None:
    other = Browser(service)
    other.enter(person.name)
    page = person.browser.open(DELETE)
    assert "1 host with its records in DNS" in page.text
    done = person.browser.send(page, DELETE, name=person.name)
    assert (done.status, "Account deleted" in done.text) == (200, True)
    assert "__Host-ddns" not in person.browser.cookies
    assert other.open("/account").path.startswith("/login")
    assert person.host.update(myip=GIVEN).text == "badauth"
    wait_until(lambda: person.host.addresses() == [], 10, "records removed")


def test_only_with_the_name(person: Person) -> None:
    page = person.browser.open(DELETE)
    for name in ("", "admin", f"{person.name}x"):
        answer = person.browser.send(page, DELETE, name=name)
        assert (answer.status, "This is not your user name." in answer.text) == (422, True)
    assert is_there(person)


def test_only_with_a_recent_sign_in(person: Person, service: Service) -> None:
    """Also a form that was opened in time is refused when it comes too late."""
    fresh, old = person.browser, Browser(service)
    old.enter(person.name, ago=3600)
    assert old.open(DELETE).path.startswith("/login?again=1")
    values = {"csrf": old.open("/account").forms[-1].values["csrf"], "name": person.name}
    assert old.post(DELETE, values).path.startswith("/login?again=1")
    assert fresh.open(DELETE).status == 200
    assert is_there(person)


def test_forms_of_other_sites_delete_nothing(person: Person, alice: Browser) -> None:
    theirs = alice.open(DELETE).form(DELETE).values["csrf"]
    for csrf in (None, "", theirs):
        values = {"name": person.name} | ({} if csrf is None else {"csrf": csrf})
        assert person.browser.post(DELETE, values).status == 403
    mine = person.browser.open(DELETE).form(DELETE).values
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = person.browser.request("POST", DELETE, data=mine | {"name": person.name}, headers=headers)
    assert answer.status_code == 403
    assert alice.post(DELETE, {"csrf": theirs, "name": person.name}).status == 422
    assert is_there(person)


def test_owners_of_domains_see_which(person: Person, service: Service) -> None:
    page = person.browser.open(DELETE)
    domain = f"{new_label()}.example.org"
    service.cli("domain", "add", domain, "--owner", person.name)
    assert person.browser.send(page, DELETE, name=person.name).status == 422
    again = person.browser.open(DELETE)
    assert f'href="/domains/{domain}"' in again.html
    assert all(form.action != DELETE for form in again.forms)
    assert is_there(person)


def test_blocked_hosts_keep_the_account(person: Person, service: Service) -> None:
    service.cli("host", "block", person.host.fqdn)
    answer = person.browser.send(person.browser.open(DELETE), DELETE, name=person.name)
    assert (answer.status, person.host.fqdn in answer.text) == (422, True)
    assert person.browser.open(f"/hosts/{person.host.fqdn}").status == 200


def test_an_administrator_removes_a_user_with_hosts(person: Person, admin: Browser) -> None:
    page, path = admin.open(f"/admin/user/{person.name}"), f"/admin/user/remove/{person.name}"
    assert admin.send(page, path).status == 422
    assert admin.send(page, path, hosts="on").path == "/admin/users"
    assert person.browser.open("/account").path.startswith("/login")
    wait_until(lambda: person.host.addresses() == [], 10, "records removed")
