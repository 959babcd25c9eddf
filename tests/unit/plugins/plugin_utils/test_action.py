# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in the controller's process."""

from __future__ import annotations

import os

import pytest
from ansible_collections.fedcloud.ddns.plugins.plugin_utils._action import environment


def test_the_environment_of_a_task_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDNS_TOKEN", "old")
    monkeypatch.delenv("DDNS_SERVER", raising=False)
    with environment({"DDNS_TOKEN": "new", "DDNS_SERVER": "there"}):
        assert (os.environ["DDNS_TOKEN"], os.environ["DDNS_SERVER"]) == ("new", "there")
    assert os.environ["DDNS_TOKEN"] == "old"
    assert "DDNS_SERVER" not in os.environ


def test_it_ends_too_when_the_task_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DDNS_TOKEN", raising=False)
    with pytest.raises(OSError, match="no"), environment({"DDNS_TOKEN": "new"}):
        raise OSError("no")
    assert "DDNS_TOKEN" not in os.environ
