# SPDX-License-Identifier: GPL-3.0-or-later
"""A former primary stops itself only for a later primary that proves to have the transfer key."""

import os
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[3] / "roles" / "ddns_server" / "files" / "ddnsd-fence"
LATER, EARLIER = '"1800000000 ns2"', '"1700000000 ns2"'
UNVERIFIED = ";; Couldn't verify signature: tsig verify failure"


class Machine:
    """A former primary whose other name servers answer as a test says."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stopped = folder, folder / "stopped"
        (folder / "bin").mkdir()
        self._program("systemctl", f'echo "$@" >>{self.stopped}')
        text = PROGRAM.read_text().replace("/etc/ddnsd/", f"{folder}/")
        self.program = self._program("ddnsd-fence", text)

    def _program(self, name: str, text: str) -> Path:
        file = self.folder / "bin" / name
        file.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
        return file

    def asks(self, *answers: str) -> str:
        """A run; each other name server answers with one of the texts, or not at all. What it prints."""
        for number, answer in enumerate(answers):
            (self.folder / f"@192.0.2.{number}").write_text(answer)
        self._program("dig", f'test -s "{self.folder}/$3" || exit 9\ncat "{self.folder}/$3"')
        command: list[str | Path] = [
            self.program,
            "catalog.invalid",
            "key",
            *(f"192.0.2.{number}" for number in range(len(answers))),
        ]
        given = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}"}
        return subprocess.run(command, env=given, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("others", [[LATER], ["", LATER], [EARLIER, LATER], [f"{UNVERIFIED}\n{LATER}", LATER]])
def test_it_stops_for_a_later_primary(machine: Machine, others: list[str]) -> None:
    (machine.folder / "promoted").write_text("1750000000 ns1\n")
    assert "ns2 is the primary since 2027-01-15 08:00 UTC" in machine.asks(*others)
    assert "ns2 is the primary" in (machine.folder / "superseded").read_text()
    patterns = machine.stopped.read_text().split()
    for unit in ("ddnsd.socket", "ddnsd.service", "ddnsd-backup.timer", "named.service"):
        assert any(fnmatchcase(unit, pattern) for pattern in patterns), unit
    assert not any(fnmatchcase("ddnsd-backup.service", pattern) for pattern in patterns), "a backup may end"


@pytest.mark.parametrize(
    "answer",
    [
        "",
        EARLIER,
        '"1750000000 ns1"',
        UNVERIFIED,
        f"{UNVERIFIED}\n{LATER}",
        f"{LATER}\n{UNVERIFIED}",
        '"9999999999999999999999 ns2"',
        '"later ns2"',
    ],
)
def test_it_goes_on_otherwise(machine: Machine, answer: str) -> None:
    (machine.folder / "promoted").write_text("1750000000 ns1\n")
    assert machine.asks(answer) == ""
    assert not (machine.folder / "superseded").exists()
    assert not machine.stopped.exists()


def test_a_primary_that_was_never_promoted_stops_for_any(machine: Machine) -> None:
    assert "ns2" in machine.asks(EARLIER)
