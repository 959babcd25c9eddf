# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of abuse in the portal: what administrators see and decide."""

from collections.abc import Iterator

import pytest
from support.browser import abuse_form
from support.browser.abuse_form import PATH, SETTINGS, send
from support.browser.portal import Browser, entered
from support.clients.dyndns import Host, new_label, register
from support.clients.rest_api import Api
from support.servers.service import Service, dev

MARKUP = '<script>alert("x")</script> & <b>bold</b>'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("abuse"), **SETTINGS, quarantine_addresses="192.0.2.66") as running:
        yield running


@pytest.fixture
def reporter(service: Service) -> Browser:
    return abuse_form.reporter(service)


@pytest.fixture
def host(service: Service) -> Host:
    return register(service, service.user(new_label()), wildcard="true")


@pytest.fixture
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


def newest(admin: Api) -> str:
    """The id of the newest open report."""
    number: str = admin.items("/abuse-reports", state="open")[-1]["id"]
    return number


def test_who_has_signed_in_sends_the_token_of_the_session(service: Service, host: Host) -> None:
    browser = entered(service, "admin")
    assert browser.post(PATH, {"name": host.fqdn, "kind": "spam", "text": "x"}).status == 403
    assert send(browser, host.fqdn).path == f"{PATH}/sent"


def test_markup_is_shown_as_text(service: Service, reporter: Browser, host: Host, admin: Api) -> None:
    send(reporter, host.fqdn, text=MARKUP, contact="<i>me</i>")
    number = newest(admin)
    browser = entered(service, "admin")
    for path in ("/admin/abuse", f"/admin/abuse/{number}"):
        page = browser.open(path)
        assert page.status == 200
        assert "<script>alert" not in page.html
        assert "<i>me" not in page.html
    assert MARKUP in browser.open(f"/admin/abuse/{number}").text


def test_an_administrator_decides_in_the_portal(service: Service, reporter: Browser, host: Host, admin: Api) -> None:
    send(reporter, host.fqdn)
    send(reporter, host.fqdn, kind="spam")
    first, second = (report["id"] for report in admin.items("/abuse-reports", state="open")[-2:])
    browser = entered(service, "admin")
    assert "/admin/abuse" in browser.open("/admin").html
    page = browser.open(f"/admin/abuse/{first}")
    assert host.fqdn in page.text
    long = browser.send(page, f"/admin/abuse/{first}/block", reason="x" * 256, reply="y")
    assert long.status == 422
    done = browser.send(page, f"/admin/abuse/{first}/block", reason="Phishing", reply="Thank you.")
    assert (done.status, "Thank you." in done.text, "blocked" in done.text) == (200, True, True)
    csrf = browser.open(f"/admin/abuse/{second}").form(f"/admin/abuse/{second}/block").values["csrf"]
    dismissed = browser.post(f"/admin/abuse/{second}/dismiss", {"csrf": csrf, "reply": "Blocked before."})
    assert "Blocked before." in dismissed.text
    assert {admin.get(f"/abuse-reports/{n}")["state"] for n in (first, second)} == {"blocked", "dismissed"}
    assert browser.post(f"/admin/abuse/{second}/dismiss", {"csrf": csrf}).status == 412
    assert browser.open("/admin/abuse/999999").status == 404


@pytest.mark.parametrize("path", ["/admin/abuse", "/admin/abuse/1"])
def test_the_queue_is_for_administrators(service: Service, path: str) -> None:
    name = new_label()
    service.user(name)
    assert entered(service, name).open(path).status == 403
    assert Browser(service).open(path).path.startswith("/login?")


def test_german(reporter: Browser) -> None:
    reporter.headers["Accept-Language"] = "de"
    page = reporter.open(PATH)
    assert "Missbrauch melden" in page.text
    assert 'lang="de"' in page.html


def test_quarantine_in_the_portal(service: Service, reporter: Browser, host: Host, admin: Api) -> None:
    send(reporter, host.fqdn)
    number = newest(admin)
    browser, path = entered(service, "admin"), f"/hosts/{host.fqdn}"
    csrf = browser.open(f"/admin/abuse/{number}").form(f"/admin/abuse/{number}/block").values["csrf"]
    done = browser.post(f"/admin/abuse/{number}/quarantine", {"csrf": csrf, "reason": "Phishing"})
    assert "in quarantine" in done.text
    assert host.addresses() == ["192.0.2.66"]
    owner = entered(service, admin.get(path)["owner"]).open(path)
    assert "An administrator has put this host in quarantine" in owner.text
    assert "Phishing" in owner.text

    edit = browser.open(f"{path}/edit")
    browser.send(edit, f"{path}/edit", comment="Looked at", quarantined="on", abuse_blocked="on")
    assert admin.get(path)["quarantined"]
    browser.send(browser.open(f"{path}/edit"), f"{path}/edit", quarantined=None, abuse_blocked="on")
    shown = admin.get(path)
    assert (shown["quarantined"], shown["abuse_blocked"], shown["block_reason"]) == (False, True, "Phishing")
    refused = browser.send(browser.open(f"{path}/edit"), f"{path}/edit", quarantined="on", abuse_blocked=None)
    assert refused.status == 422
    assert "A host in quarantine is blocked." in refused.text
    browser.send(browser.open(f"{path}/edit"), f"{path}/edit", quarantined="on")
    assert admin.get(path)["quarantined"]
    browser.send(browser.open(f"{path}/edit"), f"{path}/edit", quarantined="on", abuse_blocked=None)
    shown = admin.get(path)
    assert (shown["quarantined"], shown["abuse_blocked"], shown["block_reason"]) == (False, False, None)
    assert host.addresses() == ["192.0.2.1"]
    browser.send(browser.open(f"{path}/edit"), f"{path}/edit", quarantined="on", block_reason="Again")
    shown = admin.get(path)
    assert (shown["quarantined"], shown["abuse_blocked"], shown["block_reason"]) == (True, True, "Again")
