# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of licences of the dependencies."""

from pathlib import Path
from types import ModuleType

import pytest
from support.scripts import script

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def licences() -> ModuleType:
    return script("licences")


def test_the_page_is_current(licences: ModuleType) -> None:
    """It is made by `.venv/bin/python scripts/licences >docs/licences.md`."""
    assert (REPOSITORY / "docs" / "licences.md").read_text() == licences.page(), (
        "run: .venv/bin/python scripts/licences >docs/licences.md"
    )


@pytest.mark.parametrize("lock", ["server.txt", "dev.txt"])
def test_every_package_states_its_licence(licences: ModuleType, lock: str) -> None:
    names = licences.packages(lock)
    assert len(names) > 20
    assert [name for name in names if not licences.licence(name)] == []


def test_a_server_installs_nothing_that_is_not_free(licences: ModuleType) -> None:
    """Licences that fit GPL-3.0-or-later."""
    free = {"MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "ISC", "MPL-2.0", "PSF-2.0", "BSD"}
    for name in licences.packages("server.txt"):
        words = set(licences.licence(name).replace("(", "").replace(")", "").split()) - {"OR", "AND"}
        assert words <= free, name
