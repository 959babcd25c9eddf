# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of abuse: the public form, and what administrators do with them in the API and by commands."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.browser import abuse_form
from support.browser.abuse_form import PATH, SETTINGS, send
from support.browser.portal import Browser
from support.clients.dyndns import Host, new_label, register
from support.clients.rest_api import Api, Content, problem
from support.ports import wait_until
from support.servers.service import Service, dev

PER_SOURCE = 10
MARKUP = '<script>alert("x")</script> & <b>bold</b>'


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service behind a proxy, so that each test has an address of its own."""
    settings = dict(SETTINGS)
    if request.param == "postgres":
        settings["database_url"] = request.getfixturevalue("new_database")()
    with dev(tmp_path_factory.mktemp(request.param), **settings) as running:
        yield running


@pytest.fixture
def reporter(service: Service) -> Browser:
    """A browser without an account, at an address of its own."""
    return abuse_form.reporter(service)


@pytest.fixture
def host(service: Service) -> Host:
    """A host of a user, with both addresses and a wildcard."""
    return register(service, service.user(new_label()), wildcard="true")


@pytest.fixture
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


def newest(admin: Api) -> Content:
    return admin.items("/abuse-reports", state="open")[-1]


def told(admin: Api, fqdn: str) -> list[tuple[str, str]]:
    return [(e["action"], e["detail"]) for e in reversed(admin.items("/events", object=fqdn))]


def test_somebody_reports_and_an_administrator_blocks(reporter: Browser, host: Host, admin: Api) -> None:
    sent = send(reporter, f"https://login.{host.fqdn}/bank?x=1", text=f"First\r\n{MARKUP}", contact="me@example.net")
    assert (sent.status, sent.path) == (200, f"{PATH}/sent")
    report = newest(admin)
    assert {name: report[name] for name in ("name", "fqdn", "host", "kind", "text", "contact", "state", "blocked")} == {
        "name": f"login.{host.fqdn}",
        "fqdn": host.fqdn,
        "host": host.fqdn,
        "kind": "phishing",
        "text": f"First\n{MARKUP}",
        "contact": "me@example.net",
        "state": "open",
        "blocked": False,
    }
    assert report["source"].endswith("::1")
    path = f"/abuse-reports/{report['id']}"
    answer = admin.call("POST", f"{path}/block", {"reason": "Phishing", "reply": "Thank you.\nIt is gone."})
    assert answer.status_code == 200, answer.text
    closed = answer.json()
    assert closed == admin.get(path)
    assert (closed["state"], closed["blocked"], closed["reply"]) == ("blocked", True, "Thank you.\nIt is gone.")
    assert host.update(myip="192.0.2.9").text == "abuse"
    assert host.addresses() == []
    shown = admin.get(f"/hosts/{host.fqdn}")
    assert (shown["abuse_blocked"], shown["block_reason"]) == (True, "Phishing")
    number = report["id"]
    assert [one for one in told(admin, host.fqdn) if one[0] != "host.register"] == [
        ("abuse.report", f"report {number}: phishing"),
        ("host.block", "Phishing"),
        ("abuse.block", f"report {number}: Phishing"),
    ]
    problem(admin.call("POST", f"{path}/dismiss", {}), 412)


def test_the_owner_does_not_see_who_reported(service: Service, reporter: Browser, admin: Api) -> None:
    token = service.user(new_label())
    host = register(service, token)
    send(reporter, host.fqdn, contact="secret-reporter@example.net")
    number = newest(admin)["id"]
    admin.call("POST", f"/abuse-reports/{number}/dismiss", {"reply": "No."})
    owner = Api(service, token)
    assert {event["action"] for event in owner.items("/events")} == {"host.register", "token.add"}
    problem(owner.call("GET", f"/abuse-reports/{number}"), 403)
    problem(owner.call("GET", "/abuse-reports"), 403)


def test_the_form_refuses_what_is_not_ours_and_says_no_more(reporter: Browser, host: Host, admin: Api) -> None:
    before = admin.items("/abuse-reports")
    page = send(reporter, "www.elsewhere.example.com")
    assert page.status == 422
    assert "www.elsewhere.example.com is not a name of this service." in page.text
    assert "It asks for the password" in page.html  # what was entered stays
    assert admin.items("/abuse-reports") == before
    owner = admin.get(f"/hosts/{host.fqdn}")["owner"]
    assert owner not in send(reporter, host.fqdn, text="").text


@pytest.mark.parametrize(
    "values",
    [
        {"text": ""},
        {"text": "x" * 4001},
        {"text": "nul \0"},
        {"kind": ""},
        {"kind": "unknown"},
        {"contact": "x" * 256},
        {"contact": "a\nb"},
        {"name": ""},
        {"name": "a" * 3000},
        {"name": "http://[broken"},
        {"name": "<b>"},
    ],
    ids=str,
)
def test_bad_input_changes_nothing(reporter: Browser, host: Host, admin: Api, values: dict[str, str]) -> None:
    before = admin.items("/abuse-reports")
    page = reporter.post(PATH, {"name": host.fqdn, "kind": "spam", "text": "x"} | values)
    assert page.status == 422
    assert 'class="error"' in page.html
    assert "<b>" not in page.html
    assert admin.items("/abuse-reports") == before


def test_a_large_form_is_refused(reporter: Browser, host: Host) -> None:
    assert reporter.post(PATH, {"name": host.fqdn, "kind": "spam", "text": "x" * 70_000}).status == 413


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example.com"}])
def test_a_form_of_another_site_is_refused(reporter: Browser, host: Host, admin: Api, headers: dict[str, str]) -> None:
    before = admin.items("/abuse-reports")
    reporter.headers |= headers
    assert reporter.post(PATH, {"name": host.fqdn, "kind": "spam", "text": "x"}).status == 403
    assert admin.items("/abuse-reports") == before


def test_a_network_that_sends_many_is_refused(service: Service, host: Host, reporter: Browser) -> None:
    network = reporter.headers["X-Forwarded-For"].removesuffix("1")
    for number in range(PER_SOURCE):
        reporter.headers["X-Forwarded-For"] = f"{network}{number + 1:x}"
        assert send(reporter, host.fqdn).status == 200
    reporter.headers["X-Forwarded-For"] = f"{network}ffff"
    page = send(reporter, host.fqdn, text="Keep these words.")
    assert page.status == 429
    assert 0 < int(page.answer.headers["retry-after"]) <= 3600
    assert "Keep these words." in page.html
    assert send(abuse_form.reporter(service), host.fqdn).status == 200


def test_commands(service: Service, reporter: Browser, host: Host, admin: Api) -> None:
    send(reporter, host.fqdn, text="Look at this.")
    send(reporter, host.fqdn)
    first, second = (report["id"] for report in admin.items("/abuse-reports", state="open")[-2:])
    assert host.fqdn in service.cli("abuse", "list").stdout
    assert "Look at this." in service.cli("abuse", "show", first).stdout
    service.cli("abuse", "block", first, "--reason", "Phishing", "--reply", "Thanks.")
    wait_until(lambda: host.addresses() == [], 10, "records removed")
    assert host.update(myip="192.0.2.9").text == "abuse"
    service.cli("abuse", "dismiss", second)
    shown = json.loads(service.cli("abuse", "list", "--all", "--json").stdout)
    states = {str(one["id"]): (one["state"], one["reply"], one["decided_by"]) for one in shown}
    assert states[first] == ("blocked", "Thanks.", "ddnsd")
    assert states[second] == ("dismissed", None, "ddnsd")
    again = service.cli("abuse", "dismiss", second, check=False)
    assert again.returncode == 1
    assert "changed" in again.stderr
    assert "There is no such report." in service.cli("abuse", "show", "999999", check=False).stderr


def test_a_host_that_was_deleted(service: Service, reporter: Browser, admin: Api) -> None:
    token = service.user(new_label())
    host = register(service, token)
    send(reporter, host.fqdn)
    number = newest(admin)["id"]
    Api(service, token).delete(f"/hosts/{host.fqdn}")
    other = Api(service, service.user(new_label()))
    other.host(fqdn=host.fqdn)  # somebody else has the name now, and must not suffer
    problem(admin.call("POST", f"/abuse-reports/{number}/block", {}), 412)
    assert not admin.get(f"/hosts/{host.fqdn}")["abuse_blocked"]
    report = admin.get(f"/abuse-reports/{number}")
    assert (report["host"], report["owner"], report["state"]) == (None, None, "open")
    assert admin.call("POST", f"/abuse-reports/{number}/dismiss", {}).status_code == 200


def test_a_limit_of_all_and_no_form(tmp_path: Path) -> None:
    with dev(tmp_path, trusted_proxies="127.0.0.0/8", rules="on", abuse_reports_per_hour="2") as service:
        host = register(service, service.user("alice"))
        statuses = []
        for number in range(3):
            browser = Browser(service, headers={"X-Forwarded-For": f"192.0.2.{number}"})
            statuses.append(send(browser, host.fqdn).status)
        assert statuses == [200, 200, 429]
    service.settings["DDNSD_ABUSE_REPORTS_PER_HOUR"] = "0"
    service.start()
    try:
        browser = Browser(service)
        assert browser.open(PATH).status == 404
        assert browser.post(PATH, {"name": host.fqdn, "kind": "spam", "text": "x"}).status == 404
        assert PATH not in browser.open("/status").html
    finally:
        service.stop()
