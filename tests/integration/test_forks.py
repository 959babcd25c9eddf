# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests start from a process that has loaded it does what the program does that is started by its name."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from parts import forks
from parts.ports import free_port, wait_until
from parts.service import Service

PROGRAMS = Path(sys.executable).parent
PARTS = Path(forks.__file__).parent


@pytest.mark.parametrize(
    "command",
    [
        ("ddnsd", "settings"),
        ("ddnsd", "nonsense"),
        ("ddnsd", "user", "add", "alice"),
        ("ddnsctl", "fmt", "--check", "a.yml"),
        ("ansible-playbook", "a.yml"),
    ],
)
def test_a_command_says_and_answers_the_same(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "a.yml").write_text("hosts: {www.dyn.example.org: {}}\nversion: 1\n")
    env = Service(tmp_path, 1, 1).env
    forked = forks.run(command, env, cwd=tmp_path)
    real = subprocess.run(
        [PROGRAMS / command[0], *command[1:]], env=env, cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (forked.returncode, forked.stdout, forked.stderr) == (real.returncode, real.stdout, real.stderr)


@pytest.mark.parametrize(
    ("tasks", "options"),
    [
        ('[{debug: {msg: \'{{ lookup("env", "SAID") }}\'}}, {fail: {msg: no}}]', []),
        ("[{nonsense: 1}]", ["--syntax-check", "-vv"]),
    ],
    ids=["run", "checked"],
)
def test_ansible_that_was_loaded_says_and_answers_the_same(tmp_path: Path, tasks: str, options: list[str]) -> None:
    (tmp_path / "a.yml").write_text(f"[{{hosts: localhost, gather_facts: false, tasks: {tasks}}}]")
    env = os.environ | {"ANSIBLE_HOME": str(tmp_path), "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "SAID": "here"}
    command = ["ansible-playbook", *options, "a.yml"]
    forked, real = (
        subprocess.run(line, env=env, cwd=PARTS.parent, capture_output=True, text=True, check=False, timeout=60)
        for line in (
            [sys.executable, "-m", "parts.forked", tmp_path, *command],
            ["env", "--chdir", tmp_path, *command],
        )
    )
    assert forked.returncode != 0
    assert (forked.returncode, forked.stdout, forked.stderr) == (real.returncode, real.stdout, real.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_alike(tmp_path: Path, number: signal.Signals) -> None:
    forked, real = (Service(tmp_path / name, free_port(), free_port()) for name in ("forked", "real"))
    forked.start()
    real.log.parent.mkdir()
    with real.log.open("wb") as log:
        started = subprocess.Popen([PROGRAMS / "ddnsd", "dev"], env=real.env, stdout=log, stderr=log)
    wait_until(lambda: "ready: " in real.log.read_text(), what="ready line")
    assert forked.process is not None
    for process in (forked.process, started):
        process.send_signal(number)
    assert forked.process.wait(15) == started.wait(15)
    assert forked.log.read_text().count("\n") == real.log.read_text().count("\n") == 2
