# SPDX-License-Identifier: GPL-3.0-or-later
"""Passkeys: adding them, signing in with them alone and after a password, and ways around them."""

import json
import re
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from threading import Event

import pyotp
import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, CDPSession, expect
from playwright.sync_api import Page as Window
from support.authenticator import PRESENT, Authenticator
from support.browser import chromium
from support.browser.passkeys import ALONE, FACTORS, PASSKEYS, SECOND, add, answer, options, sign_in
from support.browser.portal import Browser, Page, entered, password_of
from support.ports import wait_until
from support.servers.service import Service, beside, dev, named_dev

SESSION = "__Host-ddns"
LOGIN_STATE, PENDING = "__Host-ddns-signin", "__Host-ddns-second"
CODE = re.compile(r"[a-z2-9]{4}(?:-[a-z2-9]{4}){3}")
_numbers = count(1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a name: browsers have no passkeys for an IP address."""
    with named_dev(tmp_path_factory.mktemp("passkeys")) as running:
        yield running


@pytest.fixture
def local(site: Service) -> tuple[str, Browser]:
    """A user with a password, and a browser of theirs."""
    name = f"local{next(_numbers)}"
    site.user(name)
    password_of(site, name)
    return name, entered(site, name)


def password_given(site: Service, name: str) -> tuple[Browser, Page]:
    """A browser in which the password was given, and the page after it."""
    browser = Browser(site)
    return browser, browser.send(browser.open("/login"), "/login", name=name, password=password_of(site, name))


def methods(browser: Browser) -> list[str]:
    """The details of the sign-ins in the user's security log, the newest first."""
    log = browser.open("/account/log").html
    return re.findall(r">Signed in</td>\s*<td[^>]*>([^<]*)</td>", log)


# ---- what they are for


def test_a_passkey_signs_in_alone(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    device, other = Authenticator(site.url), entered(site, name)
    page = add(browser, device, "Blue key")
    assert page.path.startswith(f"{FACTORS}/codes?made="), page.text
    assert len(set(CODE.findall(page.html))) == 10
    assert other.open("/account").path.startswith("/login")  # it came with the password alone
    assert "Blue key" in browser.open(FACTORS).text
    fresh = Browser(site)
    page = sign_in(fresh, device)
    assert (page.path, page.status) == ("/", 200)
    assert methods(fresh) == ["passkey"]
    assert "Passkey" in fresh.open("/account").text
    assert not fresh.open(f"{PASSKEYS}/new").path.startswith("/login")  # it is a recent sign-in
    assert re.search(r"passkey Blue key since \S+, last used \S+\n10 recovery codes", factors_of(site, name))
    events = site.request("GET", f"/api/events?object={name}", site.admin_token).text
    assert "passkey Blue key" in events


def test_a_passkey_is_the_second_factor(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    device = Authenticator(site.url, flags=PRESENT)  # a key without a PIN is enough after the password
    codes = CODE.findall(add(browser, device).html)
    fresh, page = password_given(site, name)
    assert SESSION not in fresh.cookies
    assert "One of your recovery codes." in page.text
    assert answer(fresh, page, device, SECOND).status == 200
    assert methods(fresh) == ["password+passkey"]
    assert "Password and passkey" in fresh.open("/account").text
    recovered, page = password_given(site, name)
    assert recovered.send(page, "/login/code", code=codes[0]).status == 200
    assert "You have 9 recovery codes." in recovered.open(FACTORS).text


def test_a_sign_in_leads_to_the_page_that_was_asked_for(site: Service, local: tuple[str, Browser]) -> None:
    device = Authenticator(site.url)
    add(local[1], device)
    fresh = Browser(site)
    page = fresh.open("/hosts/new")
    assert page.path.startswith("/login?next=")
    assert answer(fresh, page, device).path == "/hosts/new"
    again = fresh.open("/login?again=1&next=/account")
    assert answer(fresh, again, device).path == "/account"


def test_passkeys_have_names(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    devices = [Authenticator(site.url) for _ in range(2)]
    for number, device in enumerate(devices):
        assert add(browser, device, f"key {number}").status == 200
    first, second = passkeys_of(browser)
    page = browser.open(f"{PASSKEYS}/{first}")
    for wrong in ("", " ", "x" * 101, "a\tb"):
        assert browser.send(page, f"{PASSKEYS}/{first}", name=wrong).status == 422
    assert "key 1" in browser.open(FACTORS).text
    page = browser.send(page, f"{PASSKEYS}/{first}", name="Grüner Schlüssel")
    assert "Grüner Schlüssel" in page.text
    assert "Passkey renamed passkey key 0, now Grüner Schlüssel" in browser.open("/account/log").text
    signed_in = Browser(site)
    sign_in(signed_in, devices[1])
    page = browser.send(browser.open(FACTORS), f"{PASSKEYS}/{second}/remove")
    assert "The passkey was removed." in page.text
    assert "recovery codes" in page.text
    assert signed_in.open("/account").path.startswith("/login")  # the session of the removed passkey has ended
    assert browser.open("/account").path == "/account"
    page = browser.send(browser.open(FACTORS), f"{PASSKEYS}/{first}/remove")
    assert "recovery code" not in page.text
    assert factors_of(site, name) == ""
    assert password_given(site, name)[1].path == "/"


def test_an_app_beside_passkeys(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    device = Authenticator(site.url)
    codes = CODE.findall(add(browser, device).html)
    page = browser.open(f"{FACTORS}/app")
    found = re.search(r"<code[^>]*>([A-Z2-7 ]{32,})</code>", page.html)
    assert found
    page = browser.send(page, f"{FACTORS}/app", code=pyotp.TOTP(found[1].replace(" ", "")).now())
    assert "The app was added." in page.text
    page = browser.send(page, f"{PASSKEYS}/{passkeys_of(browser)[0]}/remove")
    assert "You have 10 recovery codes." in page.text  # the first ones: the app is left
    waiting, page = password_given(site, name)
    assert waiting.send(page, "/login/code", code=codes[0]).status == 200
    add(waiting, device)
    page = waiting.send(waiting.open(FACTORS), f"{FACTORS}/app/remove")
    assert "You have 9 recovery codes." in page.text


def test_lost_passkeys_are_removed_for_the_user(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    add(browser, Authenticator(site.url))
    assert site.cli("user", "second-factor", name, "--remove").stdout == ""
    assert browser.open("/account").path.startswith("/login")
    assert password_given(site, name)[1].path == "/"
    admin, fresh = entered(site, "admin"), entered(site, name)
    add(fresh, Authenticator(site.url))
    page = admin.open(f"/admin/user/{name}")
    assert "1 passkey, 10 recovery codes" in page.text
    assert "The second factors were removed." in admin.send(page, f"/admin/user/factors/{name}").text
    assert factors_of(site, name) == ""
    assert fresh.open("/account").path.startswith("/login")


def test_there_is_a_maximum(site: Service, local: tuple[str, Browser]) -> None:
    _, browser = local
    for number in range(20):
        assert add(browser, Authenticator(site.url), f"key {number}").status == 200
    page = browser.open(f"{PASSKEYS}/new")
    assert page.path == FACTORS
    assert "You have 20 passkeys, which is the maximum." in page.text


def test_a_passkey_belongs_to_a_user_with_a_password(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    device = Authenticator(site.url)
    add(browser, device)
    site.cli("user", "password", name, "--remove")
    assert sign_in(Browser(site), device).status == 403
    without = f"oidc{next(_numbers)}"
    site.user(without)
    assert entered(site, without).open(f"{PASSKEYS}/new").status == 404


def test_a_deleted_user_takes_their_passkeys_along(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    device = Authenticator(site.url)
    add(browser, device)
    assert site.request("DELETE", f"/api/users/{name}", site.admin_token).status_code == 204
    assert sign_in(Browser(site), device).status == 403
    site.user(name)
    site.cli("user", "password", name, stdin=f"{secrets.token_urlsafe(16)}\n")
    heir = entered(site, name)
    assert "Telephone" not in heir.open(FACTORS).text
    assert add(heir, device).status == 200  # nobody has it


def passkeys_of(browser: Browser) -> list[str]:
    """The ids of the user's passkeys, the oldest first."""
    return re.findall(rf"{PASSKEYS}/(\d+)/remove", browser.open(FACTORS).html)


def factors_of(site: Service, name: str) -> str:
    return site.cli("user", "second-factor", name).stdout.strip()


# ---- ways around them


def test_other_origins_are_refused(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    device = Authenticator(site.url)
    add(browser, device)
    for origin in (f"http://127.0.0.1:{site.http_port}", "http://localhost", "https://localhost", "null", ""):
        assert sign_in(Browser(site), replace(device, origin=origin)).status == 403
        waiting, page = password_given(site, name)
        assert answer(waiting, page, replace(device, origin=origin), SECOND).status == 403
        assert SESSION not in waiting.cookies
        page = browser.open(f"{PASSKEYS}/new")
        foreign = Authenticator(origin).create(options(page, PASSKEYS))
        assert browser.send(page, PASSKEYS, name="x", credential=foreign).status == 422
    assert sign_in(Browser(site), replace(device, rp_id="example.org")).status == 403
    assert len(passkeys_of(browser)) == 1


def test_passkeys_of_other_users_are_refused(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    other = f"other{next(_numbers)}"
    site.user(other)
    password_of(site, other)
    own, theirs = Authenticator(site.url), Authenticator(site.url)
    add(browser, own)
    add(entered(site, other), theirs)
    waiting, page = password_given(site, name)
    assert answer(waiting, page, theirs, SECOND).status == 403
    assert answer(waiting, page, replace(theirs, credential_id=own.credential_id), SECOND).status == 403
    assert sign_in(Browser(site), replace(theirs, handle=own.handle)).status == 403
    assert sign_in(Browser(site), replace(theirs, handle=None)).status == 403
    assert sign_in(Browser(site), replace(own, credential_id=secrets.token_bytes(32))).status == 403
    assert sign_in(Browser(site), replace(own, key=theirs.key)).status == 403
    page = browser.open(f"{PASSKEYS}/new")
    stolen = replace(theirs).create(options(page, PASSKEYS))
    page = browser.send(page, PASSKEYS, name="x", credential=stolen)
    assert "This passkey is already in use." in page.text
    form = browser.open(FACTORS).form("/logout").values["csrf"]
    foreign = passkeys_of(entered_again(site, theirs))[0]
    assert browser.open(f"{PASSKEYS}/{foreign}").status == 404
    for path in (f"{PASSKEYS}/{foreign}", f"{PASSKEYS}/{foreign}/remove"):
        assert browser.post(path, {"csrf": form, "name": "mine"}).status in (404, 422)
    assert sign_in(Browser(site), theirs).status == 200


def entered_again(site: Service, device: Authenticator) -> Browser:
    browser = Browser(site)
    assert sign_in(browser, device).status == 200
    return browser


def test_an_answer_works_once_and_in_its_browser(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    device = Authenticator(site.url, count=0)  # without a counter, the challenge alone must do
    add(browser, device)
    fresh = Browser(site)
    page, cookies = fresh.open("/login"), dict(fresh.cookies)
    values = page.form(ALONE).values | {"credential": device.get(options(page, ALONE))}
    stranger = Browser(site)
    stranger.open("/login")
    assert stranger.post(ALONE, values).status == 403  # another browser
    own = stranger.open("/login").form(ALONE).values["attempt"]
    assert stranger.post(ALONE, values | {"attempt": own}).status == 403
    assert fresh.post(ALONE, values).path == "/"
    replayed = Browser(site, cookies=cookies)
    assert replayed.post(ALONE, values).status == 403
    assert SESSION not in replayed.cookies
    waiting, page = password_given(site, name)
    cookies = dict(waiting.cookies)
    values = page.form(SECOND).values | {"credential": device.get(options(page, SECOND))}
    assert waiting.post(SECOND, values).path == "/"
    replayed = Browser(site, cookies=cookies)
    assert replayed.post(SECOND, values).status == 403
    assert SESSION not in replayed.cookies


def test_the_answer_to_one_question_is_none_to_another(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    device = Authenticator(site.url)
    add(browser, device)
    waiting, page = password_given(site, name)
    second = device.get(options(page, SECOND))
    values = page.form(SECOND).values
    assert waiting.post(ALONE, values | {"credential": second}).status == 403
    waiting, page = password_given(site, name)
    state = waiting.cookies[LOGIN_STATE]
    alone = Browser(site)
    offered = alone.open("/login")
    answered = device.get(options(offered, ALONE))
    waiting.cookies[LOGIN_STATE] = alone.cookies[LOGIN_STATE]
    values = {"attempt": offered.form(ALONE).values["attempt"], "credential": answered}
    assert waiting.post(SECOND, values).status == 403
    waiting.cookies[LOGIN_STATE] = state
    assert answer(waiting, page, device, SECOND).status == 200


def test_the_password_must_be_given_before_the_second_factor(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    device = Authenticator(site.url)
    add(browser, device)
    waiting, page = password_given(site, name)
    values = page.form(SECOND).values | {"credential": device.get(options(page, SECOND))}
    del waiting.cookies[PENDING]
    assert waiting.post(SECOND, values).status == 403
    assert SESSION not in waiting.cookies
    assert not [form for form in waiting.open("/login?second=1").forms if form.action == SECOND]


def test_without_verification_a_passkey_is_only_a_second_factor(site: Service, local: tuple[str, Browser]) -> None:
    device = Authenticator(site.url, flags=PRESENT)
    add(local[1], device)
    assert sign_in(Browser(site), device).status == 403


def test_a_counter_does_not_go_back(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    device = Authenticator(site.url)
    add(browser, device)
    clone = replace(device)
    assert [sign_in(Browser(site), device).status for _ in range(2)] == [200, 200]
    assert sign_in(Browser(site), clone).status == 403
    waiting, page = password_given(site, name)
    assert answer(waiting, page, replace(device, count=0), SECOND).status == 403
    assert answer(waiting, page, device, SECOND).status == 200


def test_a_removed_passkey_is_refused(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    gone, kept = Authenticator(site.url), Authenticator(site.url)
    add(browser, gone)
    add(browser, kept)
    page = browser.open(FACTORS)
    late, offered = password_given(site, name)
    browser.send(page, f"{PASSKEYS}/{passkeys_of(browser)[0]}/remove")
    assert sign_in(Browser(site), gone).status == 403
    assert answer(late, offered, gone, SECOND).status == 403
    assert sign_in(Browser(site), kept).status == 200


def test_a_disabled_user_is_not_let_in_by_a_passkey(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    device = Authenticator(site.url)
    add(browser, device)
    waiting, offered = password_given(site, name)
    site.cli("user", "suspend", name, "--reason", "Spam")
    refused = Browser(site)
    for page in (sign_in(refused, device), answer(waiting, offered, device, SECOND)):
        assert page.status == 403
        assert "Spam" in page.text
    wrong = sign_in(refused, replace(device, key=Authenticator("").key))
    assert "Spam" not in wrong.text
    assert SESSION not in refused.cookies | waiting.cookies
    site.cli("user", "resume", name)
    assert sign_in(refused, device).status == 200


def test_changes_need_a_recent_sign_in(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    old = entered(site, name, ago=3600)
    assert old.open(f"{PASSKEYS}/new").path.startswith("/login?again=1")
    page = browser.open(f"{PASSKEYS}/new")
    csrf = old.open("/account").form("/logout").values["csrf"]
    credential = Authenticator(site.url).create(options(page, PASSKEYS))
    values = page.form(PASSKEYS).values | {"name": "x", "credential": credential, "csrf": csrf}
    assert old.post(PASSKEYS, values).path.startswith("/login?again=1")
    device = Authenticator(site.url)
    add(browser, device)
    old = entered(site, name, ago=3600)
    csrf = old.open("/account").form("/logout").values["csrf"]
    page = old.post(f"{PASSKEYS}/{passkeys_of(browser)[0]}/remove", {"csrf": csrf})
    assert "Nothing was changed." in page.text
    assert sign_in(Browser(site), device).status == 200


def test_a_new_passkey_is_made_in_the_session_that_asked(site: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    page, other = browser.open(f"{PASSKEYS}/new"), entered(site, name)
    credential = Authenticator(site.url).create(options(page, PASSKEYS))
    elsewhere = other.open(f"{PASSKEYS}/new")
    values = {"name": "x", "credential": credential, "asked": page.form(PASSKEYS).values["asked"]}
    assert other.send(elsewhere, PASSKEYS, **values).status == 422
    for asked in ("", "1.x", "x", "9" * 30, "٣.x", values["asked"] + "x"):
        assert browser.send(page, PASSKEYS, **(values | {"asked": asked})).status == 422
    for text in ("", "null", "{}", "[" * 10_000, json.dumps({"id": 1}), "x" * 60_000):
        assert browser.send(page, PASSKEYS, **(values | {"credential": text})).status == 422
        assert Browser(site).post(ALONE, {"credential": text}).status == 403
        fresh = Browser(site)
        assert fresh.send(fresh.open("/login"), ALONE, credential=text).status == 403
    assert factors_of(site, name) == ""
    assert "Traceback" not in site.log.read_text()
    assert browser.send(page, PASSKEYS, **values).status == 200
    assert browser.send(page, PASSKEYS, **values, once="another").status == 422  # it works once


def test_an_answer_works_once_on_all_nodes(tmp_path: Path, new_database: Callable[[], str]) -> None:
    url = new_database()
    with named_dev(tmp_path / "first", database_url=url) as first:
        first.user("ann")
        first.cli("user", "password", "ann", stdin="correct horse battery\n")
        signed_in = Browser(first)
        signed_in.send(signed_in.open("/login"), "/login", name="ann", password="correct horse battery")
        device = Authenticator(first.url, count=0)
        assert add(signed_in, device).status == 200
        key = str(tmp_path / "first" / "second_factor.key")
        with beside(first, tmp_path / "second", url, second_factor_key=key, public_url=first.url) as second:
            browser = Browser(first)
            page, cookies = browser.open("/login"), dict(browser.cookies)
            values = page.form(ALONE).values | {"credential": device.get(options(page, ALONE))}
            nodes = [Browser(node, cookies=dict(cookies)) for node in (second, first, second)]
            assert [node.post(ALONE, values).status for node in nodes] == [200, 403, 403]
            assert sign_in(Browser(second), device).status == 200


# ---- guesses, and administrators


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"rules": "on", "signin_failures": "3", "admin_second_factor": "on", "trusted_proxies": "127.0.0.0/8"}
    with named_dev(tmp_path_factory.mktemp("strict"), **settings) as running:
        yield running


def behind(site: Service, source: str) -> Browser:
    """A browser with this address."""
    return Browser(site, headers={"X-Forwarded-For": source})


def test_failures_stop_nobody_else(strict: Service) -> None:
    strict.user("gil")
    password_of(strict, "gil")
    device = Authenticator(strict.url)
    add(entered(strict, "gil"), device)
    wrong, before = replace(device, key=Authenticator("").key), passkey_failures(strict)
    for _ in range(10):
        assert sign_in(behind(strict, "192.0.2.1"), wrong).status == 403
    assert sign_in(behind(strict, "192.0.2.1"), device).status == 200  # a right one is never refused for these
    assert sign_in(behind(strict, "192.0.2.2"), device).status == 200
    for source in ("192.0.2.1", "192.0.2.2"):
        browser = behind(strict, source)
        page = browser.send(browser.open("/login"), "/login", name="gil", password=password_of(strict, "gil"))
        assert answer(browser, page, device, SECOND).status == 200
    lines = [line for line in strict.log.read_text().splitlines() if "failed sign-in" in line]
    assert len([line for line in lines if "kind=passkey source=192.0.2.1 user=gil" in line]) == 1
    assert passkey_failures(strict) == before + 10


def passkey_failures(site: Service) -> float:
    found = re.search(r'ddnsd_failed_sign_ins_total\{kind="passkey"\} (\S+)', site.get("/metrics").text)
    assert found
    return float(found[1])


def test_a_flood_from_the_same_address_stops_nobody(strict: Service) -> None:
    strict.user("fay")
    password_of(strict, "fay")
    device = Authenticator(strict.url)
    add(entered(strict, "fay"), device)
    flood = behind(strict, "192.0.2.5")
    junk = flood.open("/login").form(ALONE).values | {"credential": "{}"}
    cookies, found, done = dict(flood.cookies), list[int](), Event()

    def send() -> None:
        while not done.is_set():
            browser = behind(strict, "192.0.2.5")
            browser.cookies = dict(cookies)
            found.append(browser.request("POST", ALONE, data=junk).status_code)

    with ThreadPoolExecutor(45) as pool:
        for _ in range(45):
            pool.submit(send)
        try:
            wait_until(lambda: found.count(429) > 10)
            right = [sign_in(behind(strict, "192.0.2.5"), device).status for _ in range(3)]
        finally:
            done.set()
    assert set(found) == {403, 429}
    assert right == [200, 200, 200]


def test_wrong_passkeys_after_the_password_are_failed_sign_ins(strict: Service) -> None:
    strict.user("ida")
    password_of(strict, "ida")
    device = Authenticator(strict.url)
    add(entered(strict, "ida"), device)
    wrong = replace(device, key=Authenticator("").key)
    for _ in range(3):
        browser = behind(strict, "192.0.2.7")
        page = browser.send(browser.open("/login"), "/login", name="ida", password=password_of(strict, "ida"))
        assert answer(browser, page, wrong, SECOND).status == 403
    assert answer(browser, page, device, SECOND).status == 429
    assert sign_in(behind(strict, "192.0.2.7"), device).status == 200  # the passkey alone is another way


def test_a_passkey_satisfies_the_rule_for_administrators(strict: Service) -> None:
    admin = entered(strict, "admin")
    assert admin.open("/admin").path == FACTORS
    device = Authenticator(strict.url)
    assert add(admin, device).status == 200
    assert admin.open("/admin").path == "/admin"
    alone = Browser(strict)
    sign_in(alone, device)
    assert alone.open("/admin").path == "/admin"
    passkey = passkeys_of(alone)[0]
    alone.send(alone.open(FACTORS), f"{PASSKEYS}/{passkey}/remove")
    assert alone.open("/admin").path == FACTORS  # it is gone, so the rule holds again


# ---- where there are none


@pytest.mark.parametrize("off", ["an IP address", "no local accounts"])
def test_there_are_none(off: str, tmp_path_factory: pytest.TempPathFactory, site: Service) -> None:
    folder, local = tmp_path_factory.mktemp("none"), off == "an IP address"
    with dev(folder) if local else named_dev(folder, local_accounts="off") as without:
        browser, device = Browser(without), Authenticator(without.url)
        page = browser.open("/login")
        assert "passkey" not in page.html.lower()
        offered = Browser(site).open("/login")
        given = {"attempt": "x", "credential": device.get(options(offered, ALONE))}
        assert browser.post(ALONE, given).status == 404
        if not local:
            return
        without.user("ann")
        password_of(without, "ann")
        ann = entered(without, "ann")
        assert "passkey" not in ann.open(FACTORS).text.lower()
        assert ann.open(f"{PASSKEYS}/new").status == 404
        csrf = ann.open(FACTORS).form("/logout").values["csrf"]
        assert ann.post(PASSKEYS, {"csrf": csrf, "name": "x", "credential": given["credential"]}).status == 404


# ---- in a real browser


@pytest.fixture
def window(site: Service, browser: Chromium) -> Iterator[BrowserContext]:
    with chromium.context(browser, site) as opened:
        yield opened


def device_of(window: BrowserContext, page: Window, **more: object) -> tuple[CDPSession, str]:
    """Give the page a virtual authenticator. Returns the session of the protocol, and the authenticator's id."""
    session = window.new_cdp_session(page)
    session.send("WebAuthn.enable")
    given = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    given |= {"isUserVerified": True, "automaticPresenceSimulation": True} | more
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": given})
    return session, made["authenticatorId"]


def give_password(page: Window, site: Service, name: str) -> None:
    page.goto("/login")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(password_of(site, name))
    page.get_by_role("button", name="Sign in", exact=True).click()


def add_in(page: Window, name: str) -> None:
    page.goto(FACTORS)
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create the passkey").click()


def sign_out(page: Window) -> None:
    page.goto("/account")
    page.get_by_role("button", name="Sign out", exact=True).first.click()


def use_alone(page: Window) -> None:
    page.goto("/login")
    page.get_by_role("button", name="Sign in with a passkey").click()


@pytest.fixture
def laptop(site: Service, window: BrowserContext) -> tuple[str, Window, CDPSession, str]:
    """A user's name, a page after they have made a passkey and signed out, and the authenticator with its session."""
    name = f"real{next(_numbers)}"
    site.user(name)
    page = window.new_page()
    session, device = device_of(window, page)
    give_password(page, site, name)
    add_in(page, "Laptop")
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    sign_out(page)
    return name, page, session, device


def test_a_real_browser_makes_and_uses_one(site: Service, window: BrowserContext) -> None:
    name = f"real{next(_numbers)}"
    site.user(name)
    page = window.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    session, device = device_of(window, page)
    give_password(page, site, name)
    expect(page.get_by_text("You have no hosts yet")).to_be_visible()
    add_in(page, "Laptop")
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.goto(FACTORS)
    expect(page.get_by_role("rowheader", name="Laptop")).to_be_visible()
    add_in(page, "The same again")
    expect(page.get_by_text("This device already has a passkey for your account.")).to_be_visible()
    sign_out(page)
    page.goto("/login?next=/account")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", name="Your account")).to_be_visible()
    expect(page.get_by_role("cell", name="Passkey", exact=True)).to_be_visible()
    sign_out(page)
    give_password(page, site, name)
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("You have no hosts yet")).to_be_visible()
    [credential] = session.send("WebAuthn.getCredentials", {"authenticatorId": device})["credentials"]
    assert credential["isResidentCredential"]
    assert credential["rpId"] == "localhost"
    assert wrong == []


def test_a_real_counter_that_goes_back(laptop: tuple[str, Window, CDPSession, str]) -> None:
    name, page, session, device = laptop
    here = {"authenticatorId": device}
    [early] = session.send("WebAuthn.getCredentials", here)["credentials"]
    use_alone(page)
    expect(page.get_by_text("You have no hosts yet")).to_be_visible()
    sign_out(page)
    session.send("WebAuthn.removeCredential", here | {"credentialId": early["credentialId"]})
    session.send("WebAuthn.addCredential", here | {"credential": early})
    use_alone(page)
    expect(page.get_by_text("This passkey was not accepted.")).to_be_visible()
    page.get_by_label("User name").fill(name)  # the form for the password still works


def test_a_real_browser_that_refuses(laptop: tuple[str, Window, CDPSession, str]) -> None:
    _, page, session, device = laptop
    session.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": False})
    use_alone(page)
    expect(page.get_by_text("Your browser used no passkey.")).to_be_visible()
    session.send("WebAuthn.setUserVerified", {"authenticatorId": device, "isUserVerified": True})
    page.get_by_role("button", name="Sign in with a passkey").click()  # the same page, again
    expect(page.get_by_text("You have no hosts yet")).to_be_visible()


def test_another_page_cannot_ask_for_it(site: Service, window: BrowserContext) -> None:
    """The browser itself binds a passkey to the site: the page of the same service at its address gets none."""
    page = window.new_page()
    device_of(window, page)
    page.goto(f"http://127.0.0.1:{site.http_port}/login")
    button = page.get_by_role("button", name="Sign in with a passkey")
    button.click()
    expect(page.get_by_text("Your browser used no passkey.")).to_be_visible()


def test_without_scripts_there_is_no_button(site: Service, browser: Chromium, local: tuple[str, Browser]) -> None:
    name, signed_in = local
    with chromium.context(browser, site, signed_in.cookies, java_script_enabled=False) as plain:
        page = plain.new_page()
        page.goto(f"{PASSKEYS}/new")
        expect(page.get_by_text("Passkeys need scripts")).to_be_visible()
        expect(page.get_by_role("button", name="Create the passkey")).not_to_be_visible()
    add(signed_in, Authenticator(site.url))
    with chromium.context(browser, site, java_script_enabled=False) as plain:
        page = plain.new_page()
        page.goto("/login")
        expect(page.get_by_role("button", name="Sign in with a passkey")).not_to_be_visible()
        give_password(page, site, name)
        expect(page.get_by_role("button", name="Use a passkey")).not_to_be_visible()
        expect(page.get_by_label("Code")).to_be_visible()
