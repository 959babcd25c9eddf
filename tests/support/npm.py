# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of npm that tests use: `tests/support/NAME/package-lock.json` says which, `.cache/NAME` holds them."""

import fcntl
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache"


def installed(name: str) -> Path:
    """The folder with `node_modules` as the lock says. Workers install in turn, so the others find it."""
    lock, folder = HERE / name / "package-lock.json", CACHE / name
    stamp = folder / "installed"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
            for file in ("package.json", "package-lock.json"):
                shutil.copy(HERE / name / file, folder)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
            shutil.copy(lock, stamp)
    return folder
