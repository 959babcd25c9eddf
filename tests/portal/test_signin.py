# SPDX-License-Identifier: GPL-3.0-or-later
"""Signing in by a real identity provider, and with passwords; what must not sign anybody in; and signing out."""

import json
import re
import secrets
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests
from joserfc import jwt
from support.browser.portal import Browser, Page, entered
from support.ports import free_port, wait_until
from support.servers.openid_provider import Provider
from support.servers.service import Service, dev

from ddnsd.auth.account_backoff import FIRST_PAUSE_SECONDS, SOURCES
from ddnsd.auth.oidc.cached_fetch import PAUSE_SECONDS
from ddnsd.auth.oidc.login_state import LoginState
from ddnsd.auth.passwords import AT_ONCE

SESSION, ATTEMPT = "__Host-ddns", "__Host-ddns-signin"
_numbers = count(1)


@pytest.fixture(scope="module")
def campus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    made = Provider(free_port(), tmp_path_factory.mktemp("campus") / "log")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def site(campus: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    providers = json.dumps([campus.settings(admin_group="ddns-admins")])
    folder = tmp_path_factory.mktemp("site")
    with dev(folder, oidc_providers=providers, oidc_claims_max_age="30", token_max_days="20") as running:
        campus.redirect_uris = [f"{running.url}/login/campus/callback"]
        campus.post_logout_redirect_uris = [f"{running.url}/login"]
        campus.backchannel_logout_uri = f"{running.url}/login/campus/backchannel-logout"
        campus.start()
        yield running


class Person(Browser):
    """A browser at the service and at the provider, where its person is `sub`."""

    def __init__(self, site: Service, campus: Provider, sub: str = "", **claims: object) -> None:
        super().__init__(site)
        self.campus, self.there = campus, requests.Session()
        self.sub = sub or f"sub{next(_numbers)}"
        self.claims = claims
        campus.will_be(self.sub, **claims)

    def away(self, path: str = "/login/campus") -> str:
        """Where the service sends the browser."""
        answer = self.request("GET", path)
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def back(self, url: str) -> str:
        """The path at the service to which the provider sends the browser back."""
        self.campus.will_be(self.sub, **self.claims)
        while not url.startswith(self.service.url):
            answer = self.there.get(url, allow_redirects=False, timeout=10)
            assert answer.status_code in (302, 303), answer.text
            url = requests.compat.urljoin(url, answer.headers["location"])
        return url.removeprefix(self.service.url)

    def walk(self, path: str = "/login/campus") -> Page:
        """The whole way, and the page at its end."""
        return self.open(self.back(self.away(path)))

    def leave(self) -> None:
        """Sign out at the provider, which tells the service."""
        page = self.there.get(f"{self.campus.issuer}/session/end", timeout=10)
        (xsrf,) = re.findall(r'name="xsrf" value="([^"]+)"', page.text)
        left = self.there.post(f"{self.campus.issuer}/session/end/confirm", {"xsrf": xsrf, "logout": "yes"}, timeout=10)
        assert left.status_code == 200, left.text

    @property
    def name(self) -> str:
        """Who has signed in; "" for nobody."""
        page = self.open("/account")
        return "" if page.path.startswith("/login") else page.html.split("<dd>")[1].split("<")[0].strip()


def test_the_first_sign_in_makes_a_user(site: Service, campus: Provider) -> None:
    person = Person(site, campus, preferred_username="ann", email="ann@campus.example", eduperson_entitlement=["vo.x"])
    page = person.walk("/login/campus?next=/hosts/new")
    assert (page.path, page.status) == ("/hosts/new", 200)
    assert ATTEMPT not in person.cookies
    for _ in range(2):
        account = person.open("/account")
        assert person.name == "ann"
        assert all(text in account.text for text in ("vo.x", "ann@campus.example", "The Campus", "this one"))
    again = Person(site, campus, person.sub, preferred_username="other", eduperson_entitlement=["vo.y"])
    again.walk()
    assert again.name == "ann"
    text = again.open("/account").text
    assert "vo.y" in text
    assert "vo.x" not in text


def test_cookies_are_for_this_site_alone(site: Service, campus: Provider) -> None:
    person = Person(site, campus)
    start = person.request("GET", "/login/campus")
    finish = person.request("GET", person.back(start.headers["location"]))
    for answer, name in ((start, ATTEMPT), (finish, SESSION)):
        cookie = next(c for c in answer.raw.headers.getlist("set-cookie") if c.startswith(f"{name}="))
        words = {word.strip().lower() for word in cookie.split(";")[1:]}
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= words
        assert not any(word.startswith("domain") for word in words)
    assert finish.headers["location"] == "/"
    assert finish.headers["cache-control"] == "no-store"


def test_rights_come_and_go_at_sign_in(site: Service, campus: Provider) -> None:
    person, admin = Person(site, campus, preferred_username="chief"), Browser(site)
    admin.enter("admin")
    for groups, status in (
        (["ddns-admins"], "Administrator"),
        ([], ""),
        (["ddns-admins"], "Administrator"),
        (None, ""),
    ):
        person.claims = {"preferred_username": "chief"} | ({} if groups is None else {"eduperson_entitlement": groups})
        person.cookies.clear()
        person.walk()
        assert ("Administrator" in person.open("/account").text) == bool(status)
        assert ("A claim grants this right" in admin.open("/admin/user/chief").text) == bool(status)


def test_a_sign_in_begins_a_session_of_its_own(site: Service, campus: Provider) -> None:
    person = Person(site, campus)
    person.walk()
    first = person.cookies[SESSION]
    sessions = person.open("/account").html.count("<tr>")
    other = Person(site, campus)
    other.cookies[SESSION] = first  # somebody put it there before they signed in
    assert other.away() == "/"  # signed in as the first one: the pages say so
    attempt = other.request("GET", "/logout")
    assert attempt.status_code == 405
    other.cookies.pop(SESSION)
    other.walk()
    assert other.cookies[SESSION] != first
    assert person.open("/account").html.count("<tr>") == sessions


# ---- what must not sign anybody in


def refused(person: Person, path: str) -> None:
    page = person.open(path)
    assert page.status == 403
    assert "was not completed" in page.text
    assert SESSION not in person.cookies
    assert ATTEMPT not in person.cookies


def changed(path: str, **values: str | None) -> str:
    parts = urlsplit(path)
    query = dict(parse_qsl(parts.query)) | values
    return parts.path + "?" + urlencode({name: value for name, value in query.items() if value is not None})


@pytest.mark.parametrize(
    "values",
    [
        {"state": "forged"},
        {"state": ""},
        {"state": None},
        {"code": None},
        {"code": "forged"},
        {"code": ""},
        {"iss": "https://other.example.org"},
        {"iss": None},
        {"error": "access_denied", "code": None},
    ],
    ids=str,
)
def test_what_comes_back_is_what_was_sent(site: Service, campus: Provider, values: dict[str, str | None]) -> None:
    person = Person(site, campus)
    refused(person, changed(person.back(person.away()), **values))


def test_only_the_browser_that_began_comes_back(site: Service, campus: Provider) -> None:
    """Nobody is signed in as somebody else by a link."""
    evil, victim = Person(site, campus), Person(site, campus)
    path = evil.back(evil.away())
    refused(victim, path)
    victim.away()
    refused(victim, path)


def test_a_code_is_of_use_only_with_its_verifier(site: Service, campus: Provider) -> None:
    evil, victim = Person(site, campus), Person(site, campus)
    stolen = dict(parse_qsl(urlsplit(victim.back(victim.away())).query))["code"]
    refused(evil, changed(evil.back(evil.away()), code=stolen))


def test_a_code_is_of_use_once(site: Service, campus: Provider) -> None:
    person = Person(site, campus)
    away = person.away()
    attempt = person.cookies[ATTEMPT]
    path = person.back(away)
    assert person.request("GET", path).headers["location"] == "/"
    person.cookies = {ATTEMPT: attempt}
    refused(person, path)


def test_the_request_has_all_that_protects_it(site: Service, campus: Provider) -> None:
    query = [dict(parse_qsl(urlsplit(Person(site, campus).away()).query)) for _ in range(2)]
    for sent in query:
        assert (sent["response_type"], sent["code_challenge_method"]) == ("code", "S256")
        assert sent["redirect_uri"] == f"{site.url}/login/campus/callback"
    for name in ("state", "nonce", "code_challenge"):
        assert query[0][name] != query[1][name]
        assert len(query[0][name]) == 43


def test_a_person_who_cancels(site: Service, campus: Provider) -> None:
    person = Person(site, campus)
    away = person.away()
    campus.will_refuse()
    url = away
    while not url.startswith(site.url):
        answer = person.there.get(url, allow_redirects=False, timeout=10)
        url = requests.compat.urljoin(url, answer.headers["location"])
    assert "access_denied" in url
    refused(person, url.removeprefix(site.url))


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example.org/", "//evil.example.org", "/\\evil.example.org", "javascript:1"]
)
def test_nobody_is_led_elsewhere(site: Service, campus: Provider, elsewhere: str) -> None:
    given = urlencode({"next": elsewhere})
    assert Person(site, campus).walk(f"/login/campus?{given}").path == "/"
    browser = Browser(site)
    page = browser.open(f"/login?{given}")
    assert page.form("/login").values["next"] == "/"
    password = (site.dir / "admin.password").read_text().strip()
    assert browser.send(page, "/login", name="admin", password=password, next=elsewhere).path == "/"


