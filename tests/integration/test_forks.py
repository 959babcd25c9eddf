# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests start from a process that has loaded it does what the program does that is started by its name."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from parts import forks
from parts.ports import free_port, wait_until
from parts.service import Service


@pytest.mark.parametrize("args", [("settings",), ("nonsense",), ("user", "add", "alice")])
def test_a_command_says_and_answers_the_same(tmp_path: Path, args: tuple[str, ...]) -> None:
    service = Service(tmp_path, 1, 1)
    command = [sys.executable, "-m", "ddnsd", *args]
    real = subprocess.run(command, env=service.env, capture_output=True, text=True, check=False, timeout=60)
    forked = forks.run(args, service.env, 60)
    assert (forked.returncode, forked.stdout, forked.stderr) == (real.returncode, real.stdout, real.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_alike(tmp_path: Path, number: signal.Signals) -> None:
    forked, real = (Service(tmp_path / name, free_port(), free_port()) for name in ("forked", "real"))
    forked.start()
    real.log.parent.mkdir()
    with real.log.open("wb") as log:
        started = subprocess.Popen([sys.executable, "-m", "ddnsd", "dev"], env=real.env, stdout=log, stderr=log)
    wait_until(lambda: "ready: " in real.log.read_text(), what="ready line")
    assert forked.process is not None
    for process in (forked.process, started):
        process.send_signal(number)
    assert forked.process.wait(15) == started.wait(15)
    assert forked.log.read_text().count("\n") == real.log.read_text().count("\n") == 1
