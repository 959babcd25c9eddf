# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains: listed, added with their zones, changed, removed, asked for, approved and declined."""

import html
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.browser.portal import Browser, Page
from support.ports import wait_until
from support.servers.bind import Server
from support.servers.service import Service

NewUser = Callable[[], tuple[str, Browser]]


def csrf(browser: Browser) -> dict[str, str]:
    return {"csrf": browser.open("/domains/ask").form("/logout").values["csrf"]}


def add(admin: Browser, name: str, **values: str) -> Page:
    return admin.send(admin.open("/domains/new"), "/domains", name=name, do="add", **values)


def test_everybody_sees_what_is_open_to_them(service: Service, admin: Browser, new_user: NewUser) -> None:
    name, owner = new_user()
    _, other = new_user()
    mine, theirs = f"{name}.example.org", f"group.{name}.example.com"
    assert add(admin, mine, owner=name, comment="Their own").status == 200
    assert add(admin, theirs, owner=name, use="group", group="vo.example").status == 200
    assert mine in owner.open("/domains").text
    seen = other.open("/domains").text
    assert service.domain in seen
    assert mine not in seen
    assert theirs not in seen
    for path in (f"/domains/{mine}", f"/domains/{mine}/edit", f"/domains/{theirs}"):
        assert other.open(path).status == 404
        assert owner.open(path).status == 200
    for deed in ("edit", "remove"):
        assert other.post(f"/domains/{mine}/{deed}", csrf(other)).status == 404
    assert other.open(f"/domains/{service.domain}/edit").status == 404  # they see it, and have no form for it
    assert "This is" in admin.open(f"/domains/{mine}").text
    assert "127.0.0.1" not in other.open(f"/domains/{service.domain}").text  # where its primary is


def test_a_domain_is_added_changed_and_removed(service: Service, admin: Browser) -> None:
    name = "made.example.org"
    page = add(admin, name, use="public")
    assert page.path == f"/domains/{name}"
    assert "was added" in page.text
    assert service.dig(name, "SOA") != []
    again = add(admin, name)
    assert again.status == 422
    assert "already exists" in again.text

    edited = admin.send(admin.open(f"/domains/{name}/edit"), f"/domains/{name}/edit", comment="For <all>", ttl="120")
    assert "For &lt;all&gt;" in edited.html
    assert "120 seconds" in edited.text
    wrong = admin.send(admin.open(f"/domains/{name}/edit"), f"/domains/{name}/edit", ttl="no", comment="kept")
    assert wrong.status == 422
    assert wrong.form(f"/domains/{name}/edit").values["comment"] == "kept"

    service.register(f"host.{name}")
    form = admin.open(f"/domains/{name}")
    assert "A domain with hosts cannot be removed" in form.text
    refused = admin.post(f"/domains/{name}/remove", csrf(admin))
    assert refused.status == 409
    assert "has hosts" in refused.text
    service.get("/nic/unregister", service.admin_token, params={"fqdn": f"host.{name}"})
    gone = admin.send(admin.open(f"/domains/{name}"), f"/domains/{name}/remove")
    assert f"{name} was removed." in gone.text
    assert admin.open(f"/domains/{name}").status == 404


def test_administrators_say_which_addresses_and_credentials_a_domain_takes(
    service: Service, admin: Browser, new_user: NewUser
) -> None:
    name, owner = new_user()
    zone = f"{name}.example.org"
    add(admin, zone, owner=name)
    edit = f"/domains/{zone}/edit"
    assert "Credentials in the URL" not in owner.open(edit).text
    token = service.cli("token", "add", name, "--name", "t").stdout.strip()
    basic = (f"host.{zone}", service.register(f"host.{zone}", token, ip="192.0.2.1"))
    admin.send(admin.open(edit), edit, private_addresses=None, query_credentials="on")
    assert "Private addresses refused" in owner.open(f"/domains/{zone}").text
    assert service.get("/nic/update", auth=basic, params={"myip": "10.0.0.1"}).text == "dnserr"
    query = {"username": basic[0], "password": basic[1], "myip": "8.8.8.8"}
    assert service.get("/nic/update", params=query).text == "good 8.8.8.8"
    owner.send(owner.open(edit), edit, private_addresses="on", comment="mine", dns_updates=None)
    shown = owner.open(f"/domains/{zone}").text
    assert "Private addresses refused" in shown
    assert "Updates by DNS refused" in shown


