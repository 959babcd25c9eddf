# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens and keys: made, shown once, limited, used, and made void."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from support.browser.portal import Browser, Page, entered, password_of
from support.clients.dns_update import Client, add, delete
from support.ports import free_port
from support.servers.service import DOMAIN, Service, dev

NewUser = Callable[[], tuple[str, Browser]]


def shown_secret(page: Page) -> str:
    """The secret in its box, which is nowhere else that it could be read later."""
    (found,) = re.findall(r'<div class="secret">\s*<div class="copy">\s*<code[^>]*>([^<]+)</code>', page.html)
    return str(found)


def token_of(page: Page) -> str:
    assert page.status == 200, page.text
    assert page.answer.headers["cache-control"] == "no-store"
    return shown_secret(page)


def make(browser: Browser, **values: object) -> Page:
    """Fill in the form; the reader of forms keeps one value of a name, and both boxes are ticked on the page."""
    return browser.send(browser.open("/tokens/new"), "/tokens", **{"scopes": ["read", "write"], **values})


def test_nobody_is_led_to_the_sign_in(service: Service) -> None:
    for path in ("/tokens", "/tokens/new", "/keys", "/keys/new"):
        page = Browser(service).open(path)
        assert page.path.startswith("/login?next=")


def test_an_empty_list_says_what_to_do(alice: Browser) -> None:
    assert "No keys yet" in alice.open("/keys").text
    page = alice.open("/keys/new")
    assert 'href="/hosts/new"' in page.html
    assert [form.action for form in page.forms if form.action == "/keys"] == []


def test_a_token_is_made_used_and_revoked(service: Service, new_user: NewUser) -> None:
    name, browser = new_user()
    token = token_of(make(browser, name="pipeline"))
    listed = browser.open("/tokens")
    assert token not in listed.html
    assert "pipeline" in listed.text
    own = service.get("/api/tokens", token).json()["items"]
    made = next(item for item in own if item["name"] == "pipeline")
    assert set(made["scopes"]) == {"read", "write"}
    assert made["expires"] is not None
    assert service.get("/api/users/me", token).json()["name"] == name

    gone = browser.send(listed, f"/tokens/{made['id']}/revoke")
    assert "The token pipeline was revoked." in gone.text
    assert service.get("/api/users/me", token).status_code == 401
    assert browser.post(f"/tokens/{made['id']}/revoke", {"csrf": csrf(gone)}).status == 404


def test_a_token_outlives_the_session_only_after_a_fresh_sign_in(service: Service, new_user: NewUser) -> None:
    name, _ = new_user()
    browser = entered(service, name, ago=3600)
    page = browser.open("/tokens/new")
    assert "the token ends with this session" in page.text
    assert "never expires" not in page.text
    late = make(browser, name="late", lifetime="90")
    assert (late.status, "Sign in again to create" in late.text) == (422, True)
    token = token_of(make(browser, name="short", lifetime=""))
    (short,) = service.get("/api/tokens", token).json()["items"]
    week = datetime.now(UTC) + timedelta(days=7)
    assert datetime.fromisoformat(short["expires"]) <= week
    again = browser.open("/login?again=1&next=/tokens/new")
    assert f'value="{name}"' in again.html
    password = password_of(service, name)
    assert browser.send(again, "/login", password="wrong").status == 403  # the session stays
    fresh = browser.send(browser.open("/login?again=1&next=/tokens/new"), "/login", password=password)
    assert (fresh.path, "never expires" in fresh.text) == ("/tokens/new", True)
    token_of(make(browser, name="long", lifetime=""))
    items = service.get("/api/tokens", token).json()["items"]
    assert {item["name"]: item["expires"] for item in items}["long"] is None


def test_a_token_with_admin_rights_needs_a_recent_sign_in(service: Service, admin: Browser) -> None:
    browser = entered(service, "admin", ago=3600)
    for scopes in ("admin", ["read", "write", "admin"]):
        page = make(browser, name="taken-over", lifetime="1", scopes=scopes)
        assert page.status == 422
        assert "Sign in again to create a token with this permission." in page.text
        assert 'href="/login?again=1&amp;next=%2Ftokens%2Fnew"' in page.html
    names = [token["name"] for token in service.get("/api/tokens", service.admin_token).json()["items"]]
    assert "taken-over" not in names
    read = token_of(make(browser, name="less", lifetime="1", scopes="read"))
    assert service.get("/api/users", read).status_code == 403
    granted = token_of(make(admin, name="more", lifetime="1", scopes="admin"))
    assert service.get("/api/users", granted).status_code == 200


