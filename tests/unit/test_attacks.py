# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of attacks names tests that exist, and each once."""

import ast
from pathlib import Path

import pytest
from support.attacks import ATTACKS, Result, results

TESTS = Path(__file__).parents[1]
NAMED = [test for tests in ATTACKS.values() for test in tests]


@pytest.mark.parametrize("test", NAMED)
def test_it_exists(test: str) -> None:
    file, _, name = test.partition("::")
    tree = ast.parse((TESTS / file).read_text())
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in found if name else any(one.startswith("test_") for one in found)


def test_each_counts_once() -> None:
    assert len(NAMED) == len(set(NAMED))
    files = {test for test in NAMED if "::" not in test}
    assert not [test for test in NAMED if "::" in test and test.partition("::")[0] in files]


def test_counts() -> None:
    held = ["tests/conformance/test_quotas.py::test_a[sqlite]", "tests/unit/dns/test_rdata.py::test_other"]
    failed = ["tests/conformance/test_quotas.py::test_a[postgres]"]
    assert results(held, failed) == {"more hosts, tokens and changes than one user may have": Result(2, 1)}
