# SPDX-License-Identifier: GPL-3.0-or-later
"""Imports between the rooms run one way."""

import subprocess
import sys
from pathlib import Path


def test_the_contracts_hold() -> None:
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert result.returncode == 0, result.stdout
