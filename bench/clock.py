# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a command takes, from its start to its end."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


def seconds_of(
    command: Sequence[str | Path], directory: Path, *, environment: Mapping[str, str] | None = None, status: int = 0
) -> tuple[float, str]:
    """Seconds and everything printed; RuntimeError when it ends with another status."""
    begin = time.perf_counter()
    run = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    output = run.stdout + run.stderr
    if run.returncode != status:
        raise RuntimeError(f"{Path(command[0]).name} ended with {run.returncode}: {output[-1000:]}")
    return seconds, output
