# SPDX-License-Identifier: GPL-3.0-or-later
"""The last backup, as the job that makes backups reports it.

The service must not read or change backups, so it cannot look at them itself. After each run the job writes a file:

    {"finished": 1764460800, "problem": "", "succeeded": 1764460800, "size": 48213}

`finished` and `succeeded` are the times of the last run and of the last good one, in seconds since the epoch, `problem`
says why the last run failed, and `size` is that of the last good backup in octets.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ddnsd.checks.findings import Check, Finding

HOUR = 3600.0

SUBJECT = "backup"
_SEE = "See `journalctl -u ddnsd-backup -u ddnsd-export`, or the log of your backup job"


class Report(NamedTuple):
    """What the job has reported."""

    finished: float
    problem: str
    succeeded: float | None
    size: int | None


class Backup(NamedTuple):
    """The finding, and the report if there is one."""

    finding: Finding
    report: Report | None


def examine(file: Path, hours: float, now: float) -> Backup:
    """Check that the last backup succeeded, at most `hours` ago. `now` is in seconds since the epoch."""
    try:
        report = _read(file)
    except FileNotFoundError:
        return _without_report(file, hours, now)
    except OSError as error:
        return _bad(None, f"{file} cannot be read: {error.strerror}")
    except (ValueError, TypeError, KeyError) as error:
        return _bad(None, f"{file} is no report of a backup: {error}. The backup job must write it anew")
    if report.problem:
        return _bad(report, f"the last one failed, {_time(report.finished)}: {report.problem}. {_SEE}")
    if report.succeeded is None or now - report.succeeded > hours * HOUR:
        last = "never" if report.succeeded is None else _time(report.succeeded)
        return _bad(report, f"the last one is older than {hours:.0f} hours: {last}. Check that its timer runs. {_SEE}")
    return Backup(Finding(Check.BACKUP, SUBJECT, note=f"the last one: {_time(report.succeeded)}"), report)


def _without_report(file: Path, hours: float, now: float) -> Backup:
    """There was no backup yet. That is right in the first hours after the folder was created."""
    try:
        is_new = now - file.parent.stat().st_mtime < hours * HOUR
    except OSError:
        is_new = False
    if is_new:
        return Backup(Finding(Check.BACKUP, SUBJECT, note="none yet"), None)
    return _bad(None, f"there was none: there is no {file}. `systemctl start ddnsd-backup` makes one. {_SEE}")


def _read(file: Path) -> Report:
    """Raises OSError, ValueError, TypeError, KeyError."""
    given = json.loads(file.read_text())
    if not isinstance(given, dict):
        raise TypeError("it has no fields")
    succeeded, size = given.get("succeeded"), given.get("size")
    return Report(
        float(given["finished"]),
        str(given.get("problem") or ""),
        None if succeeded is None else float(succeeded),
        None if size is None else int(size),
    )


def _bad(report: Report | None, problem: str) -> Backup:
    return Backup(Finding(Check.BACKUP, SUBJECT, problem), report)


def _time(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
