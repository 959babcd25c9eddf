# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of the last backup."""

import json
from pathlib import Path

import pytest

from ddnsd.checks import backup

NOW, HOUR = 1_800_000_000, 3600
GOOD = {"finished": NOW - HOUR, "problem": "", "succeeded": NOW - HOUR, "size": 48213}


def examined(folder: Path, content: object) -> backup.Backup:
    file = folder / "report.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return backup.examine(job(file), NOW)


def job(file: Path) -> backup.Job:
    return backup.Job("backup", "ddnsd-backup", file, 36)


def test_a_good_one(tmp_path: Path) -> None:
    found = examined(tmp_path, GOOD)
    assert found.finding.problem is None
    assert found.report == (NOW - HOUR, "", NOW - HOUR, 48213, None)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"problem": "exit-code"}, "the last one failed, 2027-01-15 07:00 UTC: exit-code"),
        ({"succeeded": NOW - 37 * HOUR}, "older than 36 hours: 2027-01-13 19:00 UTC"),
        ({"succeeded": None}, "older than 36 hours: never"),
    ],
)
def test_a_bad_one(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    problem = examined(tmp_path, GOOD | changed).finding.problem
    assert problem is not None
    assert said in problem
    assert "journalctl -u ddnsd-backup" in problem


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "null", '{"finished": "soon"}', '{"finished": {}}', '{"problem": "x", "since": 1}']
)
def test_a_report_that_is_none(tmp_path: Path, content: str) -> None:
    found = examined(tmp_path, content)
    assert found.report is None
    assert "is not its report" in (found.finding.problem or "")


def test_there_was_none_yet(tmp_path: Path) -> None:
    """In the first hours after the installation this is no fault, whatever else is written to the folder."""
    report = {"finished": None, "problem": "", "succeeded": None, "since": NOW - 35 * HOUR}
    found = examined(tmp_path, report)
    assert found.finding.problem is None
    assert found.finding.note == "none yet, since 2027-01-13 21:00 UTC"
    late = examined(tmp_path, report | {"since": NOW - 37 * HOUR}).finding.problem or ""
    assert "older than 36 hours: never. Check that its timer runs" in late


def test_there_is_no_report(tmp_path: Path) -> None:
    problem = backup.examine(job(tmp_path / "report.json"), NOW).finding.problem or ""
    assert "there was none" in problem
    assert "`systemctl start ddnsd-backup` runs it" in problem


def test_jobs_without_a_file_are_not_checked(tmp_path: Path) -> None:
    made, copied, tested = (tmp_path / name for name in ("report.json", "offsite.json", "restore-test.json"))
    assert [one.name for one in backup.jobs(made, None, tested, 36)] == ["backup", "restore-test"]
    (_, offsite, test) = backup.jobs(made, copied, tested, 36)
    for file in (copied, tested):
        file.write_text(json.dumps(GOOD | {"succeeded": NOW - 5 * 24 * HOUR}))
    problem = backup.examine(offsite, NOW).finding.problem
    assert problem is not None
    assert "`journalctl -u ddnsd-offsite`" in problem
    assert backup.examine(test, NOW).finding.problem is None, "it runs once a month"
