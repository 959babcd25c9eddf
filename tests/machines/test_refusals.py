# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tool refuses, and how it says so."""

import subprocess
import sys

from parts.machines import FOLDER, UNABLE

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
