# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: what it says after a run that ended, that failed, and that was cut off."""

import json
import stat
from pathlib import Path

import pytest

from ddnsctl.sync import journal
from ddnsctl.sync.apply import Result
from ddnsctl.sync.changes import Action, Change
from ddnsctl.sync.errors import SyncError

PLAN = {"format": 1, "changes": ["…"]}
CHANGES = [Change(Action.CREATE, "host", f"h{n}.example.org") for n in range(4)]
CHANGES.append(Change(Action.ROTATE, "host", "h3.example.org"))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "journal")


def write(path: str) -> None:
    """0 done, 1 failed, 2 begun, 3 not begun, 4 done."""
    file = journal.Journal.create(path, PLAN, CHANGES)
    for index in (0, 1, 2, 4):
        file.note("begin", CHANGES[index], None)
    file.flush()
    file.note("end", CHANGES[0], Result(CHANGES[0], "applied"))
    file.note("end", CHANGES[1], Result(CHANGES[1], "failed", "the server said no"))
    file.note("end", CHANGES[4], Result(CHANGES[4], "pending"))
    file.close()


def test_what_is_done_and_what_is_uncertain(path: str) -> None:
    write(path)
    for _ in range(2):
        assert journal.load(path) == journal.State(PLAN, frozenset({0, 4}), frozenset({1, 2}))


def test_lines_are_json_and_nobody_else_reads_them(path: str) -> None:
    write(path)
    lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
    assert lines[0] == {"journal": 1, "plan": PLAN}
    assert lines[1] == {"event": "begin", "index": 0}
    assert lines[6] == {"event": "end", "index": 1, "status": "failed", "error": "the server said no"}
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


def test_a_journal_is_never_overwritten(path: str) -> None:
    write(path)
    before = Path(path).read_bytes()
    with pytest.raises(FileExistsError):
        journal.Journal.create(path, PLAN, CHANGES)
    assert Path(path).read_bytes() == before


def test_it_goes_on_after_a_line_that_was_cut_off(path: str) -> None:
    write(path)
    with Path(path).open("ab") as file:
        file.write(b'{"event":"end","ind')
    assert journal.load(path).uncertain == {1, 2}
    for index in (1, 2):
        again = journal.Journal.resume(path, CHANGES)
        again.note("begin", CHANGES[index], None)
        again.note("end", CHANGES[index], Result(CHANGES[index], "unchanged"))
        again.close()
    assert journal.load(path) == journal.State(PLAN, frozenset({0, 1, 2, 4}), frozenset())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the journal is empty"),
        ('{"journal":1,"pl', "the journal is empty"),
        ("no json\n", "line 1 is no line"),
        ('{"event":"begin","index":0}\n', "line 1 is no line"),
        ('{"journal":2,"plan":{}}\n', "format 2"),
        ('{"journal":1,"plan":{}}\nno json\n{"event":"begin","index":0}\n', "line 2 is no line"),
        ('{"journal":1,"plan":{}}\n[]\n', "line 2 is no line"),
    ],
)
def test_what_is_no_journal_is_refused_with_its_place(path: str, text: str, reason: str) -> None:
    Path(path).write_text(text)
    with pytest.raises(SyncError, match=reason) as raised:
        journal.load(path)
    assert path in str(raised.value)
