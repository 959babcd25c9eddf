# SPDX-License-Identifier: GPL-3.0-or-later
"""The last backup, its copy on another machine and the last test of a restore, as their jobs report them.

The service must not read or change backups, so it cannot look at them itself. After each run a job writes a file:

    {"finished": 1764460800, "problem": "", "succeeded": 1764460800, "size": 48213}

`finished` and `succeeded` are the times of the last run and of the last good one, in seconds since the epoch, `problem`
says why the last run failed, and `size` is that of the last good backup in octets.

Who sets the job up writes the file first, with `since`, the time of that, and without the other times: a job that
never runs is noticed when it is late.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ddnsd.checks.findings import Check, Finding

HOUR = 3600.0

RESTORE_TEST_HOURS = 24.0 * 40
"""A test of a restore runs once a month."""


class Job(NamedTuple):
    """A job: its name in messages, its unit, its file, and the hours after which its last success is too old."""

    name: str
    unit: str
    file: Path
    hours: float


def jobs(made: Path | None, copied: Path | None, tested: Path | None, hours: float) -> tuple[Job, ...]:
    """The jobs of these files: of backups, of their copies elsewhere, and of tests of a restore."""
    known = (
        ("backup", "ddnsd-backup", made, hours),
        ("offsite", "ddnsd-offsite", copied, hours),
        ("restore-test", "ddnsd-restore-test", tested, RESTORE_TEST_HOURS),
    )
    return tuple(Job(name, unit, file, limit) for name, unit, file, limit in known if file is not None)


class Report(NamedTuple):
    """What the job has reported. `since` is when it was set up; None if that is not known."""

    finished: float | None
    problem: str
    succeeded: float | None
    size: int | None
    since: float | None = None


class Backup(NamedTuple):
    """The finding, and the report if there is one."""

    finding: Finding
    report: Report | None


def examine(job: Job, now: float) -> Backup:
    """Check that the job's last run succeeded, and is not too old. `now` is in seconds since the epoch."""
    see = f"See `journalctl -u {job.unit}`, or the log of your own job"
    try:
        report = _read(job.file)
    except FileNotFoundError:
        return _bad(job, None, f"there was none: there is no {job.file}. `systemctl start {job.unit}` runs it. {see}")
    except OSError as error:
        return _bad(job, None, f"{job.file} cannot be read: {error.strerror}")
    except (ValueError, TypeError) as error:
        return _bad(job, None, f"{job.file} is not its report: {error}. The job must write it anew")
    if report.problem:
        return _bad(job, report, f"the last one failed, {_time(report.finished)}: {report.problem}. {see}")
    if report.succeeded is None and report.since is not None and now - report.since <= job.hours * HOUR:
        return Backup(Finding(Check.BACKUP, job.name, note=f"none yet, since {_time(report.since)}"), report)
    if report.succeeded is None or now - report.succeeded > job.hours * HOUR:
        text = f"the last one is older than {job.hours:.0f} hours: {_time(report.succeeded)}. Check that its timer runs"
        return _bad(job, report, f"{text}. {see}")
    return Backup(Finding(Check.BACKUP, job.name, note=f"the last one: {_time(report.succeeded)}"), report)


def _read(file: Path) -> Report:
    """Raises OSError, ValueError, TypeError."""
    given = json.loads(file.read_text())
    if not isinstance(given, dict):
        raise TypeError("it has no fields")
    finished, succeeded, since = (_moment(given, name) for name in ("finished", "succeeded", "since"))
    problem, size = str(given.get("problem") or ""), given.get("size")
    if finished is None and (problem or since is None):
        raise ValueError("it has no time")
    return Report(finished, problem, succeeded, None if size is None else int(size), since)


def _moment(given: dict[str, object], name: str) -> float | None:
    """Raises ValueError."""
    value = given.get(name)
    return None if value is None else float(str(value))


def _bad(job: Job, report: Report | None, problem: str) -> Backup:
    return Backup(Finding(Check.BACKUP, job.name, problem), report)


def _time(moment: float | None) -> str:
    return "never" if moment is None else f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
