# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command, and print where the secret of a file shows: in processes meanwhile, in the journal, in other files.

`python3 exposed.py [--allow FOLDER]… SECRET-FILE COMMAND…`. Nothing printed is good.
"""

import argparse
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ALLOWED = [Path("/etc/ddns-update/secrets"), Path("/run/credentials")]
FOLDERS = ("etc", "home", "opt", "root", "run", "srv", "tmp", "usr/local", "var")


def forms(file: Path) -> list[bytes]:
    """The secret, and what Basic makes of it."""
    secret = file.read_text().strip()
    return [secret.encode(), b64encode(f"{file.name}:{secret}".encode())]


def holding(paths: Iterator[Path], secrets: list[bytes]) -> set[str]:
    """Those of the files that have it."""
    found = set()
    for path in paths:
        with suppress(OSError):
            content = path.read_bytes()
            if any(secret in content for secret in secrets):
                found.add(str(path))
    return found


def processes() -> Iterator[Path]:
    """Command line and environment of each."""
    for what in ("cmdline", "environ"):
        yield from Path("/proc").glob(f"[0-9]*/{what}")


def others(allowed: list[Path]) -> Iterator[Path]:
    """Files in which it has no place."""
    for top in FOLDERS:
        for path in Path("/", top).rglob("*"):
            if path.is_file() and not any(path.is_relative_to(folder) for folder in allowed):
                yield path


def main() -> None:
    """Print what there is."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--allow", action="append", default=ALLOWED, type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    given = parser.parse_args()
    secrets = forms(given.file)
    found: set[str] = set()
    looks = 0
    with subprocess.Popen(given.command, stdout=subprocess.DEVNULL) as command:
        while command.poll() is None:
            found |= holding(processes(), secrets)
            looks += 1
    journal = subprocess.run(["journalctl", "--output=export"], capture_output=True, check=True).stdout
    found |= {"the journal" for secret in secrets if secret in journal}
    found |= holding(others([*given.allow, given.file]), secrets)
    if looks < 3 or command.returncode != 0:
        found.add(f"the command ended with status {command.returncode}, after {looks} looks at processes")
    print("\n".join(sorted(found)), end="")


main()
