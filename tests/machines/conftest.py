# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool that makes machines. On a host that cannot run any, the tests of running ones are not collected."""

from collections.abc import Callable, Iterator

import pytest
from support.machines.tool import UNABLE, Machines, run

collect_ignore = ["test_running.py"] if run("check", check=False).returncode == UNABLE else []


@pytest.fixture
def machines(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Machines]]:
    """Makes scenarios by a word; their machines are removed at the end."""
    made: list[Machines] = []

    def make(word: str = "one") -> Machines:
        made.append(Machines(f"{request.node.name.removeprefix('test_')}-{word}"))
        return made[-1]

    yield make
    for scenario in made:
        scenario.run("down")


@pytest.fixture(scope="session", autouse=True)
def image() -> None:
    """Made before a test waits for it."""
    if not collect_ignore:
        run("image")
