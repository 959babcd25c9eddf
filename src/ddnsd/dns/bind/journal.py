# SPDX-License-Identifier: GPL-3.0-or-later
"""Journals of zones (`.jnl`), to which BIND writes each update. It does not load a zone with a damaged journal."""

import subprocess
import time
from pathlib import Path

from ddnsd.dns.bind.rndc import BindError, program

SECONDS = 120.0

_FORMATS = (b";BIND LOG V9\n", b";BIND LOG V9.2\n")
_KEPT = "damaged"


def journal_of(zone_file: Path) -> Path:
    """The journal of the zone file."""
    return zone_file.with_name(f"{zone_file.name}.jnl")


def has_bad_format(zone_file: Path) -> bool:
    """Whether there is a journal that BIND cannot open. False if this process may not read it."""
    try:
        with journal_of(zone_file).open("rb") as file:
            return not file.read(16).startswith(_FORMATS)
    except OSError:
        return False


def load_problem(zone: str, zone_file: Path, *, with_journal: bool) -> str | None:
    """Why BIND cannot load the zone from its file, or None. Raises BindError if that cannot be checked."""
    lax = [word for option in "kmnrMS" for word in (f"-{option}", "ignore")]
    command = [program("named-checkzone"), *(["-j"] if with_journal else []), "-i", "none", *lax, zone, str(zone_file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise BindError(f"named-checkzone {zone}: timed out after {SECONDS:.0f} s") from None
    if done.returncode == 0:
        return None
    lines = (line for line in (done.stdout + done.stderr).splitlines() if "not loaded due to errors" not in line)
    return "; ".join(line.strip() for line in lines) or "named-checkzone does not accept it"


def set_aside(zone_file: Path) -> None:
    """Rename the journal, if there is one, so that BIND starts a new one."""
    journal = journal_of(zone_file)
    if journal.exists():
        journal.rename(journal.with_name(f"{journal.name}.{_KEPT}-{time.time_ns() // 1000}"))


def kept(zone_file: Path) -> list[Path]:
    """The journals that were set aside, the newest last."""
    journal = journal_of(zone_file)
    return sorted(journal.parent.glob(f"{journal.name}.{_KEPT}-*"))
