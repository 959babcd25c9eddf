# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations as the controller reads them."""

from __future__ import annotations

import pytest
from ansible_collections.fedcloud.ddns.plugins.module_utils._sync.errors import DeclarationError
from ansible_collections.fedcloud.ddns.plugins.plugin_utils._yaml import read

TEXT = b"""\
version: 1
hosts:
  on: {ipv4: 192.0.2.1, comment: 12:30}
  7: &a {ttl: 010, wildcard: yes, comment: 2024-01-01}
  b: {<<: *a, ttl: 60, labels: {x: 1.5, y: ~, z: [1]}}
"""


def test_values_and_names_are_what_a_reader_takes_them_for() -> None:
    data = read(TEXT, "f.yml")[0]
    assert data["hosts"] == {
        "on": {"ipv4": "192.0.2.1", "comment": "12:30"},
        "7": {"ttl": "010", "wildcard": True, "comment": "2024-01-01"},
        "b": {
            "ttl": 60,
            "wildcard": True,
            "comment": "2024-01-01",
            "labels": {"x": 1.5, "y": None, "z": [1]},
        },
    }


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), "f.yml:1:1"),
        (("hosts",), "f.yml:2:1"),
        (("hosts", "b", "ttl"), "f.yml:5:15"),
        (("hosts", "b", "labels", "nothing"), "f.yml:5:24"),
    ],
)
def test_every_key_has_its_place(path: tuple[str, ...], place: str) -> None:
    assert str(read(TEXT, "f.yml")[1](path)) == place


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "f.yml: is empty"),
        (b"\xff\xfe", "f.yml: is not UTF-8 text"),
        (b"a: 1\na: 2\n", "f.yml:2:1: is not valid YAML: 'a' stands here twice"),
        (b"hosts: [", "f.yml:2:1: is not valid YAML"),
        (b"a: !vault |\n  x\n", "f.yml:1:4: .*'!vault'"),
        (b"{[1]: 2}", "f.yml:1:2: .*a key must be text"),
        (b"a: 1\n---\nb: 2\n", "f.yml:2:1: is not valid YAML"),
    ],
)
def test_what_is_no_declaration_is_said_with_its_place(content: bytes, said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        read(content, "f.yml")
