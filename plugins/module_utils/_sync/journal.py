# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of an application: what was begun and what ended, so that a later run can go on.

A file of JSON lines, without secrets. The first holds the plan, the others tell what happened, by index in its changes:

    {"journal": 1, "plan": {…}}
    {"event": "begin", "index": 0}
    {"event": "end", "index": 0, "status": "applied"}
    {"event": "end", "index": 1, "status": "failed", "error": "…"}

A change that ended well is done. One that began and did not end well is uncertain: it may have been carried out, wholly
or in part, and is looked at before it is tried again. The rest was never sent.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Mapping, NamedTuple, Sequence

from .changes import Change
from .errors import SyncError

if TYPE_CHECKING:
    from .apply import Result

FORMAT = 1
GOOD = ("applied", "pending", "unchanged")


class State(NamedTuple):
    """What a journal says: the plan as it was written, and the indexes of the changes that are done and uncertain."""

    plan: Mapping[str, Any]
    done: frozenset[int]
    uncertain: frozenset[int]


def header(plan: Mapping[str, Any]) -> str:
    """The first line, with the plan as JSON values."""
    return _line({"journal": FORMAT, "plan": plan})


def record(event: str, index: int, result: Result | None) -> str:
    """The line of one event, `begin` or `end`."""
    content: dict[str, Any] = {"event": event, "index": index}
    if result is not None:
        content["status"] = result.status
        if result.error:
            content["error"] = result.error
    return _line(content)


def read(lines: Sequence[str]) -> State:
    """What the lines say. Raises SyncError naming the line that is none of a journal."""
    if not lines:
        raise SyncError("the journal is empty")
    plan = _plan(_content(1, lines[0], ("journal", "plan")))
    statuses: dict[int, str] = {}
    for number, line in enumerate(lines[1:], 2):
        content = _content(number, line, ("event", "index"))
        statuses[content["index"]] = content.get("status", "begun")
    done = frozenset(index for index, status in statuses.items() if status in GOOD)
    return State(plan, done, frozenset(statuses) - done)


def _content(number: int, line: str, keys: Sequence[str]) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except ValueError:
        content = None
    if not isinstance(content, dict) or not set(keys) <= set(content):
        raise SyncError(f"line {number} is no line of a journal")
    return content


def _plan(content: Mapping[str, Any]) -> Mapping[str, Any]:
    if content["journal"] != FORMAT:
        raise SyncError(f"the journal has format {content['journal']}; this version reads format {FORMAT}")
    plan: Mapping[str, Any] = content["plan"]
    return plan


def _line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":")) + "\n"


class Journal:
    """A journal in a file; give `note` and `flush` to `apply`, and close it."""

    def __init__(self, file: BinaryIO, changes: Sequence[Change]) -> None:
        self._file = file
        self._indexes = {_key(change): index for index, change in enumerate(changes)}

    @classmethod
    def create(cls, path: str, plan: Mapping[str, Any], changes: Sequence[Change]) -> Journal:
        """Begin a journal in a new file that only its owner reads. Raises OSError, also when there is one already."""
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
        journal = cls(file, changes)
        file.write(header(plan).encode())
        journal.flush()
        _keep_entry(path)
        return journal

    @classmethod
    def resume(cls, path: str, changes: Sequence[Change]) -> Journal:
        """Go on with a journal; a last line that a crash cut off goes away. Raises OSError."""
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CLOEXEC), "r+b")
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
        return cls(file, changes)

    def note(self, event: str, change: Change, result: Result | None) -> None:
        """Write one event; it is durable after the next `flush`. Raises OSError."""
        self._file.write(record(event, self._indexes[_key(change)], result).encode())

    def flush(self) -> None:
        """Make durable what was noted. Raises OSError."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Make all durable, and close the file. Raises OSError."""
        self.flush()
        self._file.close()


def load(path: str) -> State:
    """Read a journal's file; a last line that a crash cut off does not count. Raises OSError, SyncError."""
    text = Path(path).read_bytes().decode("utf-8", errors="replace")
    try:
        return read(text[: text.rfind("\n") + 1].splitlines())
    except SyncError as error:
        raise SyncError(f"{path}: {error}") from None


def _key(change: Change) -> tuple[str, str, str]:
    return change.kind, change.action.value, change.name


def _keep_entry(path: str) -> None:
    """The file's name is as durable as its content."""
    folder = os.open(str(Path(path).parent), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
