# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ACME clients as their configurations say, with options for the authority of the test."""

import os
import shutil
import subprocess
from pathlib import Path


def run(command: list[str | Path], **environment: str) -> str:
    """What the program printed; it must succeed."""
    given = {**os.environ, **environment}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=given, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def with_options(folder: Path, name: str, options: str, program: Path | None = None) -> str:
    """A PATH on which the program of this name has more options."""
    folder.mkdir()
    real = program or shutil.which(name, path="/usr/bin:/usr/local/bin") or name
    (folder / name).write_text(f'#!/bin/sh\nexec {real} {options} "$@"\n')
    (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def names_in(certificate: Path) -> set[str]:
    """The names of a certificate."""
    shown = run(["openssl", "x509", "-in", certificate, "-noout", "-ext", "subjectAltName"])
    return {part.strip().removeprefix("DNS:") for part in shown.splitlines()[1].split(",")}