def test_providers_that_there_are_not(site: Service) -> None:
    for path in ("/login/other", "/login/other/callback", "/login/campus/callback/x", "/login/..%2fcampus"):
        assert Browser(site).open(path).status == 404


def test_who_is_inactive_is_not_let_in(site: Service, campus: Provider) -> None:
    person = Person(site, campus, preferred_username="ida")
    person.walk()
    answer = site.request("PATCH", "/api/users/ida", site.admin_token, json={"active": False})
    assert answer.status_code == 200
    assert person.name == ""  # signed out at once
    page = person.walk()
    assert (page.status, person.name) == (403, "")
    assert "account is disabled" in page.text
    site.cli("user", "suspend", "ida", "--reason", "Spam <b> since Monday")
    assert "suspended: Spam &lt;b&gt; since Monday" in person.walk().html


def test_a_sign_in_without_the_demanded_context_is_refused(tmp_path: Path) -> None:
    weak = Provider(free_port(), tmp_path / "log")
    providers = json.dumps([weak.settings(acr_values=["https://refeds.org/profile/mfa"])])
    with dev(tmp_path / "site", oidc_providers=providers) as running:
        weak.redirect_uris = [f"{running.url}/login/campus/callback"]
        try:
            weak.start()
            person = Person(running, weak)
            away = person.away()
            assert dict(parse_qsl(urlsplit(away).query))["acr_values"] == "https://refeds.org/profile/mfa"
            page = person.open(person.back(away))
        finally:
            weak.stop()
        assert page.status == 403
        assert "demands a stronger sign-in than The Campus has used" in page.text
        assert SESSION not in person.cookies


