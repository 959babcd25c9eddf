# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine for the updater, and a stand-in for its server."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clients.updater import Machine
from support.servers.http_stub import Web, web


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    return Machine(tmp_path)


@pytest.fixture
def server() -> Iterator[Web]:
    """Says `good` to everything until a test says otherwise."""
    with web(lambda _: "good") as stand_in:
        yield stand_in