def csrf(page: Page) -> str:
    return page.form("/logout").values["csrf"]


def test_limits_are_kept(service: Service, alice: Browser) -> None:
    token = token_of(
        make(alice, name="limited", scopes="read", hosts="web-*.dyn.example.org", networks="192.0.2.7/24", lifetime="")
    )
    assert "192.0.2.0/24" in alice.open("/tokens").text
    own = token_of(make(alice, name="own stack", scopes="read", stacks="Web-* db", lifetime=""))
    made = {item["name"]: item["stacks"] for item in service.get("/api/tokens", own).json()["items"]}
    assert made == {"own stack": ["Web-*", "db"]}
    assert "Web-* db" in alice.open("/tokens").text
    assert service.get("/api/tokens", token).status_code == 401  # it is used from elsewhere


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": ""}, "Enter a name."),
        ({"name": "kept <b>" * 13}, "Enter at most 100 characters."),
        ({"scopes": None}, "Choose at least one."),
        ({"scopes": "admin"}, "You can give at most the rights that you have yourself: read write."),
        ({"domains": "exa mple_.org"}, "mple_.org is not a name or a pattern such as *.example.org."),
        ({"networks": "192.0.2.0/33"}, "192.0.2.0/33 is not an address or a network such as 192.0.2.0/24."),
        ({"hosts": "*.example.org " * 101}, "Enter at most 100."),
        ({"lifetime": "9999999"}, "Choose one of '1', '30', '90' or '365'."),
    ],
)
def test_what_is_wrong_stands_at_its_field(alice: Browser, wrong: dict[str, str], said: str) -> None:
    page = make(alice, **{"name": "kept <b>", **wrong})
    assert page.status == 422
    assert said in page.text
    assert "kept &lt;b&gt;" in page.html or wrong.get("name") == ""
    assert "kept" not in alice.open("/tokens").text


def test_all_that_is_wrong_is_said_at_once_and_kept(alice: Browser) -> None:
    wrong = {"name": "", "scopes": None, "domains": "a_b", "networks": "192.0.2.0/33", "lifetime": "30"}
    page = make(alice, **wrong)
    assert page.status == 422
    for said in (
        "Enter a name.",
        "Choose at least one.",
        "a_b is not a name or a pattern such as *.example.org.",
        "192.0.2.0/33 is not an address or a network such as 192.0.2.0/24.",
    ):
        assert said in page.text
    values = page.form("/tokens").values
    assert (values["domains"], values["networks"], values["lifetime"]) == ("a_b", "192.0.2.0/33", "30")


def test_a_pattern_in_capitals_is_one_in_small_letters(service: Service, alice: Browser) -> None:
    token = token_of(make(alice, name="capitals", hosts="WEB.Example.ORG"))
    assert service.get("/api/tokens", token).json()["items"][0]["hosts"] == ["web.example.org"]


def test_a_name_is_given_once(alice: Browser) -> None:
    token_of(make(alice, name="same"))
    again = make(alice, name="same")
    assert again.status == 422
    assert "already has a token named same." in again.text


def test_nobody_revokes_or_sees_the_tokens_of_others(service: Service, new_user: NewUser, alice: Browser) -> None:
    _, bob = new_user()
    token = token_of(make(bob, name="of-bob"))
    number = next(i["id"] for i in service.get("/api/tokens", token).json()["items"] if i["name"] == "of-bob")
    assert "of-bob" not in alice.open("/tokens").text
    assert alice.post(f"/tokens/{number}/revoke", {"csrf": csrf(alice.open("/tokens"))}).status == 404
    assert service.get("/api/users/me", token).status_code == 200


# ---- keys


