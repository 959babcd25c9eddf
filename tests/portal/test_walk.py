# SPDX-License-Identifier: GPL-3.0-or-later
"""What people do here, in a real browser, from signing in at their provider to signing out."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, expect
from support import programs
from support.browser import chromium
from support.browser.portal import entered
from support.ports import free_port, wait_until
from support.servers.openid_provider import Provider
from support.servers.service import DOMAIN, Service, dev

PERSON = "ada"


@pytest.fixture(scope="module")
def campus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    made = Provider(free_port(), tmp_path_factory.mktemp("campus") / "log")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def site(campus: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("site"), oidc_providers=json.dumps([campus.settings()])) as running:
        campus.redirect_uris = [f"{running.url}/login/campus/callback"]
        campus.post_logout_redirect_uris = [f"{running.url}/login"]
        campus.start()
        campus.will_be(PERSON, preferred_username=PERSON)
        yield running


@pytest.fixture(scope="module")
def other(site: Service, browser: Chromium) -> Iterator[Page]:
    """A page of mallory's, who has nothing to do with her."""
    site.request("POST", "/api/users", site.admin_token, json={"name": "mallory"})
    with chromium.context(browser, site, entered(site, "mallory").cookies) as theirs:
        yield theirs.new_page()


def update(site: Service, fqdn: str, secret: str, address: str) -> str:
    return site.request("GET", "/nic/update", params={"myip": address}, auth=(fqdn, secret)).text


def test_a_walk(site: Service, browser: Chromium, other: Page, tmp_path: Path) -> None:
    """What Ada does, one thing after the other."""
    with chromium.context(browser, site, permissions=["clipboard-read", "clipboard-write"]) as window:
        page = window.new_page()
        sign_in_at_the_provider(page)
        secret = the_first_host_and_its_line_for_curl(site, window, page)
        wildcard(site, page)
        a_new_secret_kills_the_old(site, page, secret)
        search_while_typing(page)
        a_domain_is_asked_for_and_approved(site, browser, page)
        a_token_for_ddnsctl(site, page, tmp_path)
        a_second_user_sees_nothing_of_it(site, other)
        sign_out(page)


def sign_in_at_the_provider(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="Sign in").first.click()
    page.get_by_role("link", name="Sign in with The Campus").or_(
        page.get_by_role("button", name="Sign in with The Campus")
    ).first.click()
    expect(page.get_by_text("You have no hosts yet")).to_be_visible()
    expect(page.get_by_role("link", name=PERSON)).to_be_visible()


def the_first_host_and_its_line_for_curl(site: Service, window: BrowserContext, page: Page) -> str:
    page.goto("/")
    page.get_by_role("link", name="Add your first host").click()
    page.get_by_label("Name", exact=True).fill("first")
    expect(page.get_by_text(f"first.{DOMAIN} is free.")).to_be_visible()
    page.get_by_role("button", name="Add host").click()
    secret = page.get_by_label("the secret", exact=True).inner_text()

    watching = window.new_page()
    watching.goto(f"/hosts/first.{DOMAIN}")
    expect(watching.get_by_text("No client has asked yet.")).to_be_visible()

    page.locator("#curl").get_by_role("button", name="Copy").click()
    line = page.evaluate("navigator.clipboard.readText()")
    answer = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=True, timeout=20).stdout
    assert answer == "good 127.0.0.1"
    assert site.dig(f"first.{DOMAIN}") == ["127.0.0.1"]
    expect(watching.locator("#state")).to_contain_text("127.0.0.1", timeout=20_000)
    assert update(site, f"first.{DOMAIN}", secret, "192.0.2.77") == "good 192.0.2.77"
    expect(watching.locator("#state")).to_contain_text("192.0.2.77", timeout=20_000)
    watching.close()
    return secret


def wildcard(site: Service, page: Page) -> None:
    page.goto(f"/hosts/first.{DOMAIN}")
    page.get_by_role("link", name="Edit").click()
    page.get_by_label("Wildcard").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert site.dig(f"anything.first.{DOMAIN}") == ["192.0.2.77"]


def a_new_secret_kills_the_old(site: Service, page: Page, secret: str) -> None:
    page.goto(f"/hosts/first.{DOMAIN}/edit")
    page.get_by_text("Replace secret …").click()
    page.get_by_role("button", name="Replace secret").click()
    new = page.get_by_label("the secret", exact=True).inner_text()
    assert update(site, f"first.{DOMAIN}", secret, "192.0.2.78") == "badauth"
    assert update(site, f"first.{DOMAIN}", new, "192.0.2.78") == "good 192.0.2.78"


