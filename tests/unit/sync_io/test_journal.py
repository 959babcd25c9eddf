# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: what it says after a run that ended, that failed, and that was cut off."""

import json
import os
import socket
import stat
from pathlib import Path

import pytest

from ddnsctl.sync import journal
from ddnsctl.sync.apply import Result
from ddnsctl.sync.changes import Action, Change
from ddnsctl.sync.errors import SyncError

PLAN = {"format": 1, "changes": ["…"]}
CHANGES = [Change(Action.CREATE, "host", f"h{n}.example.org") for n in range(4)]
CHANGES += [Change(Action.ROTATE, "host", "h3.example.org"), Change(Action.CREATE, "host", "h5.example.org")]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "journal")


def write(path: str) -> None:
    """0 done, 1 refused, 2 begun, 3 failed with its secret kept, 4 done, 5 not begun."""
    file = journal.Journal.create(path, PLAN, CHANGES, "id")
    for index, key in ((0, "first"), (1, "first"), (2, "first"), (3, ""), (4, "second")):
        file.begin(CHANGES[index], key)
    file.flush()
    file.end(Result(CHANGES[0], "applied", kept=True))
    file.end(Result(CHANGES[1], "failed", "the server said no", refused=True))
    file.end(Result(CHANGES[3], "failed", "the second address was refused", kept=True))
    file.end(Result(CHANGES[4], "pending"))
    file.close()


def load(path: str) -> journal.State:
    """The state, apart from the process."""
    file, state = journal.Journal.resume(path)
    file.close()
    return state._replace(run=None)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1767225600.9)


CALL = journal.Call("first", 1767225600, (0, 1, 2))


def test_what_is_done_refused_and_uncertain(path: str) -> None:
    write(path)
    for _ in range(2):
        assert load(path) == journal.State(
            PLAN, frozenset({0, 4}), frozenset({1}), frozenset({2, 3}), (CALL,), frozenset({3})
        )


def test_lines_are_json_and_nobody_else_reads_them(path: str) -> None:
    write(path)
    lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
    assert lines[0] == {"journal": 3, "plan": PLAN}
    process = {"pid": os.getpid(), "host": socket.gethostname(), "since": 1767225600}
    assert lines.pop(1) == {"event": "run", **process, "lease": "id"}
    assert lines[1] == {"event": "begin", "index": 0, "at": 1767225600, "call": "first"}
    assert lines[4] == {"event": "begin", "index": 3, "at": 1767225600}
    assert lines[6] == {"event": "end", "index": 0, "status": "applied"}
    assert lines[7] == {
        "event": "end",
        "index": 1,
        "status": "failed",
        "error": "the server said no",
        "refused": True,
    }
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600


def test_one_process_has_it_at_a_time(path: str) -> None:
    file = journal.Journal.create(path, PLAN, CHANGES)
    for _ in range(2):
        user = f"process {os.getpid()} on {socket.gethostname()} since 2026-01-01 00:00:00 UTC"
        with pytest.raises(journal.InUse, match=f"another run is using the journal {path}: {user}. Wait until it ends"):
            journal.Journal.resume(path)
    file.close()
    assert load(path).plan == PLAN


def test_the_last_process_is_named_and_older_journals_name_none(path: str) -> None:
    write(path)
    file, first = journal.Journal.resume(path)
    file.take()
    file.close()
    assert first.run == journal.Run(os.getpid(), socket.gethostname(), 1767225600, "id")
    assert load(path).done == {0, 4}
    old = [line for line in Path(path).read_text().splitlines() if '"run"' not in line]
    Path(path).write_text("\n".join([old[0].replace('"journal":3', '"journal":2'), *old[1:], ""]))
    file, state = journal.Journal.resume(path)
    file.close()
    assert state.run is None
    assert state.done == {0, 4}


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
    for index in (1, 2, 3):
        again, state = journal.Journal.resume(path)
        assert state.uncertain == {2, 3} - set(range(index))
        again.set_changes(CHANGES)
        again.begin(CHANGES[index], f"again-{index}")
        again.end(Result(CHANGES[index], "unchanged"))
        again.close()
    assert load(path) == journal.State(PLAN, frozenset(range(5)), frozenset(), frozenset(), (), frozenset())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the journal is empty"),
        ('{"journal":1,"pl', "the journal is empty"),
        ("no json\n", "line 1 is not valid"),
        ('{"event":"begin","index":0}\n', "line 1 is not valid"),
        ('{"journal":1,"plan":{}}\n', "format 1"),
        ('{"journal":2,"plan":{}}\nno json\n{"event":"begin","index":0}\n', "line 2 is not valid"),
        ('{"journal":2,"plan":{}}\n[]\n', "line 2 is not valid"),
        ('{"journal":3,"plan":{}}\n{"event":"run","pid":"x"}\n', "line 2 is not valid"),
    ],
)
def test_what_is_no_journal_is_refused_with_its_place(path: str, text: str, reason: str) -> None:
    Path(path).write_text(text)
    with pytest.raises(SyncError, match=reason) as raised:
        load(path)
    assert path in str(raised.value)
