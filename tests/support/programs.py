# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the installed programs: in processes of their own, or as Click commands in this process.

Commands run in this process where the process does not matter: the start of Python takes longer than most of them.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from click.testing import CliRunner

import ddnsctl.cli
import ddnsd.cli.app

FOLDER = Path(sys.executable).parent
"""Where the programs are: those of the environment that runs the tests."""


def start(command: Sequence[str], env: Mapping[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a program by its name; both its streams go to the log."""
    path = FOLDER / command[0]
    return subprocess.Popen(
        [path, *command[1:]], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
    )


def run(
    command: Sequence[str], env: Mapping[str, str], stdin: str = "", cwd: Path | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a program by its name to its end. Raises TimeoutExpired."""
    path = FOLDER / command[0]
    return subprocess.run(
        [path, *command[1:]], env=env, input=stdin, cwd=cwd, timeout=timeout, capture_output=True, text=True
    )


def invoke(
    command: Sequence[str], env: Mapping[str, str], stdin: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `ddnsctl` or `ddnsd` in this process, with exactly this environment; a bug shows as a traceback."""
    name, *arguments = command

    def call() -> subprocess.CompletedProcess[str]:
        given = {**dict.fromkeys(os.environ.keys() - env.keys()), **env}
        with contextlib.chdir(cwd or Path.cwd()), CliRunner().isolation(stdin, given) as (stdout, stderr, _):
            try:
                code = ENTRIES[name](arguments)
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else 0
            except Exception:
                traceback.print_exc()
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            return subprocess.CompletedProcess(command, code, stdout.getvalue().decode(), stderr.getvalue().decode())

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return call()
    with ThreadPoolExecutor(1) as threads:  # the command runs an event loop of its own
        return threads.submit(call).result()


def _ddnsd(arguments: list[str]) -> int:
    return int(ddnsd.cli.app.main(arguments, prog_name="ddnsd") or 0)


ENTRIES: dict[str, Callable[[list[str]], int]] = {"ddnsctl": ddnsctl.cli.run, "ddnsd": _ddnsd}