def search_while_typing(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Search").press_sequentially("nothing-like-it")
    expect(page.get_by_text("No matching hosts")).to_be_visible()
    page.get_by_label("Search").fill("192.0.2.78")
    expect(page.get_by_role("link", name=f"first.{DOMAIN}")).to_be_visible()
    assert "q=192.0.2.78" in page.url


def a_domain_is_asked_for_and_approved(site: Service, browser: Chromium, page: Page) -> None:
    page.goto("/domains")
    page.get_by_role("link", name="Request a domain").click()
    page.locator("[name=name]").fill("ada.example.org")
    page.locator("[name=reason]").fill("For the engine.")
    page.get_by_role("button", name=re.compile("^Send request")).click()
    expect(page.get_by_text("ada.example.org").first).to_be_visible()

    with chromium.context(browser, site, entered(site, "admin").cookies) as theirs:
        desk = theirs.new_page()
        desk.goto("/admin/requests")
        desk.get_by_role("link", name="ada.example.org").click()
        desk.get_by_role("button", name="Approve and create the domain").click()
        expect(desk.get_by_text("ada.example.org").first).to_be_visible()
    page.goto("/hosts/new?domain=ada.example.org")
    page.get_by_label("Name", exact=True).fill("difference")
    page.get_by_role("button", name="Add host").click()
    expect(page.get_by_role("heading", name="difference.ada.example.org was registered")).to_be_visible()


def a_token_for_ddnsctl(site: Service, page: Page, tmp_path: Path) -> None:
    page.goto("/tokens/new")
    page.locator("[name=name]").fill("adas-pipeline")
    page.get_by_role("button", name="Create token").click()
    token = page.get_by_label("the token", exact=True).inner_text()
    declaration = tmp_path / "hosts.yml"
    declaration.write_text(
        f"version: 1\nserver: {site.url}\nstack: ada\nhosts:\n  declared.ada.example.org: {{ipv4: 192.0.2.9}}\n"
    )
    env = site.env | {"DDNS_SERVER": site.url, "DDNS_TOKEN": token}
    run = programs.run(["ddnsctl", "apply", str(declaration), "--yes"], env)
    assert run.returncode == 0, run.stdout + run.stderr
    page.goto("/?stack=ada")
    expect(page.get_by_role("link", name="declared.ada.example.org")).to_be_visible()
    page.goto("/tokens")
    page.get_by_text("Revoke", exact=False).first.click()
    page.get_by_role("button", name=re.compile("^Revoke")).last.click()
    wait_until(lambda: site.get("/api/hosts", token).status_code == 401, what="revoked token")


def a_second_user_sees_nothing_of_it(site: Service, other: Page) -> None:
    other.goto("/")
    assert "first" not in other.locator("main").inner_text().lower().replace("your first host", "")
    for path in (f"/hosts/first.{DOMAIN}", f"/hosts/first.{DOMAIN}/edit", "/domains/ada.example.org"):
        answer = other.goto(path)
        assert answer is not None
        assert answer.status == 404
    assert "adas-pipeline" not in entered(site, "mallory").open("/tokens").text


def sign_out(page: Page) -> None:
    page.goto("/")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You have signed out here.")).to_be_visible()
    page.goto("/hosts/new")
    assert "/login" in page.url


def test_by_keyboard_alone(other: Page) -> None:
    other.goto("/hosts/new")
    expect(other.get_by_label("Name", exact=True)).to_be_focused()
    other.keyboard.type("typed")
    other.keyboard.press("Enter")
    expect(other.get_by_role("heading", name=f"typed.{DOMAIN} was registered")).to_be_visible()
    other.goto("/")
    other.keyboard.press("Tab")
    expect(other.get_by_role("link", name="Skip to content")).to_be_focused()
    other.keyboard.press("Enter")
    expect(other.locator("main")).to_be_focused()


def test_without_scripts(site: Service, browser: Chromium, other: Page) -> None:
    cookies = entered(site, "mallory").cookies
    with chromium.context(browser, site, cookies, java_script_enabled=False) as theirs:
        page = theirs.new_page()
        page.goto("/hosts/new")
        page.get_by_label("Name", exact=True).fill("plain")
        page.get_by_role("button", name="Add host").click()
        expect(page.get_by_role("heading", name=f"plain.{DOMAIN} was registered")).to_be_visible()
        page.goto("/")
        page.get_by_label("Search").fill("plain")
        page.get_by_role("button", name="Filter").click()
        expect(page.get_by_role("link", name=f"plain.{DOMAIN}")).to_be_visible()
