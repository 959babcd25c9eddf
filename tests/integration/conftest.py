# SPDX-License-Identifier: GPL-3.0-or-later
"""A service that the tests of the collection share; each has hosts of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ansible.playbooks import Ansible
from support.servers.service import Service, dev


@pytest.fixture(scope="session")
def ddnsd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with default settings."""
    with dev(tmp_path_factory.mktemp("ddnsd")) as running:
        yield running


@pytest.fixture
def ansible(ddnsd: Service, tmp_path: Path) -> Ansible:
    """Ansible in a folder of its own, as the administrator of the service."""
    return Ansible(tmp_path / "ansible", ddnsd.url, ddnsd.admin_token)