def test_what_was_changed_meanwhile_is_not_overwritten(service: Service, admin: Browser) -> None:
    add(admin, "twice.example.org")
    before = admin.open("/domains/twice.example.org/edit")
    admin.send(before, "/domains/twice.example.org/edit", comment="first")
    second = admin.send(before, "/domains/twice.example.org/edit", comment="second")
    assert second.status == 412
    assert "first" in admin.open("/domains/twice.example.org").text


def test_a_zone_that_is_there_is_checked_and_brought(service: Service, admin: Browser) -> None:
    """The service's own BIND stands for somebody else's: its zone's key is the one that it takes."""
    existing = service.dir / "bind" / "keys" / f"{service.domain}.key"
    _, key_name, _, secret, *_ = existing.read_text().split('"')
    at = f"127.0.0.1:{service.dns_port}"
    brought = {"zone": "bring", "primary": at, "key_name": key_name, "secret": secret}

    refused = add(admin, "not-there.example.org", **brought)
    assert refused.status == 422
    assert "NOTAUTH" in refused.text
    assert refused.form("/domains").values["key_name"] == key_name
    unreachable = add(admin, "not-there.example.org", **(brought | {"primary": "127.0.0.1:1"}))
    assert unreachable.status == 422
    assert f"{at}" not in unreachable.form("/domains").values["primary"]
    for wrong, said in (
        ({"primary": ""}, "Enter the address"),
        ({"secret": "not base64!"}, "base64"),
        ({"primary": "a b"}, "a b"),
    ):
        page = add(admin, "not-there.example.org", **(brought | wrong))
        assert page.status == 422, wrong
        assert said in page.text
    assert admin.open("/domains/not-there.example.org").status == 404


def test_a_domain_over_a_host_is_refused_and_the_host_is_named(service: Service, admin: Browser) -> None:
    fqdn = f"below.taken-zone.{service.domain}"
    service.register(fqdn, ip="192.0.2.1")
    for what in ("check", "add"):
        page = admin.send(admin.open("/domains/new"), "/domains", name=f"taken-zone.{service.domain}", do=what)
        assert page.status == 422
        assert (
            f"The name of the host {fqdn} is in taken-zone.{service.domain}. Rename or remove the host first."
            in page.text
        )
    assert service.dig(fqdn) == ["192.0.2.1"]


def test_only_checking_changes_nothing(service: Service, admin: Browser) -> None:
    page = admin.send(admin.open("/domains/new"), "/domains", name="checked.example.org", do="check")
    assert "The check was successful" in page.text
    assert page.form("/domains").values["name"] == "checked.example.org"
    assert admin.open("/domains/checked.example.org").status == 404
    assert service.dig("checked.example.org", "SOA") == []


def test_a_key_for_a_zone_of_ones_own_is_made_and_taken(service: Service, admin: Browser, tmp_path: Path) -> None:
    form = admin.open("/domains/new").form("/domains").values
    page = admin.post("/domains/key", {**form, "name": "own.example.org", "algorithm": "hmac-sha512"})
    assert page.status == 200
    filled = page.form("/domains").values
    assert (filled["zone"], filled["key_name"]) == ("bring", "ddnsd.own.example.org")
    secret = filled["secret"]
    assert len(secret) == 88
    assert f'secret "{secret}";' in page.html
    assert "zonesub ANY" in page.text
    assert secret not in admin.open("/domains/new").html
    assert admin.post("/domains/key", {**form, "name": "no dot"}).status == 422

    untaken = admin.send(page, "/domains", primary=f"127.0.0.1:{service.dns_port}", do="check")
    assert untaken.status == 422
    assert "BADKEY" in untaken.text or "does not know" in untaken.text


async def test_what_the_page_shows_makes_a_name_server_take_updates(
    service: Service, admin: Browser, new_user: NewUser, tmp_path: Path
) -> None:
    """The shown statements go into a BIND as they are; then its owner sees how it is, in words."""
    name, owner = new_user()
    zone = f"{name}.example.com"
    form = admin.open("/domains/new").form("/domains").values
    page = admin.post("/domains/key", {**form, "name": zone, "owner": name, "use": "private"})
    (shown,) = re.findall(r"<pre[^>]*><code>(key .*?)</code></pre>", page.html, re.S)
    server = Server(tmp_path / "theirs", statements=html.unescape(shown))
    server.folder.mkdir()
    (server.folder / f"{zone}.zone").write_text(
        f"$TTL 60\n@ SOA ns.{zone}. admin.{zone}. 1 3600 600 86400 60\n@ NS ns.{zone}.\nns A 127.0.0.1\n"
    )
    await server.start()
    try:
        at = str(server.endpoint)
        assert "The check was successful" in admin.send(page, "/domains", primary=at, do="check").text
        added = admin.send(page, "/domains", primary=at, do="add")
        assert added.path == f"/domains/{zone}", added.text
        wait_until(lambda: "answers" in owner.open(f"/domains/{zone}").text, what="a first look")
        assert "existing, updated with a key" in owner.open(f"/domains/{zone}").text
        secret = service.register(f"host.{zone}", service.cli("token", "add", name, "--name", "t").stdout.strip())
        basic = (f"host.{zone}", secret)
        assert service.get("/nic/update", auth=basic, params={"myip": "192.0.2.9"}).text == "good 192.0.2.9"
        assert await server.ask(f"host.{zone}") == ["192.0.2.9"]
    finally:
        await server.stop()
    wait_until(lambda: "does not answer" in owner.open(f"/domains/{zone}").text, what="its silence on the page")
    assert at in owner.open(f"/domains/{zone}").text
    assert "does not answer" in owner.open("/domains").text


