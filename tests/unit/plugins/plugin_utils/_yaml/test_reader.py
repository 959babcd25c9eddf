# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller reads declarations with the reader of `ddnsctl`, whose tests are in tests/unit/ddnsctl/yaml."""

from __future__ import annotations

from ansible_collections.fedcloud.ddns.plugins.module_utils._sync.errors import Location
from ansible_collections.fedcloud.ddns.plugins.plugin_utils._yaml import reader


def test_positions_and_problems_are_those_of_the_engine() -> None:
    document = reader.read(b"version: 1\nhosts:\n  a: {ttl: 60}\n  a: {}\n", "f.yml")
    assert document.locate(("hosts", "a", "ttl")) == Location("f.yml", 3, 7)
    (problem,) = document.problems
    assert problem.where == Location("f.yml", 4, 3)
    assert str(problem) == "f.yml:4:3: the key 'a' appears twice (first on line 3)"