# ---- more than one identity


def test_another_identity_is_added_and_removed(site: Service, campus: Provider) -> None:
    person = Person(site, campus, preferred_username="lee", eduperson_entitlement=["one"])
    person.walk()
    page = person.open("/account")
    assert "/remove" not in page.html  # the only way to sign in
    link = page.html.split('href="/login/campus?link=')[1].split('"')[0]
    first, person.sub = person.sub, f"{person.sub}-second"
    person.claims, person.there = {"email": "lee@home.example", "eduperson_entitlement": ["two"]}, requests.Session()
    page = person.walk(f"/login/campus?link={link}")
    assert (page.path, page.status) == ("/account", 200)
    assert all(text in page.text for text in ("lee@home.example", "one", "two"))
    other = Person(site, campus, person.sub, **person.claims)
    other.walk()
    assert other.name == "lee"
    gone = next(form.action for form in page.forms if form.action.endswith("/remove"))
    page = person.send(page, gone)
    assert "no longer sign in with this identity" in page.text
    assert "/remove" not in page.html
    assert other.name == ""  # who came by the provider is signed out, but for this browser
    assert person.post(gone, {"csrf": page.forms[0].values["csrf"]}).status == 422
    assert Person(site, campus, first).walk().status == 200


def test_an_identity_of_somebody_else_stays_theirs(site: Service, campus: Provider) -> None:
    owner = Person(site, campus, preferred_username="own")
    owner.walk()
    thief = Person(site, campus, preferred_username="thief")
    thief.walk()
    link = thief.open("/account").html.split('href="/login/campus?link=')[1].split('"')[0]
    thief.sub, thief.there = owner.sub, requests.Session()
    page = thief.walk(f"/login/campus?link={link}")
    assert "Another user signs in with this identity." in page.text
    assert thief.name == "thief"
    back = Person(site, campus, owner.sub)
    back.walk()
    assert back.name == "own"