def test_adding_is_for_administrators(alice: Browser) -> None:
    assert alice.open("/domains/new").status == 403
    for path in ("/domains", "/domains/key"):
        assert alice.post(path, {"name": "a.example.org", **csrf(alice)}).status == 403
    assert 'href="/domains/new"' not in alice.open("/domains").html


# ---- asking


def ask(browser: Browser, name: str, reason: str = "For the machines of the project.") -> Page:
    return browser.send(browser.open("/domains/ask"), "/domains/ask", name=name, reason=reason)


def request_id(admin: Browser, name: str) -> str:
    found = re.search(rf'href="/admin/requests/(\d+)">{re.escape(name)}<', admin.open("/admin/requests").html)
    assert found, f"no open request for {name}"
    return found[1]


def test_a_request_is_approved_and_the_domain_is_theirs(service: Service, admin: Browser, new_user: NewUser) -> None:
    name, user = new_user()
    wanted = f"{name}.example.net"
    assert f"You have requested {wanted}." in ask(user, wanted).text
    again = ask(user, wanted)
    assert again.status == 422
    assert "You have already requested" in again.text

    number = request_id(admin, wanted)
    page = admin.open(f"/admin/requests/{number}")
    assert "For the machines of the project." in page.text
    done = admin.send(page, f"/admin/requests/{number}/approve", answer="Have fun.")
    assert f"{name} now owns the domain {wanted}." in done.text
    assert service.dig(wanted, "SOA") != []
    listed = user.open("/domains").text
    assert "approved" in listed
    assert "Have fun." in listed
    assert user.open(f"/domains/{wanted}/edit").status == 200
    assert admin.post(f"/admin/requests/{number}/approve", csrf(admin)).status in (412, 422)


def test_a_request_is_declined_with_a_reason(admin: Browser, new_user: NewUser) -> None:
    name, user = new_user()
    wanted = f"{name}.example.net"
    ask(user, wanted)
    number = request_id(admin, wanted)
    page = admin.open(f"/admin/requests/{number}")
    without = admin.send(page, f"/admin/requests/{number}/decline", why=" ")
    assert without.status == 422
    admin.send(page, f"/admin/requests/{number}/decline", why="Use dyn.example.org.")
    listed = user.open("/domains").text
    assert "declined" in listed
    assert "Use dyn.example.org." in listed


def test_a_request_is_withdrawn_by_its_user_alone(admin: Browser, alice: Browser, new_user: NewUser) -> None:
    name, user = new_user()
    ask(user, f"{name}.example.net")
    number = request_id(admin, f"{name}.example.net")
    assert alice.post(f"/domains/requests/{number}/withdraw", csrf(alice)).status == 404
    assert alice.open(f"/admin/requests/{number}").status == 403
    assert alice.post(f"/admin/requests/{number}/approve", csrf(alice)).status == 403
    gone = user.send(user.open("/domains"), f"/domains/requests/{number}/withdraw")
    assert "The request was withdrawn." in gone.text
    assert f"/admin/requests/{number}" not in admin.open("/admin/requests").html
    assert f"/admin/requests/{number}" in admin.open("/admin/requests?state=all").html


@pytest.mark.parametrize(
    ("name", "reason", "field"),
    [("no-dot", "why", "f-name"), ("a_b.example.org", "why", "f-name"), ("x.example.org", "", "f-reason")],
)
def test_what_cannot_be_asked_for(alice: Browser, name: str, reason: str, field: str) -> None:
    page = ask(alice, name, reason)
    assert page.status == 422
    assert re.search(rf'id="{field}"[^>]*aria-invalid="true"', page.html)
