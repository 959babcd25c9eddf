# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases that a whole run shares, and examples that are the same in every run, without limits of time.

`pytest --hypothesis-profile=default` looks for new ones.
"""

import fcntl
import gc
import os
import signal
from collections.abc import Callable, Generator, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support import attacks, programs
from support.servers.postgres import create_database, postgres

settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")

# programs under test are sent it; a run in the background of a shell would have them ignore it
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--attacks", action="store_true", help="count the attacks that were tried, by kind")
    parser.addoption("--no-long", action="store_true", help="leave out the tests that are marked as long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `--no-long`, leave out long tests: `make test-full` runs them."""
    if config.getoption("no_long"):
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """With `--attacks`, print the table of attacks."""
    if not config.getoption("attacks"):
        return
    held, failed = (
        [report.nodeid for word in words for report in terminalreporter.stats.get(word, ())]
        for words in (["passed"], ["failed", "error"])
    )
    found = attacks.results(held, failed)
    terminalreporter.section("attacks")
    for kind, one in found.items():
        terminalreporter.write_line(f"{kind:<60} {one.tried:>5} tried {one.held:>5} held")
    tried, total = sum(one.tried for one in found.values()), sum(one.held for one in found.values())
    terminalreporter.write_line(f"{'all':<60} {tried:>5} tried {total:>5} held")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Workers collect in turn: the first compiles the tests, and the others read what it has written.

    What is collected stays to the end: nobody need look for garbage in it.
    """
    gc.disable()
    with Path(__file__).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        collected = yield
    gc.freeze()
    gc.enable()
    return collected


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """One PostgreSQL for the run."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def empty_database(postgres_server: str) -> str:
    """The URL of a PostgreSQL database without a schema."""
    return create_database(postgres_server, "empty")


@pytest.fixture(scope="session")
def new_database(postgres_server: str) -> Callable[[], str]:
    """Makes a PostgreSQL database with the newest schema, as a copy of one: that is quicker. Answers its URL."""
    migrated = create_database(postgres_server, "migrated")
    programs.invoke(["ddnsd", "db", "upgrade"], {**os.environ, "DDNSD_DATABASE_URL": migrated}).check_returncode()
    numbers = count(1)
    return lambda: create_database(postgres_server, f"test{next(numbers)}", "migrated")


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def store_settings(request: pytest.FixtureRequest) -> Callable[[], dict[str, str]]:
    """Settings of a service with a store of its own, once for each database."""
    if request.param == "sqlite":
        return dict
    new_database = request.getfixturevalue("new_database")
    return lambda: {"database_url": new_database()}