def test_no_link_of_others_adds_an_identity(site: Service, campus: Provider) -> None:
    person, other = Person(site, campus), Person(site, campus)
    for each in (person, other):
        each.walk()
    theirs = other.open("/account").html.split('href="/login/campus?link=')[1].split('"')[0]
    for link in ("", "1", theirs):
        assert person.away(f"/login/campus?link={link}") in ("/", "/account")
    link = person.open("/account").html.split('href="/login/campus?link=')[1].split('"')[0]
    path = person.back(person.away(f"/login/campus?link={link}"))
    person.cookies[SESSION] = other.cookies[SESSION]  # the browser is somebody else's meanwhile
    assert person.open(path).status == 403


def test_an_administrator_without_a_second_factor_adds_no_identity(tmp_path: Path) -> None:
    """Neither by a cookie that their browser has written itself: a sign-in at the provider asks for no factor here."""
    campus = Provider(free_port(), tmp_path / "log")
    providers, key = json.dumps([campus.settings()]), tmp_path / "key"
    key.write_text(secrets.token_hex(32))
    settings = {"oidc_providers": providers, "admin_second_factor": "on", "second_factor_key": str(key)}
    with dev(tmp_path / "strict", **settings) as strict:
        campus.redirect_uris = [f"{strict.url}/login/campus/callback"]
        campus.start()
        try:
            thief = Person(strict, campus, preferred_username="thief")
            path = thief.back(thief.away())
            thief.enter("admin")
            with closing(sqlite3.connect(strict.dir / "ddnsd.db", timeout=10)) as store:
                [session] = store.execute("SELECT max(id) FROM sessions").fetchone()
            attempt = LoginState.from_cookie(thief.cookies[ATTEMPT])
            assert attempt is not None
            thief.cookies[ATTEMPT] = replace(attempt, link=session).to_cookie()
            thief.open(path)
            with closing(sqlite3.connect(strict.dir / "ddnsd.db", timeout=10)) as store:
                assert store.execute("SELECT count(*) FROM identities").fetchone() == (0,)
            assert thief.open("/account").path == "/account/second-factor"
        finally:
            campus.stop()


# ---- out


def test_signing_out_here_and_there(site: Service, campus: Provider) -> None:
    person = Person(site, campus)
    person.walk()
    cookie = person.cookies[SESSION]
    page = person.send(person.open("/"), "/logout")
    assert page.path == "/login?out=campus"
    assert SESSION not in person.cookies
    person.cookies[SESSION] = cookie
    assert person.name == ""
    there = page.html.split(f'href="{campus.issuer}')[1].split('"')[0].replace("&amp;", "&")
    answer = person.there.get(campus.issuer + there, timeout=10)
    assert answer.status_code == 200
    assert "client_id=ddns" in there
    assert Browser(site).open("/login?out=password").text.count("You have signed out here") == 1
    assert Browser(site).open("/login?out=evil").status == 200


