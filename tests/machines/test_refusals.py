# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tool refuses, and how it says so."""

import subprocess
import sys

import pytest
from support.machines.tool import FOLDER, UNABLE, run

AS_NOBODY = """
import os, sys
from machines.__main__ import main
if os.geteuid() == 0:
    os.seteuid(65534)
sys.exit(main())
"""


def test_unable() -> None:
    """Without root, one line says so, with an exit status of its own."""
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, "check"], cwd=FOLDER, capture_output=True, text=True, check=False
    )
    assert done.returncode == UNABLE, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("No machines on this host: ")


@pytest.mark.parametrize("wires", ["eth0", "a,,b", "elevenchars", "../x"])
def test_wires(wires: str) -> None:
    """A name that could not be an interface's, or one of ours, is refused first, also where no machines can run."""
    refused = run("up", "refused", f"a:{wires}", check=False)
    assert refused.returncode == 2
    assert "the name of a wire" in refused.stderr
