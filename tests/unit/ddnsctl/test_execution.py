# SPDX-License-Identifier: GPL-3.0-or-later
"""What `apply` says at its end."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ddnsctl import execution
from ddnsctl.sync import unfinished
from ddnsctl.sync.apply import Outcome, Result
from ddnsctl.sync.plan import Action, Change, Plan

CHANGES = tuple(Change(Action.CREATE, "host", f"h{number}.example.org") for number in range(3))


def told(
    folder: Path, capsys: pytest.CaptureFixture[str], results: Sequence[Result], dropped: Sequence[str] = ()
) -> str:
    """Everything that is printed, in one line."""
    content = unfinished.with_url(Plan(CHANGES), "https://ddns.example.org")
    journal = unfinished.create(folder / "journal", content, CHANGES, "")
    with unfinished.Recorder(folder / "journal", journal, len(CHANGES)) as recorder:
        execution.report(Outcome(tuple(results)), recorder, dropped, 0)
    said = capsys.readouterr()
    return " ".join((said.out + said.err).split())


def failed(change: Change, *, refused: bool) -> Result:
    return Result(change, "failed", "no such domain", refused=refused)


def test_all_changes_were_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(tmp_path, capsys, [failed(change, refused=True) for change in CHANGES[:2]])
    assert "2 of 2 changes failed; nothing was changed" in text
    assert "create h0.example.org: no such domain" in text


def test_nobody_knows_whether_changes_were_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = told(tmp_path, capsys, [failed(CHANGES[0], refused=True), failed(CHANGES[1], refused=False)])
    assert "2 of 2 changes failed" in text
    assert "nothing was changed" not in text


@pytest.mark.parametrize(
    ("good", "rest"),
    [(1, "1 of 2 changes failed; the other one is made"), (2, "1 of 3 changes failed; the other 2 are")],
)
def test_the_others_are_made(tmp_path: Path, capsys: pytest.CaptureFixture[str], good: int, rest: str) -> None:
    done = [Result(change, "applied") for change in CHANGES[:good]]
    assert rest in told(tmp_path, capsys, [*done, failed(CHANGES[-1], refused=True)])


@pytest.mark.parametrize(("number", "subject"), [(1, "1 host has"), (40, "40 hosts have")])
def test_hosts_without_a_stored_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int, subject: str
) -> None:
    dropped = [f"n{host}.example.org" for host in range(number)]
    text = told(tmp_path, capsys, [Result(CHANGES[0], "applied")], dropped)
    assert (
        f"{subject} no stored secret, because no `secret:` is declared. That is fine if no machine updates itself "
        "(`secret: none` says so); otherwise declare a file, and use `ddnsctl rotate`."
    ) in text
    assert "no stored secret" not in told(tmp_path, capsys, [Result(CHANGES[0], "applied")])
