# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of an application: what was begun and what ended, so that a later run can go on.

A file of JSON lines, without secrets. The first holds the plan, the others tell what happened, by index in its changes:

    {"journal": 2, "plan": {…}}
    {"event": "begin", "index": 0, "at": 1767225600, "call": "9f…"}
    {"event": "end", "index": 0, "status": "applied"}
    {"event": "end", "index": 1, "status": "failed", "error": "…"}

Changes with one `call` went to the server in one call, in this order, with this key, at this second.

A change that ended well is done. One that the server refused (`"refused": true`) was certainly not carried out. One
that began and ended in another way, or not at all, is uncertain: it may have been carried out, wholly or in part. With
`"kept": true` its new secret was kept all the same. The rest was never sent.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Mapping, NamedTuple, Sequence

from .changes import Change
from .errors import SyncError

if TYPE_CHECKING:
    from .apply import Result

FORMAT = 2
GOOD = ("applied", "pending", "unchanged")


class Call(NamedTuple):
    """A call that was made: its key, when (seconds since 1970), and the indexes of its changes in order."""

    key: str
    at: int
    indexes: tuple[int, ...]


class State(NamedTuple):
    """What a journal says: the plan as it was written, and the indexes of changes by what became of them."""

    plan: Mapping[str, Any]
    done: frozenset[int]
    refused: frozenset[int]
    uncertain: frozenset[int]
    calls: tuple[Call, ...]
    """The last calls of those that are uncertain, where they had a key, in order."""
    kept: frozenset[int]
    """Those that are not done although their new secrets were kept."""


def header(plan: Mapping[str, Any]) -> str:
    """The first line, with the plan as JSON values."""
    return _line({"journal": FORMAT, "plan": plan})


def begin(index: int, at: int, key: str) -> str:
    """The line of a change that is about to be sent in the call of that key; without a key the call has none."""
    return _line({"event": "begin", "index": index, "at": at, **({"call": key} if key else {})})


def end(index: int, result: Result) -> str:
    """The line of a change that has ended."""
    content: dict[str, Any] = {"event": "end", "index": index, "status": result.status}
    kept = result.kept and result.status not in GOOD
    optional = {"error": result.error, "refused": result.refused, "kept": kept}
    return _line({**content, **{name: value for name, value in optional.items() if value}})


def read(lines: Sequence[str]) -> State:
    """What the lines say. Raises SyncError naming the line that is none of a journal."""
    if not lines:
        raise SyncError("the journal is empty")
    plan = _plan(_content(1, lines[0], ("journal", "plan")))
    last: dict[int, Mapping[str, Any]] = {}
    calls: dict[str, Call] = {}
    call_of: dict[int, str] = {}
    kept: set[int] = set()
    for number, line in enumerate(lines[1:], 2):
        content = _content(number, line, ("event", "index"))
        index = content["index"]
        last[index] = content
        if content["event"] == "begin":
            key = call_of[index] = str(content.get("call", ""))
            known = calls.get(key) or Call(key, int(content.get("at", 0)), ())
            calls[key] = known._replace(indexes=(*known.indexes, index))
        elif content.get("kept"):
            kept.add(index)
    done = frozenset(index for index, content in last.items() if content.get("status") in GOOD)
    refused = frozenset(index for index, content in last.items() if content.get("refused")) - done
    uncertain = frozenset(last) - done - refused
    keys = {call_of.get(index, "") for index in uncertain} - {""}
    made = tuple(call for key, call in calls.items() if key in keys)
    return State(plan, done, refused, uncertain, made, frozenset(kept) - done)


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
        text = f"the journal has format {content['journal']}; this version reads format {FORMAT}"
        raise SyncError(f"{text}. Remove it, and make the plan anew: it shows what is left")
    plan: Mapping[str, Any] = content["plan"]
    return plan


def _line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":")) + "\n"


class Observer:
    """What `apply` tells of a run, in the caller's thread; this one keeps nothing."""

    def begin(self, change: Change, key: str) -> None:
        """A change is about to be sent, in the call of that key; without a key the call cannot be replayed."""

    def end(self, result: Result) -> None:
        """A change has ended."""

    def flush(self) -> None:
        """Make durable what was told: called before anything is sent, and after the ends of a bulk call."""


class Journal(Observer):
    """A journal in a file; give it to `apply`, and close it. One process has it at a time."""

    def __init__(self, file: BinaryIO, path: str, changes: Sequence[Change] = ()) -> None:
        """Raises SyncError when another process has it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise SyncError(f"another run is using the journal {path}; wait for its end") from None
        self._file, self._path = file, path
        self.set_changes(changes)

    @classmethod
    def create(cls, path: str, plan: Mapping[str, Any], changes: Sequence[Change]) -> Journal:
        """Begin a journal in a new file that only its owner reads. Raises OSError, also when there is one already."""
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
        journal = cls(file, path, changes)
        file.write(header(plan).encode())
        journal.flush()
        _keep_entry(path)
        return journal

    @classmethod
    def resume(cls, path: str) -> tuple[Journal, State]:
        """Go on with a journal, once `set_changes` has its changes; a last line that a crash cut off goes away.

        Raises OSError, SyncError.
        """
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CLOEXEC), "r+b")
        journal = cls(file, path)
        content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        try:
            state = read(whole.decode("utf-8", errors="replace").splitlines())
        except SyncError as error:
            file.close()
            raise SyncError(f"{path}: {error}") from None
        file.truncate(len(whole))
        file.seek(0, os.SEEK_END)
        return journal, state

    def set_changes(self, changes: Sequence[Change]) -> None:
        """The plan's changes, whose indexes are written."""
        self._indexes = {_key(change): index for index, change in enumerate(changes)}

    def begin(self, change: Change, key: str) -> None:
        """Write that a change is about to be sent; it is durable after the next `flush`. Raises OSError."""
        self._file.write(begin(self._indexes[_key(change)], int(time.time()), key).encode())

    def end(self, result: Result) -> None:
        """Write what became of a change; it is durable after the next `flush`. Raises OSError."""
        self._file.write(end(self._indexes[_key(result.change)], result).encode())

    def flush(self) -> None:
        """Make durable what was noted. Raises OSError."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Make all durable, and close the file. Raises OSError."""
        if not self._file.closed:
            self.flush()
            self._file.close()


def _key(change: Change) -> tuple[str, str, str]:
    return change.kind, change.action.value, change.name


def _keep_entry(path: str) -> None:
    """The file's name is as durable as its content."""
    folder = os.open(str(Path(path).parent), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
