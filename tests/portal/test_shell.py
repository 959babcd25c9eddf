# SPDX-License-Identifier: GPL-3.0-or-later
"""What all pages have in common: headers, forms of ours alone, languages, static files, errors."""

import re
from collections.abc import Callable

import pytest
from support.browser.portal import Browser, password_of
from support.servers.service import Service

HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
}


@pytest.mark.parametrize(
    "path", ["/", "/login", "/hosts", "/domains/nothing", "/static/nothing.css", "/account/language"]
)
def test_every_answer_is_hardened(service: Service, path: str) -> None:
    answer = Browser(service).request("GET", path)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_no_page_has_script_or_style_of_its_own(service: Service) -> None:
    html = Browser(service).open("/").html
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]+src=)", html)


def test_other_paths_stay_as_they_were(service: Service) -> None:
    assert service.get("/nothing").text == "not found"
    assert service.get("//update").text == "badauth"
    assert service.get("/api").json()["service"] == "ddnsd"


def test_static_files_are_kept_for_good_and_named_by_their_content(service: Service) -> None:
    paths = re.findall(r'"(/static/[^"]+)"', Browser(service).open("/").html)
    assert len(paths) == 3
    for path in paths:
        answer = service.get(path)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert service.get("/static/portal.css").status_code == 404


def test_who_has_not_signed_in_is_sent_to_do_so_and_comes_back(service: Service) -> None:
    browser = Browser(service)
    page = browser.open("/hosts?q=a")
    assert page.path == "/login?next=%2Fhosts%3Fq%3Da"
    assert browser.send(page, "/login", name="admin", password=password_of(service, "admin")).path == "/hosts?q=a"


@pytest.mark.parametrize("where", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "", "/\n/x"])
def test_nothing_leads_to_another_site(service: Service, where: str) -> None:
    values = {"next": where, "language": "en"}
    answer = Browser(service).request("POST", "/account/language", data=values)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize("csrf", [None, "", "0" * 64, "ä"])
def test_a_form_without_the_sessions_csrf_changes_nothing(alice: Browser, csrf: str | None) -> None:
    page = alice.post("/logout", {} if csrf is None else {"csrf": csrf})
    assert page.status == 403
    assert alice.open("/").status == 200
    assert "/logout" in [form.action for form in alice.open("/").forms]


def test_another_users_csrf_changes_nothing(new_user: Callable[[], tuple[str, Browser]]) -> None:
    (_, one), (_, two) = new_user(), new_user()
    theirs = two.open("/").form("/logout").values["csrf"]
    assert one.post("/logout", {"csrf": theirs}).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_a_form_from_another_site_changes_nothing(alice: Browser, headers: dict[str, str]) -> None:
    values = alice.open("/").form("/logout").values
    answer = alice.request("POST", "/logout", data=values, headers=headers)
    assert answer.status_code == 403
    assert "/logout" in [form.action for form in alice.open("/").forms]


def test_a_form_from_here_is_taken(service: Service, alice: Browser) -> None:
    values = alice.open("/").form("/logout").values
    answer = alice.request("POST", "/logout", data=values, headers={"Origin": service.url})
    assert answer.status_code == 303
    assert "__Host-ddns" not in alice.cookies
    assert "/login" in alice.open("/hosts").path


def test_a_form_has_a_bound_and_is_a_form(alice: Browser) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert alice.request("POST", "/logout", data=b"x" * 70_000, headers=form).status_code == 413
    assert alice.request("POST", "/logout", json={"csrf": "x"}).status_code == 415


def test_errors_are_pages(service: Service, alice: Browser) -> None:
    for browser in (Browser(service), alice):
        assert browser.open("/domains/nothing/at/all").status == 404
        assert browser.request("DELETE", "/").status_code == 405
        assert "<nav" in browser.open("/domains/nothing/at/all").html


def test_a_cookie_that_is_no_session_is_nobody(service: Service) -> None:
    for value in ("x", "0" * 64, "a" * 4000, '"', "%00"):
        browser = Browser(service, {"__Host-ddns": value})
        assert browser.request("GET", "/").status_code == 200
        assert browser.request("GET", "/hosts").headers["location"].startswith("/login")


def test_cookies_are_no_credentials_elsewhere(service: Service, admin: Browser) -> None:
    assert admin.request("GET", "/api/hosts").status_code == 401
    assert admin.request("GET", "/nic/hosts").status_code == 401
