# SPDX-License-Identifier: GPL-3.0-or-later
"""Signing in by a real identity provider, and with passwords; what must not sign anybody in; and signing out."""

import json
from collections.abc import Iterator
from itertools import count
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests
from support.browser.portal import Browser, Page
from support.ports import free_port, wait_until
from support.servers.openid_provider import Provider
from support.servers.service import Service, dev

from ddnsd.auth.oidc.cached_fetch import PAUSE_SECONDS

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
    with dev(tmp_path_factory.mktemp("site"), oidc_providers=providers) as running:
        campus.redirect_uris = [f"{running.url}/login/campus/callback"]
        campus.post_logout_redirect_uris = [f"{running.url}/login"]
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
