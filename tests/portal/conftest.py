# SPDX-License-Identifier: GPL-3.0-or-later
"""One service for the tests of the portal, and people who have signed in."""

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from support.browser import chromium
from support.browser.portal import Browser, entered
from support.servers.service import Service, dev


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("portal")) as service:
        yield service


@pytest.fixture(scope="session")
def admin(service: Service) -> Browser:
    """The administrator's browser."""
    return entered(service, "admin")


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return count(1)


@pytest.fixture
def new_user(service: Service, _numbers: Iterator[int]) -> Callable[[], tuple[str, Browser]]:
    """Makes a user; answers their name and a browser in which they have signed in."""

    def make() -> tuple[str, Browser]:
        name = f"user{next(_numbers)}"
        made = service.request("POST", "/api/users", service.admin_token, json={"name": name})
        assert made.status_code == 201, made.text
        return name, entered(service, name)

    return make


@pytest.fixture
def alice(new_user: Callable[[], tuple[str, Browser]]) -> Browser:
    """A new user's browser."""
    return new_user()[1]


@pytest.fixture(scope="module")  # while it runs, Playwright has an event loop, beside which no other may run
def browser() -> Iterator[Chromium]:
    """The system's Chromium."""
    if folder := os.environ.get(chromium.SHOTS):
        Path(folder).mkdir(parents=True, exist_ok=True)
    with chromium.chromium() as browser:
        yield browser
