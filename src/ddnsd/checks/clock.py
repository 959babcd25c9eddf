# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock of this machine, against those of database and name servers, and against NTP.

Name servers refuse signed messages whose time differs by more than five minutes (TSIG, RFC 8945), so a wrong clock
stops every update. A clock that went back also leaves entries of the future in the database.
"""

import ctypes
import shutil
import subprocess
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from ddnsd.checks.findings import Check, Finding
from ddnsd.db import queries
from ddnsd.db.schema import events

MOST_SECONDS = 60.0
"""A larger difference is a problem: at 300 seconds name servers refuse every update."""

MICROSECONDS = 1_000_000
NTP = "`timedatectl` shows the state of NTP; install chrony or systemd-timesyncd"

_UNSYNCHRONIZED = 0x40
"""STA_UNSYNC of adjtimex(2)."""


class _Timex(ctypes.Structure):
    """The begin of `struct timex`, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 64),
    )


def database_offset(connection: Connection) -> float:
    """The seconds by which the clock of the database is ahead of ours; negative if it is behind.

    SQLite has no clock of its own; there it is the time of the newest entry, if this is ahead.
    """
    if connection.dialect.name == "postgresql":
        before = queries.now()
        there: float = connection.execute(text("SELECT extract(epoch FROM clock_timestamp())::float8")).scalar_one()
        after = queries.now()
        return there - (before + after) / 2 / MICROSECONDS
    newest = connection.execute(events.select().with_only_columns(events.c.at).order_by(events.c.id.desc()).limit(1))
    return max(0.0, ((newest.scalar() or 0) - queries.now()) / MICROSECONDS)


def of_database(offset: float, *, is_server: bool) -> Finding:
    """The finding of this difference; `is_server`: the database has a clock of its own."""
    subject = "clock, compared with the database"
    if abs(offset) <= MOST_SECONDS:
        return Finding(Check.CLOCK, subject)
    if is_server:
        return Finding(Check.CLOCK, subject, f"{differs(offset, 'the database')}. {SET}")
    moment = datetime.fromtimestamp(queries.now() / MICROSECONDS + offset, UTC)
    problem = f"the database has entries of the future, {moment:%Y-%m-%d %H:%M} UTC: this clock is behind, or was ahead"
    return Finding(Check.CLOCK, subject, f"{problem}. {SET}")


def of_primary(offset: float, primary: str) -> Finding:
    """The finding of a difference to the clock of a name server."""
    problem = None
    if abs(offset) > MOST_SECONDS:
        problem = f"{differs(offset, primary)}: name servers refuse every update if it is more than 300 s. {SET}"
    return Finding(Check.CLOCK, f"clock, compared with {primary}", problem)


def differs(offset: float, other: str) -> str:
    """A difference in words."""
    return f"this clock is {abs(offset):.0f} s {'behind' if offset > 0 else 'ahead of'} that of {other}"


SET = f"Set the wrong one by NTP: {NTP}"


def synchronized() -> Finding:
    """Whether NTP keeps the clock. Only a note: virtual machines may get their time elsewhere."""
    state = _kernel_state()
    if state is None:
        state = _systemd_state()
    subject = "clock, NTP"
    if state is None:
        return Finding(Check.CLOCK, subject, note="not known here")
    return Finding(Check.CLOCK, subject, note=None if state else f"not synchronized: {NTP}")


def _kernel_state() -> bool | None:
    """What adjtimex says; None where it cannot be called, as in a sandbox."""
    found = _Timex(modes=0)
    try:
        if ctypes.CDLL(None).adjtimex(ctypes.byref(found)) < 0:
            return None
    except (OSError, AttributeError):
        return None
    return not found.status & _UNSYNCHRONIZED


def _systemd_state() -> bool | None:
    program = shutil.which("timedatectl")
    if program is None:
        return None
    command = [program, "show", "--property=NTPSynchronized", "--value"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(done.stdout.strip())
