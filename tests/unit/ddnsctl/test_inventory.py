# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ansible-inventory` prints, read."""

import json
from pathlib import Path

import pytest

from ddnsctl import inventory


def test_wrapped_texts_are_read_as_what_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declared = {"fqdn": "h1.dyn.example.org", "comment": {"__ansible_unsafe": "Of an inventory plugin"}}
    variables = {"ansible_host": {"__ansible_unsafe": "192.0.2.5"}, "ddns": declared}
    program = tmp_path / "ansible-inventory"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps({'_meta': {'hostvars': {'h1': variables}}})}\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for _ in range(2):
        assert inventory.read("any").data["hosts"] == {
            "h1": {"fqdn": "h1.dyn.example.org", "comment": "Of an inventory plugin", "ipv4": "192.0.2.5"}
        }