def test_a_form_of_another_site_signs_nobody_out(site: Service, campus: Provider) -> None:
    person = Person(site, campus)
    person.walk()
    for values in ({}, {"csrf": "x"}):
        assert person.post("/logout", values).status == 403
    answer = person.request("POST", "/logout", data={}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert person.name


# ---- passwords


def test_a_password_signs_in(site: Service) -> None:
    site.cli("user", "add", "pat")
    site.cli("user", "password", "pat", stdin="correct horse battery\n")
    browser = Browser(site)
    page = browser.send(browser.open("/login?next=/account"), "/login", name="pat", password="correct horse battery")
    assert (page.path, page.status) == ("/account", 200)
    site.cli("user", "password", "pat", stdin="another horse battery\n")
    assert browser.open("/account").path.startswith("/login")
    page = browser.open("/login")
    for name, password in (("pat", "correct horse battery"), ("nobody", "x"), ("", ""), ("pat\0", "x"), ("pat", "")):
        page = browser.send(page, "/login", name=name, password=password)
        assert page.status == 403
        assert "Wrong user name or password" in page.text
    assert browser.open("/account").path.startswith("/login")
    site.cli("user", "password", "pat", "--remove")
    assert browser.send(page, "/login", name="pat", password="another horse battery").status == 403


def test_the_sign_in_form_is_of_this_browser(site: Service) -> None:
    password = (site.dir / "admin.password").read_text().strip()
    filled = {"name": "admin", "password": password}
    browser, other = Browser(site), Browser(site)
    theirs = other.open("/login").form("/login").values["attempt"]
    browser.open("/login")
    for values in (filled, filled | {"attempt": ""}, filled | {"attempt": theirs}):
        assert browser.post("/login", values).status == 403
        assert SESSION not in browser.cookies
    answer = browser.request("POST", "/login", data=filled, headers={"Origin": "https://evil.example.org"})
    assert answer.status_code == 403
    assert browser.send(browser.open("/login"), "/login", **filled).status == 200


def test_passwords_that_are_not_taken(site: Service) -> None:
    site.cli("user", "add", "kit")
    for typed in ("short\n", "", "kitkitkitkitkit\n", "x" * 300 + "\n"):
        answer = site.cli("user", "password", "kit", stdin=typed, check=False)
        assert (answer.returncode, answer.stdout) == (1, "")
        assert "A password" in answer.stderr
    assert "no user" in site.cli("user", "password", "nobody", stdin="correct horse battery\n", check=False).stderr


def test_where_https_is_needed_it_is_said(site: Service) -> None:
    answer = requests.get(f"{site.url}/login", headers={"Host": "ddns.example.org"}, timeout=10)
    assert "Use https to sign in" in answer.text
    assert "Use https to sign in" not in Browser(site).open("/login").text


def test_the_file_of_the_password_is_private(site: Service) -> None:
    file = site.dir / "admin.password"
    assert file.stat().st_mode & 0o777 == 0o600
    log = site.log.read_text()
    assert f"sign in: {site.url}/login as admin, with the password in {file}" in log
    assert file.read_text().strip() not in log


def test_the_doctor_asks_the_provider(site: Service, campus: Provider) -> None:
    subject = f"identity provider campus={campus.issuer}"
    for _ in range(2):
        assert f"ok   {subject}" in site.cli("doctor").stdout
    campus.stop()
    try:
        sick = site.cli("doctor", check=False)
        assert sick.returncode == 1
        assert f"FAIL {subject}: {campus.issuer}/.well-known/openid-configuration: " in sick.stdout
    finally:
        campus.start()


def test_a_provider_that_is_gone_leaves_the_others(site: Service, campus: Provider) -> None:
    person = Person(site, campus)
    path = person.back(person.away())
    campus.stop()
    try:
        page = person.open(path)
        assert page.status == 503
        assert "The Campus does not answer" in page.text
        password = (site.dir / "admin.password").read_text().strip()
        browser = Browser(site)
        assert browser.send(browser.open("/login"), "/login", name="admin", password=password).status == 200
    finally:
        campus.start()
    wait_until(lambda: person.walk().status == 200, PAUSE_SECONDS + 5, "sign-in after the provider is back")


def test_switches(tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = {"local_accounts": "off", "rules": "on", "signin_failures": "2"}
    with dev(tmp_path_factory.mktemp("off"), **settings) as closed:
        browser = Browser(closed)
        page = browser.open("/login")
        assert "Nobody can sign in" in page.text
        assert [form for form in page.forms if form.action == "/login"] == []
        assert browser.post("/login", {"name": "admin", "password": "x"}).status == 403
        assert "sign in:" not in closed.log.read_text()


def test_failures_lock(tmp_path_factory: pytest.TempPathFactory) -> None:
    with dev(tmp_path_factory.mktemp("locked"), rules="on", signin_failures="2") as strict:
        browser = Browser(strict)
        password = (strict.dir / "admin.password").read_text().strip()
        page = browser.open("/login")
        for status in (403, 403, 429):
            page = browser.send(page, "/login", name="admin", password="wrong")
            assert page.status == status
        page = browser.send(page, "/login", name="admin", password=password)
        assert (page.status, SESSION in browser.cookies) == (429, False)
        assert "Wait some minutes" in page.text


def test_refused_codes_stop_nobody_else_at_the_address(
    campus: Provider, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = {"oidc_providers": json.dumps([campus.settings()]), "rules": "on", "signin_failures": "2"}
    with dev(tmp_path_factory.mktemp("locked"), **settings) as strict:
        campus.redirect_uris.append(f"{strict.url}/login/campus/callback")
        campus.stop()
        campus.start()
        for _ in range(6):
            browser = Browser(strict)
            away = urlsplit(browser.request("GET", "/login/campus").headers["location"])
            state = dict(parse_qsl(away.query))["state"]
            back = urlencode({"code": "forged", "state": state, "iss": campus.issuer})
            assert browser.open(f"/login/campus/callback?{back}").status == 403
        assert Person(strict, campus).walk().status == 200


# ---- rights that the provider has not stated for long


def age_claims(site: Service, days: float) -> None:
    """All identities were last stated so many days ago."""
    with closing(sqlite3.connect(site.dir / "ddnsd.db", timeout=10)) as store, store:
        store.execute("UPDATE identities SET claims_at = ?", (round((time.time() - days * 86_400) * 1e6),))


def test_rights_end_and_a_new_sign_in_brings_them_back(site: Service, campus: Provider) -> None:
    person = Person(site, campus, preferred_username="boss", eduperson_entitlement=["ddns-admins"])
    person.walk()
    token = site.cli("token", "add", "boss", "--name", "t", "--scope", "admin", "--expires", "9d").stdout.strip()
    lapsed = "administrator rights from your identity provider have ended"
    for days, in_session, by_token, warned in (
        (0, 200, 200, False),
        (0.6, 403, 200, False),
        (24, 403, 200, True),
        (31, 403, 403, True),
    ):
        age_claims(site, days)
        page = person.open("/admin/users")
        assert (page.status, lapsed in page.text) == (in_session, in_session == 403)
        assert site.get("/api/users", token).status_code == by_token
        assert ("lose groups or administrator rights" in person.open("/tokens").text) == warned
        if by_token == 200:
            me = site.get("/api/users/me", token).json()
            assert bool(me["warnings"]) == warned
            left = datetime.fromisoformat(me["rights_end"]) - datetime.now(UTC)
            assert abs(left.total_seconds() / 86_400 - (30 - days)) < 0.1
    page = person.open(person.back(person.away("/login/campus?again=1&next=/admin/users")))
    assert (page.status, lapsed in page.text) == (200, False)
    assert site.get("/api/users", token).status_code == 200
    assert site.get("/api/users/me", site.admin_token).json()["rights_end"] is None


def test_the_operator_limits_tokens(site: Service, campus: Provider) -> None:
    person = Person(site, campus, preferred_username="limited")
    person.walk()
    page = person.open("/tokens/new")
    assert "90 days" not in page.text
    made = person.send(page, "/tokens", name="long", scopes="read", lifetime="")
    assert made.status == 200, made.text
    late = person.send(page, "/tokens", name="longer", scopes="read", lifetime="365")
    assert (late.status, "allows tokens for at most 20 days" in late.text) == (422, True)
    refused = site.cli("token", "add", "limited", "--name", "cli", "--expires", "21d", check=False)
    assert (refused.returncode, "at most 20 days" in refused.stderr) == (1, True)
    token = site.cli("token", "add", "limited", "--name", "cli").stdout.strip()
    latest = datetime.now(UTC) + timedelta(days=20)
    assert all(
        latest - timedelta(hours=1) < datetime.fromisoformat(item["expires"]) <= latest
        for item in site.get("/api/tokens", token).json()["items"]
    )


# ---- the provider ends sessions


def logout_token(campus: Provider, **claims: object) -> str:
    """A logout token of the provider, with these claims otherwise."""
    now = int(time.time())
    right = {"iss": campus.issuer, "aud": "ddns", "iat": now, "exp": now + 120, "jti": secrets.token_hex()}
    events: dict[str, object] = {"http://schemas.openid.net/event/backchannel-logout": {}}
    return jwt.encode(
        {"alg": "RS256", "kid": campus.keys[0].kid, "typ": "logout+jwt"},
        right | {"events": events} | claims,
        campus.keys[0],
    )


def told(site: Service, token: str, provider: str = "campus") -> requests.Response:
    answer = site.request("POST", f"/login/{provider}/backchannel-logout", data={"logout_token": token})
    assert answer.headers["cache-control"] == "no-store"
    return answer


def test_who_signs_out_at_the_provider_is_signed_out_here(site: Service, campus: Provider) -> None:
    person = Person(site, campus, preferred_username="leaver")
    person.walk()
    elsewhere = Person(site, campus, person.sub, preferred_username="leaver")
    elsewhere.walk()
    assert person.name == elsewhere.name == "leaver"
    person.leave()
    wait_until(lambda: person.name == "", 10, "signed out")
    assert elsewhere.name == "leaver"  # another session at the provider
    ended = site.get("/api/events?object=leaver&action=session.end", site.admin_token).json()["items"]
    assert [(event["actor"], event["detail"]) for event in ended] == [("campus", "by the provider")]


def test_all_sessions_of_a_user_end(site: Service, campus: Provider) -> None:
    sub = f"sub{next(_numbers)}"
    people = [Person(site, campus, sub, preferred_username="all") for _ in range(2)]
    other = Person(site, campus, preferred_username="stays")
    for person in (*people, other):
        person.walk()
    local = entered(site, "all")  # with a password: the provider has no say in it
    token = logout_token(campus, sub=sub)
    assert told(site, token).status_code == 200
    assert [person.name for person in people] == ["", ""]
    assert other.name == "stays"
    assert "all" in local.open("/account").text
    people[0].walk()
    assert told(site, token).json()["error_description"] == "it was used before"
    assert people[0].name == "all"


def test_a_logout_that_the_provider_did_not_send(site: Service, campus: Provider) -> None:
    person = Person(site, campus, preferred_username="calm")
    person.walk()
    for token in ("", "x", logout_token(campus, sub=person.sub, aud="other"), logout_token(campus)):
        assert told(site, token).status_code == 400
    assert told(site, logout_token(campus, sub=person.sub), "nobody").status_code == 400
    path = "/login/campus/backchannel-logout"
    assert site.get(path).status_code in (404, 405)
    assert site.request("POST", path, json={"logout_token": "x"}).status_code == 400
    assert site.request("POST", path, data={"logout_token": "x" * 70_000}).status_code == 400
    assert person.name == "calm"


def test_the_provider_says_when_it_asked_for_the_password(site: Service, campus: Provider) -> None:
    person = Person(site, campus, preferred_username="ago", signed_in_seconds_ago=3600)
    person.walk()
    ends = "the token ends with this session"
    assert ends in person.open("/tokens/new").text
    link = person.open("/account").html.split('href="/login/campus?link=')[1].split('"')[0]
    assert person.open(f"/login/campus?link={link}").path == "/login?again=1&next=%2Faccount"
    person.claims["signed_in_seconds_ago"] = 0
    away = person.away("/login/campus?again=1&next=/tokens/new")
    assert "max_age=60" in away
    page = person.open(person.back(away))
    assert (page.path, ends in page.text) == ("/tokens/new", False)
    assert person.name == "ago"


def test_who_has_no_password_deletes_their_account_after_signing_in_at_the_provider(
    site: Service, campus: Provider
) -> None:
    person = Person(site, campus, preferred_username="moving-out", signed_in_seconds_ago=3600)
    person.walk()
    path = "/account/delete"
    assert person.open(path).path == "/login?again=1&next=%2Faccount%2Fdelete"
    csrf = person.open("/account").forms[-1].values["csrf"]
    assert person.post(path, {"csrf": csrf, "name": "moving-out"}).path == "/login?again=1&next=%2Faccount%2Fdelete"
    person.claims["signed_in_seconds_ago"] = 0
    page = person.open(person.back(person.away(f"/login/campus?again=1&next={path}")))
    assert page.path == path
    assert "Account deleted" in person.send(page, path, name="moving-out").text
    assert site.request("GET", "/api/users/moving-out", site.admin_token).status_code == 404
    person.walk()  # at the provider nothing has changed: it is a new account
    assert person.name == "moving-out"
    exported = person.request("GET", "/account/export").json()
    assert ([host["fqdn"] for host in exported["hosts"]], len(exported["identities"])) == ([], 1)


def test_an_identity_is_not_added_to_an_old_session(site: Service, campus: Provider) -> None:
    """Who has stolen a cookie can write that of the attempt as well, so the end of the way counts too."""
    person = Person(site, campus, preferred_username="old")
    person.walk()
    page = person.open("/account")
    link = page.html.split('href="/login/campus?link=')[1].split('"')[0]
    first, person.sub, person.there = person.sub, f"{person.sub}-second", requests.Session()
    path = person.back(person.away(f"/login/campus?link={link}"))
    with closing(sqlite3.connect(site.dir / "ddnsd.db", timeout=10)) as store, store:
        store.execute(
            "UPDATE sessions SET authenticated = authenticated - 3600000000"
            " WHERE user_id = (SELECT id FROM users WHERE name = 'old')"
        )
    page = person.open(path)
    assert (page.path, page.status) == ("/login?again=1&next=%2Faccount", 200)
    with closing(sqlite3.connect(site.dir / "ddnsd.db", timeout=10)) as store:
        subjects = {subject for (subject,) in store.execute("SELECT subject FROM identities")}
    assert first in subjects
    assert person.sub not in subjects


# ---- guesses at a password


BROWSER = "__Host-ddns-browser"


@pytest.fixture(scope="module")
def guessed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose administrator's password is guessed from many addresses."""
    settings = {"rules": "on", "signin_failures": "2", "trusted_proxies": "127.0.0.0/8"}
    with dev(tmp_path_factory.mktemp("guessed"), **settings) as running:
        yield running


def sign_in(service: Service, source: str, password: str = "", known: Browser | None = None) -> int:
    """The status of a sign-in as admin from this address, in a new browser or in one with a known one's cookie."""
    browser = Browser(service, {BROWSER: known.cookies[BROWSER]} if known else {}, {"X-Forwarded-For": source})
    right = (service.dir / "admin.password").read_text().strip()
    page = browser.send(browser.open("/login"), "/login", name="admin", password=password or right)
    return page.status


@pytest.fixture(scope="module")
def known(guessed: Service) -> Browser:
    """A browser in which the administrator has signed in."""
    browser = Browser(guessed)
    password = (guessed.dir / "admin.password").read_text().strip()
    answer = browser.send(browser.open("/login"), "/login", name="admin", password=password)
    assert answer.status == 200
    return browser


def test_the_cookie_of_a_known_browser_is_for_this_site_alone(guessed: Service) -> None:
    browser = Browser(guessed)
    password = (guessed.dir / "admin.password").read_text().strip()
    form = browser.open("/login").form("/login").values
    answer = browser.request("POST", "/login", data={**form, "name": "admin", "password": password})
    cookie = next(c for c in answer.raw.headers.getlist("set-cookie") if c.startswith(f"{BROWSER}="))
    words = {word.strip().lower() for word in cookie.split(";")[1:]}
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= words
    assert not any(word.startswith("domain") for word in words)
    assert password not in cookie


def test_failures_at_an_address_do_not_lock_out_a_known_browser(guessed: Service, known: Browser) -> None:
    assert [sign_in(guessed, "192.0.2.1", "wrong") for _ in range(3)] == [403, 403, 429]
    assert sign_in(guessed, "192.0.2.1") == 429
    assert sign_in(guessed, "192.0.2.1", known=known) == 200


def test_guesses_from_forty_networks(guessed: Service, known: Browser) -> None:
    """Most are refused unchecked; later ones have a turn each second. A known browser still signs in."""
    with ThreadPoolExecutor(40) as pool:
        began = time.monotonic()
        answers = list(pool.map(lambda n: sign_in(guessed, f"2001:db8:{n:x}::1", "wrong"), range(40)))
        turns = 1 + (time.monotonic() - began) // FIRST_PAUSE_SECONDS
        assert set(answers) == {403, 429}
        assert answers.count(403) < 2 * SOURCES + AT_ONCE + turns
    assert sign_in(guessed, "2001:db8:ffff::1", known=known) == 200
