# SPDX-License-Identifier: GPL-3.0-or-later
"""Second factors: authenticator apps, recovery codes, the rule for administrators, and ways around them."""

import json
import re
import secrets
import sqlite3
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import expect
from support.browser import chromium
from support.browser.portal import Browser, Page, entered, password_of
from support.servers.service import Service, beside, dev

SESSION, PENDING = "__Host-ddns", "__Host-ddns-second"
HERE = "/account/second-factor"
NewUser = Callable[[], tuple[str, Browser]]


class App:
    """An authenticator app, which is asked for two codes at most: nobody waits for the third one."""

    def __init__(self, seed: str) -> None:
        self.totp, self._step, self._asked = pyotp.TOTP(seed), 0, 0

    def code(self) -> str:
        """The code of this step; the second time, that of the next one, which is accepted already."""
        self._asked += 1
        assert self._asked <= 2
        self._step = max(self._step + 1, int(time.time()) // 30)
        return self.totp.generate_otp(self._step)


def seed_of(page: Page) -> str:
    found = re.search(r"<code[^>]*>([A-Z2-7 ]{32,})</code>", page.html)
    assert found, page.text
    return found[1].replace(" ", "")


def with_app(browser: Browser) -> tuple[App, list[str]]:
    """Add an app; answers it, and the recovery codes that the page shows."""
    page = browser.open(f"{HERE}/app")
    app = App(seed_of(page))
    page = browser.send(page, f"{HERE}/app", code=app.code())
    assert page.path.startswith(f"{HERE}/codes?made="), page.text
    return app, re.findall(r"[a-z2-9]{4}(?:-[a-z2-9]{4}){3}", page.html)


def password_given(service: Service, name: str) -> tuple[Browser, Page]:
    """A browser in which the password was given, and the page after it."""
    browser = Browser(service)
    return browser, browser.send(browser.open("/login"), "/login", name=name, password=password_of(service, name))


@pytest.fixture
def local(service: Service, new_user: NewUser) -> tuple[str, Browser]:
    """A user with a password, and a browser of theirs."""
    name, browser = new_user()
    password_of(service, name)
    return name, browser


def test_the_app_is_needed_after_the_password(service: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    other = entered(service, name)
    assert "Your password alone signs you in." in browser.open("/account").text
    app, codes = with_app(browser)
    assert len(set(codes)) == 10
    assert "and a second factor" in browser.open("/account").text
    assert other.open("/account").path.startswith("/login")  # it came with the password alone
    fresh, page = password_given(service, name)
    assert SESSION not in fresh.cookies
    assert fresh.request("GET", "/account").headers["location"].startswith("/login")
    for wrong in ("", "000000", "abc", codes[0][:-1], "x" * 5000):
        page = fresh.send(page, "/login/code", code=wrong)
        assert page.status == 403
        assert SESSION not in fresh.cookies
    code = app.code()
    page = fresh.send(page, "/login/code", code=f" {code[:3]} {code[3:]} ")
    assert (page.path, page.status) == ("/", 200)
    assert PENDING not in fresh.cookies
    assert fresh.open("/account").status == 200
    text = service.request("GET", f"/api/events?object={name}", service.admin_token).text
    assert "factor.add" in text
    assert app.totp.secret not in text


def test_a_code_works_once(service: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    app, codes = with_app(browser)
    code = app.code()
    (first, page), (second, other) = password_given(service, name), password_given(service, name)
    assert first.send(page, "/login/code", code=code).status == 200
    assert second.send(other, "/login/code", code=code).status == 403
    assert second.send(other, "/login/code", code=codes[0].upper().replace("-", " ")).status == 200
    assert "You have 9 recovery codes." in second.open(HERE).text
    third, page = password_given(service, name)
    assert third.send(page, "/login/code", code=codes[0]).status == 403
    assert third.send(page, "/login/code", code=codes[1]).status == 200


def test_an_earlier_code_is_not_accepted_after_a_later_one(service: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    seed = with_app(browser)[0].totp.secret
    app = App(seed)
    earlier, later = app.code(), app.code()
    with closing(sqlite3.connect(service.dir / "ddnsd.db", timeout=10)) as store, store:
        store.execute("UPDATE totp SET last_step = 0 WHERE user_id = (SELECT id FROM users WHERE name = ?)", (name,))
    (first, page), (second, other) = password_given(service, name), password_given(service, name)
    assert first.send(page, "/login/code", code=later).status == 200
    assert second.send(other, "/login/code", code=earlier).status == 403


def test_the_password_must_be_given_in_this_browser(service: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    _, codes = with_app(browser)
    stranger = Browser(service)
    attempt = stranger.open("/login").form("/login").values["attempt"]
    assert stranger.post("/login/code", {"attempt": attempt, "code": codes[0]}).status == 403
    known, page = password_given(service, name)
    values = page.form("/login/code").values | {"code": codes[0]}
    stranger.cookies |= {"__Host-ddns-signin": known.cookies["__Host-ddns-signin"]}
    assert stranger.post("/login/code", values).status == 403
    written = [["ann", 10**400, "x"], ["\ud800", int(time.time()), "x"]]
    encoded = [urlsafe_b64encode(json.dumps(one).encode()).decode() for one in written]
    for forged in (known.cookies[PENDING][:-4] + "AAAA", "e30", "W10", secrets.token_urlsafe(40), *encoded):
        stranger.cookies[PENDING] = forged
        assert stranger.post("/login/code", values).status == 403
    assert SESSION not in stranger.cookies
    changed = entered(service, name)  # the password changes: what waits for the second factor ends
    new = {"current": password_of(service, name), "new": "a new horse battery", "again": "a new horse battery"}
    assert "was changed" in changed.send(changed.open("/account"), "/account/password", **new).text
    assert known.post("/login/code", values).status == 403


def test_a_disabled_user_is_not_let_in_by_the_code(service: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    _, codes = with_app(browser)
    waiting, page = password_given(service, name)
    service.cli("user", "suspend", name, "--reason", "Spam")
    page = waiting.send(page, "/login/code", code=codes[0])
    assert page.status == 403
    assert "Spam" in page.text
    assert SESSION not in waiting.cookies


def test_the_app_is_added_only_with_its_code(service: Service, local: tuple[str, Browser], new_user: NewUser) -> None:
    name, browser = local
    page = browser.open(f"{HERE}/app")
    seed = seed_of(page)
    page = browser.send(page, f"{HERE}/app", code="000000")
    assert page.status == 422
    assert "not the current code" in page.text
    assert seed_of(page) == seed
    assert "authenticator" not in service.cli("user", "second-factor", name).stdout
    foreign, theirs = new_user()
    password_of(service, foreign)
    sealed = theirs.open(f"{HERE}/app").form(f"{HERE}/app").values["sealed"]
    assert "Open the page again." in browser.send(page, f"{HERE}/app", sealed=sealed).text
    app = App(seed)
    browser.send(page, f"{HERE}/app", code=app.code())
    assert "authenticator app since" in service.cli("user", "second-factor", name).stdout
    store = (service.dir / "ddnsd.db").read_bytes() + (service.dir / "ddnsd.db-wal").read_bytes()
    assert seed.encode() not in store
    assert seed not in service.log.read_text()


def test_changes_need_a_recent_sign_in(service: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    old = entered(service, name, ago=3600)
    assert old.open(f"{HERE}/app").path.startswith("/login?again=1")
    form = browser.open(f"{HERE}/app")
    values = form.form(f"{HERE}/app").values | {"code": App(seed_of(form)).code()}
    csrf = old.open("/account").form("/logout").values["csrf"]
    assert old.post(f"{HERE}/app", values | {"csrf": csrf}).path.startswith("/login?again=1")
    _, codes = with_app(browser)
    old = entered(service, name, ago=3600)
    csrf = old.open("/account").form("/logout").values["csrf"]
    for path in (f"{HERE}/app/remove", f"{HERE}/codes"):
        page = old.post(path, {"csrf": csrf})
        assert page.path.startswith("/login?again=1")
        assert "Nothing was changed." in page.text
    again, page = password_given(service, name)
    assert again.send(page, "/login/code", code=codes[0]).status == 200
    page = again.send(again.open(HERE), f"{HERE}/app/remove")
    assert "The app was removed." in page.text
    assert "recovery code" not in page.text
    assert password_given(service, name)[1].path == "/"


def test_new_recovery_codes_replace_the_old(service: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    assert browser.post(f"{HERE}/codes", {"csrf": browser.open(HERE).form("/logout").values["csrf"]}).status == 422
    _, old = with_app(browser)
    page = browser.send(browser.open(HERE), f"{HERE}/codes")
    new = re.findall(r"[a-z2-9]{4}(?:-[a-z2-9]{4}){3}", page.html)
    assert len(new) == 10
    assert not set(new) & set(old)
    assert "already shown" in browser.open(page.path).text
    waiting, page = password_given(service, name)
    assert waiting.send(page, "/login/code", code=old[0]).status == 403
    assert waiting.send(page, "/login/code", code=new[0]).status == 200


def test_an_administrator_removes_lost_factors(service: Service, admin: Browser, local: tuple[str, Browser]) -> None:
    name, browser = local
    with_app(browser)
    page = admin.open(f"/admin/user/{name}")
    assert "10 recovery codes" in page.text
    page = admin.send(page, f"/admin/user/factors/{name}")
    assert "The second factors were removed." in page.text
    assert browser.open("/account").path.startswith("/login")
    signed_in, page = password_given(service, name)
    assert page.path == "/"
    with_app(signed_in)
    assert service.cli("user", "second-factor", name, "--remove").stdout == ""
    assert password_given(service, name)[1].path == "/"
    failed = service.cli("user", "second-factor", name, "--remove", check=False)
    assert "There is no second factor." in failed.stderr
    events = service.request("GET", f"/api/events?object={name}", service.admin_token).json()
    removed = [event["actor"] for event in events["items"] if event["action"] == "factor.delete"]
    assert sorted(removed) == ["admin", "ddnsd"]


def test_an_administrator_removes_lost_factors_by_rest(service: Service, local: tuple[str, Browser]) -> None:
    name, browser = local
    path, token = f"/api/users/{name}", service.admin_token
    assert service.request("GET", path, token).json()["second_factor"] is None
    assert service.request("DELETE", f"{path}/second-factor", token).status_code == 404
    began = time.time()
    with_app(browser)
    found = service.request("GET", path, token).json()["second_factor"]
    added = datetime.fromisoformat(found["app"]).timestamp()
    assert int(began) <= added <= time.time()
    assert found["recovery_codes"] == 10
    assert "second_factor" not in service.request("GET", "/api/users/me", token).json()
    assert service.request("DELETE", f"{path}/second-factor", token).status_code == 204
    assert service.request("GET", path, token).json()["second_factor"] is None
    assert browser.open("/account").path.startswith("/login")
    assert password_given(service, name)[1].path == "/"
    assert service.request("DELETE", f"{path}/second-factor", token).status_code == 404
    assert service.request("DELETE", "/api/users/nobody/second-factor", token).status_code == 404
    events = service.request("GET", f"/api/events?object={name}&action=factor.delete", token).json()
    assert [event["actor"] for event in events["items"]] == ["admin"]


def test_users_without_a_password_have_none(new_user: NewUser) -> None:
    _, browser = new_user()
    assert "Second factor" not in browser.open("/account").text
    assert [browser.open(path).status for path in (HERE, f"{HERE}/app")] == [404, 404]


# ---- guesses


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("strict"), rules="on", signin_failures="3", admin_second_factor="on") as running:
        yield running


def test_guesses_at_the_code_are_failed_sign_ins(strict: Service) -> None:
    strict.user("gil")
    password_of(strict, "gil")
    _, codes = with_app(entered(strict, "gil"))
    for _ in range(2):
        browser, page = password_given(strict, "gil")  # the right password does not reset the failures
        assert browser.send(page, "/login/code", code="000000").status == 403
    browser, page = password_given(strict, "gil")
    assert browser.send(page, "/login/code", code="000000").status == 403
    assert browser.send(page, "/login/code", code=codes[0]).status == 429
    assert password_given(strict, "gil")[1].status == 429


# ---- administrators


def test_an_administrator_must_have_one(strict: Service, browser: Chromium) -> None:
    strict.user("eve")
    admin, plain = entered(strict, "admin"), entered(strict, "eve")
    assert plain.open("/hosts/new").status == 200
    for path in ("/", "/hosts/new", "/admin", "/admin/users", "/tokens/new", "/account", "/login?again=1&link=x"):
        page = admin.open(path)
        if "again" not in path:
            assert page.path == HERE, path
            assert "Administrators of this service need a second factor." in page.text
    csrf = admin.open(HERE).form("/logout").values["csrf"]
    assert admin.post("/tokens", {"csrf": csrf, "name": "x", "scopes": "admin"}).path == HERE
    assert "admin" not in [t["name"] for t in strict.get("/api/tokens", strict.admin_token).json()["items"]]
    with chromium.context(browser, strict, admin.cookies) as window:
        shown = window.new_page()
        refused = []
        shown.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
        shown.goto("/admin")
        shown.get_by_role("link", name="Add an app").click()
        expect(shown.get_by_alt_text("QR code with the key")).to_be_visible()
        loaded = shown.get_by_alt_text("QR code with the key").evaluate("image => image.naturalWidth > 100")
        seed = shown.locator(".copy code").inner_text().replace(" ", "")
        app = App(seed)
        shown.get_by_label("Code").fill(app.code())
        shown.get_by_role("button", name="Add the app").click()
        expect(shown.get_by_role("heading", name="Recovery codes")).to_be_visible()
        shown.goto("/admin")
        expect(shown).to_have_url(re.compile(r"/admin$"))
        shown.get_by_role("button", name="Sign out").click()
        shown.get_by_label("User name").fill("admin")
        shown.get_by_label("Password").fill(password_of(strict, "admin"))
        shown.get_by_role("button", name="Sign in").click()
        shown.get_by_label("Code").fill(app.code())
        shown.get_by_role("button", name="Sign in").click()
        expect(shown.get_by_role("link", name="Administration")).to_be_visible()
        assert loaded
        assert refused == []


# ---- the key


def test_a_service_says_how_to_create_the_key(tmp_path: Path) -> None:
    service = Service(tmp_path, 1, 1)
    service.settings = {"DDNSD_SECOND_FACTOR_KEY": str(tmp_path / "key")}
    command = f"(umask 077; openssl rand -hex 32 >{tmp_path}/key)"
    failed = service.cli("serve", check=False)
    assert failed.returncode != 0
    assert command in failed.stderr
    (tmp_path / "key").write_text("short\n")
    failed = service.cli("serve", check=False)
    assert failed.returncode != 0
    assert "64 hexadecimal digits" in failed.stderr
    service.settings = {"DDNSD_ADMIN_SECOND_FACTOR": "on"}
    assert "needs SECOND_FACTOR_KEY" in service.cli("settings", check=False).stderr


def test_two_nodes_share_the_steps_and_one_has_no_key(tmp_path: Path, new_database: Callable[[], str]) -> None:
    url = new_database()
    with dev(tmp_path / "first", database_url=url) as first:
        first.user("ann")
        first.cli("user", "password", "ann", stdin="correct horse battery\n")
        signed_in = Browser(first)
        credentials = {"name": "ann", "password": "correct horse battery"}
        signed_in.send(signed_in.open("/login"), "/login", **credentials)
        key = str(tmp_path / "first" / "second_factor.key")
        assert Path(key).stat().st_mode & 0o777 == 0o600
        with (
            beside(first, tmp_path / "second", url, second_factor_key=key) as second,
            beside(first, tmp_path / "third", url) as keyless,
        ):
            assert "openssl rand -hex 32" in keyless.log.read_text()
            app, codes = with_app(signed_in)
            browsers = [Browser(node) for node in (first, second, keyless)]
            pages = [browser.send(browser.open("/login"), "/login", **credentials) for browser in browsers]
            assert "cannot check codes of apps now" in pages[2].text
            code = app.code()
            assert browsers[2].send(pages[2], "/login/code", code=code).status == 403
            assert browsers[2].send(pages[2], "/login/code", code=codes[0]).status == 200
            assert browsers[1].send(pages[1], "/login/code", code=code).status == 200
            assert browsers[0].send(pages[0], "/login/code", code=code).status == 403