def test_a_key_updates_its_hosts_until_it_is_revoked(service: Service, new_user: NewUser) -> None:
    name, browser = new_user()
    api = service.cli("token", "add", name, "--name", "api").stdout.strip()
    hosts = [f"{name}-k{n}.{service.domain}" for n in (1, 2)]
    for host in hosts:
        service.register(host, api)

    form = browser.open(f"/keys/new?host={hosts[0]}")
    assert form.form("/keys").values["hosts"] == hosts[0]
    page = browser.send(form, "/keys", name="router", hosts=hosts)
    assert page.status == 200, page.text
    secret = shown_secret(page)
    (login,) = re.findall(r'<code aria-label="the login">([^<]+)</code>', page.html)
    assert f"{login}:{secret}" in page.html  # the configurations are filled in

    answer = service.get("/nic/update", auth=(login, secret), params={"myip": "192.0.2.55"})
    assert answer.text == "good 192.0.2.55\ngood 192.0.2.55"
    listed = browser.open("/keys")
    assert secret not in listed.html
    assert all(host in listed.text for host in hosts)
    assert "The key router was revoked." in browser.send(listed, f"/keys/{login}/revoke").text
    assert service.get("/nic/update", auth=(login, secret)).text == "badauth"


def test_a_key_is_for_own_hosts_alone(service: Service, new_user: NewUser, alice: Browser) -> None:
    name, _ = new_user()
    token = service.cli("token", "add", name, "--name", "api").stdout.strip()
    service.register(f"{name}-theirs", token)
    own_name, own = new_user()
    service.register(f"{own_name}-own", service.cli("token", "add", own_name, "--name", "api").stdout.strip())
    page = own.send(own.open("/keys/new"), "/keys", name="mine", hosts=f"{name}-theirs.{service.domain}")
    assert page.status == 422
    assert f"{own_name} has no such host: {name}-theirs.{service.domain}." in page.text
    page = own.send(own.open("/keys/new"), "/keys", name="", hosts=None)
    assert page.status == 422
    assert "Enter a name." in page.text
    assert "Choose at least one." in page.text
    page = own.send(own.open("/keys/new"), "/keys", name="mine", hosts="nas")
    assert page.status == 422
    assert "nas is not a full name such as www.example.org." in page.text
    assert page.form("/keys").values["name"] == "mine"
    assert "No keys yet" in own.open("/keys").text


def tsig_of(page: Page) -> list[str]:
    """Algorithm, name and secret of the TSIG key on a page."""
    (found,) = re.findall(r"<code[^>]*>(hmac-[^<]+)</code>", page.html)
    return str(found).split(":")


def test_new_secrets_have_their_tsig_key_beside_them(
    service: Service, alice: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert "TSIG" not in make(alice, name="no port").text
    with dev(tmp_path_factory.mktemp("tsig"), update_listen=f"127.0.0.1:{free_port()}") as by_dns:
        browser = entered(by_dns, "admin")
        name = f"shown{time.monotonic_ns()}.{DOMAIN}"
        values = {"name": name.partition(".")[0], "domain": DOMAIN}
        shown = [browser.send(browser.open("/hosts/new"), "/hosts/new", **values)]
        shown.append(browser.send(browser.open("/keys/new"), "/keys", name="router", hosts=name))
        shown.append(make(browser, name="pipeline"))
        token = by_dns.get("/api/tokens", shown_secret(shown[-1])).json()["items"][-1]
        names = []
        for number, page in enumerate(shown):
            algorithm, key_name, secret = tsig_of(page)
            client = Client(by_dns, key_name, "", tsig=secret)
            address = f"192.0.2.{number + 1}"
            assert client.send(delete(name, "A"), add(name, "A", address)) == "NOERROR"
            assert by_dns.dig(name) == [address]
            names.append((algorithm, key_name))
        key = by_dns.get("/api/keys", by_dns.admin_token).json()["items"][0]
        assert names == [("hmac-sha256", owner) for owner in (name, key["login"], f"t-{token['id']}")]
        browser.cookies["ddns-language"] = "de"
        german = make(browser, name="deutsch")
        assert "TSIG-Schlüssel" in german.text
        values = browser.open("/tokens/new").form("/tokens").values | {"name": "revoked"}
        revoked = browser.request("POST", "/tokens", data=values)
        (last,) = (t for t in by_dns.get("/api/tokens", by_dns.admin_token).json()["items"] if t["name"] == "revoked")
        browser.send(browser.open("/tokens"), f"/tokens/{last['id']}/revoke")
        late = browser.open(revoked.headers["location"])
        assert (late.status, "TSIG" in late.text) == (200, False)
