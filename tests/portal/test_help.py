# SPDX-License-Identifier: GPL-3.0-or-later
"""Help for everybody, the updater's files, and a host's configurations for its owner."""

import re

import pytest
from support.browser.portal import Browser
from support.servers.service import Service

from ddnsd.web.portal.client_configs import SHIPPED, shipped
from ddnsd.web.portal.client_programs import CATALOGUE
from ddnsd.web.portal.views.help import TOPICS

WORDS = (
    "good",
    "nochg",
    "deleted",
    "badauth",
    "nohost",
    "notfqdn",
    "numhost",
    "dnserr",
    "badagent",
    "abuse",
    "!donator",
    "911",
)


@pytest.fixture
def nobody(service: Service) -> Browser:
    return Browser(service)


def test_every_topic_is_there_for_everybody(nobody: Browser) -> None:
    index = nobody.open("/help")
    for topic in TOPICS:
        assert f'href="/help/{topic.name}"' in index.html
        page = nobody.open(f"/help/{topic.name}")
        assert page.status == 200
        assert topic.title in page.text
    assert nobody.open("/help/nothing").status == 404


def test_every_word_has_a_place_of_its_own(nobody: Browser) -> None:
    page = nobody.open("/help/words")
    ids = re.findall(r'<dt id="([^"]+)">', page.html)
    assert ids == [word.lstrip("!") for word in WORDS]
    assert all(word in page.text.split() for word in WORDS)


def test_links_within_the_portal_lead_somewhere(nobody: Browser) -> None:
    for topic in TOPICS:
        links = re.findall(r"<article>.*</article>", nobody.open(f"/help/{topic.name}").html, re.S)
        for path in re.findall(r'href="(/[^"#]*)', "".join(links)):
            assert nobody.open(path).status == 200, path


def test_the_updater_can_be_fetched_and_nothing_else(nobody: Browser) -> None:
    for name in SHIPPED:
        answer = nobody.request("GET", f"/help/files/{name}")
        assert (answer.status_code, answer.content) == (200, shipped(name))
        assert answer.headers["content-type"].startswith("text/plain")
    for name in ("ddns-update-with", "..%2f..%2fapp.py", "%2fetc%2fpasswd"):
        assert nobody.request("GET", f"/help/files/{name}").status_code == 404


def test_a_hosts_configurations_hold_a_placeholder(alice: Browser, new_user, service: Service) -> None:  # type: ignore[no-untyped-def]
    name, owner = new_user()
    token = service.cli("token", "add", name, "--name", "api").stdout.strip()
    secret = service.register(f"{name}-conf", token)
    page = owner.open(f"/hosts/{name}-conf.{service.domain}/configuration?client=inadyn")
    assert page.status == 200
    assert secret not in page.html
    for entry in CATALOGUE:
        assert entry.title in page.text
    assert page.html.count('<details class="fold"') == len(CATALOGUE)
    assert re.findall(r'<details class="fold" id="([a-z0-9-]+)" open>', page.html) == ["inadyn"]
    assert f"user = &#34;{name}-conf.{service.domain}:SECRET&#34;" in page.html

    for stranger in (alice, Browser(service)):
        other = stranger.open(f"/hosts/{name}-conf.{service.domain}/configuration")
        assert "SECRET" not in other.text
        assert (other.status == 404) == (stranger is alice)
