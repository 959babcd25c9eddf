# SPDX-License-Identifier: GPL-3.0-or-later
"""The versions of Python on this machine."""

import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


def interpreters(oldest: tuple[int, int]) -> dict[str, str]:
    """A path for each version on this machine from the oldest one on; the running version is among them."""
    found = {"{}.{}".format(*sys.version_info[:2]): sys.executable}
    for minor in range(oldest[1], sys.version_info[1] + 10):
        if command := shutil.which(f"python3.{minor}"):
            _add(found, command)
    for prefix in _managed():
        _add(found, str(prefix / "bin" / "python"))
    numbers = {version: tuple(map(int, version.split("."))) for version in found}
    return {version: found[version] for version in sorted(found, key=numbers.__getitem__) if numbers[version] >= oldest}


def _add(found: dict[str, str], command: str) -> None:
    """Add the interpreter unless its version is known; a command may be the stub of a manager of versions."""
    done = subprocess.run([command, "-c", VERSION], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        found.setdefault(done.stdout.strip(), command)


def _managed() -> list[Path]:
    """The folders of the versions that pyenv keeps, if there is one."""
    pyenv = shutil.which("pyenv")
    if not pyenv:
        return []
    listed = subprocess.run([pyenv, "versions", "--bare"], capture_output=True, text=True, check=False).stdout.split()
    versions = [version for version in listed if version.startswith("3.")]
    prefixes = (subprocess.run([pyenv, "prefix", v], capture_output=True, text=True, check=False) for v in versions)
    return [Path(done.stdout.strip()) for done in prefixes if done.returncode == 0]
