# SPDX-License-Identifier: GPL-3.0-or-later
"""`make run`: it declares the example hosts, says how to move one, and ends without leaving anything behind."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.ports import free_port, wait_until

REPOSITORY = Path(__file__).parents[2]

ANSWERS = """\
www.lab.example.net. 60 IN A 192.0.2.10
www.lab.example.net. 60 IN AAAA 2001:db8::10
vm-1.lab.example.net. 60 IN A 192.0.2.21
sensor.lab.example.net. 60 IN AAAA 2001:db8::31
anything.www.lab.example.net. 60 IN A 192.0.2.10
anything.www.lab.example.net. 60 IN AAAA 2001:db8::10
""".splitlines()
OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
"""What a `make` that runs these tests tells the ones that it starts, as to keep their output until they end."""


def _ignore_nothing() -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Run:
    """A `make run` in a session of its own, as a terminal starts it."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder, self.output = folder, folder.with_name(f"{folder.name}.out")
        self.http = f"{host}:{free_port()}"
        settings = {"DIR": str(folder), "HTTP": self.http, "DNS": f"{host}:{free_port()}", "DOMAIN": "lab.example.net"}
        terminal = {name: value for name, value in os.environ.items() if name not in OF_MAKE}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                ["make", "--no-print-directory", "run"],
                cwd=REPOSITORY,
                start_new_session=True,
                env=terminal | {f"DDNSD_{name}": value for name, value in settings.items()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # a shell ignores for ever what was ignored when it began, as for commands in the background or of nohup
                preexec_fn=_ignore_nothing,
            )

    @property
    def lines(self) -> list[str]:
        return [" ".join(line.split()) for line in self.output.read_text().splitlines()]

    def wait_for(self, line: str) -> None:
        def there() -> bool:
            assert self.process.poll() is None, self.output.read_text()
            return line in self.lines

        wait_until(there, 180, line)

    def interrupt(self) -> None:
        """Ctrl-C, which a terminal sends to everything in the foreground."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(10)

    def processes(self) -> list[str]:
        """What runs with a file of this folder."""
        listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        return [line for line in listing.splitlines() if str(self.folder) in line]


@contextmanager
def make_run(folder: Path, host: str = "127.0.0.1") -> Iterator[Run]:
    run = Run(folder, host)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.interrupt()
    assert run.processes() == []


def shell(command: str) -> str:
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=20).stdout.strip()


def shows_the_declared_hosts_and_a_command_that_moves_one(run: Run) -> None:
    run.wait_for("Ctrl-C ends it.")
    assert run.lines[run.lines.index(f"ready: http://{run.http}") :][2:8] == ANSWERS
    curl = next(line for line in run.lines if line.startswith("curl "))
    dig = next(line for line in run.lines if line.startswith("dig "))
    assert shell(curl) == "good 192.0.2.99"
    assert shell(dig) == "192.0.2.99"
    log = (run.folder / "quickstart.log").read_text()
    assert "changed=1" in log
    for file in ("secrets/www.lab.example.net", "admin.token"):
        assert (run.folder / file).read_text().strip() not in run.output.read_text() + log


def test_it_runs_on_ipv6_and_in_any_folder(tmp_path: Path) -> None:
    with make_run(tmp_path / "a folder", "[::1]") as run:
        shows_the_declared_hosts_and_a_command_that_moves_one(run)


def test_a_second_run_registers_nothing_and_puts_back_what_was_moved(tmp_path: Path) -> None:
    folder = tmp_path / "dir"
    with make_run(folder) as run:
        shows_the_declared_hosts_and_a_command_that_moves_one(run)
    with make_run(folder) as run:
        run.wait_for("Ctrl-C ends it.")
        assert ANSWERS[0] in run.lines
        assert "changed=1" in (folder / "quickstart.log").read_text()
    with make_run(folder) as run:
        run.wait_for("Ctrl-C ends it.")
        assert "changed=0" in (folder / "quickstart.log").read_text()


@pytest.mark.parametrize("request_", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_in_seconds_also_while_it_is_starting(tmp_path: Path, request_: signal.Signals) -> None:
    with make_run(tmp_path / "dir") as run:
        run.wait_for(f"ready: http://{run.http}")
        os.killpg(run.process.pid, request_)
        run.process.wait(10)
