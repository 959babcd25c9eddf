# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of a run: which changes were begun and which ended, so that a later run can resume it.

It is a file of JSON lines without secrets. The first line has the plan, the others have events by a change's index:

    {"journal": 3, "plan": {…}}
    {"event": "run", "pid": 4711, "host": "ci-1", "since": 1767225600, "lease": "Jd…"}
    {"event": "begin", "index": 0, "at": 1767225600, "call": "9f…"}
    {"event": "end", "index": 0, "status": "applied"}
    {"event": "end", "index": 1, "status": "failed", "error": "…"}

A `run` is a process that makes changes from here on: the first one, then each that resumes the journal. `lease` is the
id of its lease of the stack, so that the next run need not wait for the end of a lease whose process died. The id is of
no use without the token. Changes with the same `call` were sent to the server in one call, in this order, with this
key, at this time.

A change that ended with success is done. A change that the server refused (`"refused": true`) was not made. A change
that began, and ended in another way or not at all, is uncertain: it may be made, fully or in part. With `"kept": true`
its new secret was written nevertheless. All other changes were never sent.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Mapping, NamedTuple, Sequence

from .changes import Change
from .errors import SyncError

if TYPE_CHECKING:
    from .apply import Result

FORMAT = 3
READ = (2, 3)
"""The formats that can be read. Format 2 had no runs."""
GOOD = ("applied", "pending", "unchanged")


class Call(NamedTuple):
    """A call to the server: its key, its time (seconds since 1970), and the indexes of its changes in order."""

    key: str
    at: int
    indexes: tuple[int, ...]


class Run(NamedTuple):
    """A process that makes the changes of a journal, and the time of its start (seconds since 1970)."""

    pid: int
    host: str
    since: int
    lease: str = ""

    @classmethod
    def this(cls, lease: str) -> Run:
        """This process, from now on, with the id of its lease; empty if it has none."""
        return cls(os.getpid(), socket.gethostname(), int(time.time()), lease)

    def __str__(self) -> str:
        moment = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(self.since))
        return f"process {self.pid} on {self.host} since {moment}"


class State(NamedTuple):
    """The content of a journal: the plan, and the indexes of changes by their state."""

    plan: Mapping[str, Any]
    done: frozenset[int]
    refused: frozenset[int]
    uncertain: frozenset[int]
    calls: tuple[Call, ...]
    """The last call of each uncertain change, if it had a key, in order."""
    kept: frozenset[int]
    """Changes that are not done although their new secrets were written."""
    run: Run | None = None
    """The last process that used the journal."""


def header(plan: Mapping[str, Any]) -> str:
    """The first line, with the plan as JSON values."""
    return _line({"journal": FORMAT, "plan": plan})


def run(process: Run) -> str:
    """The line for a process that makes changes from here on."""
    return _line({"event": "run", **process._asdict()})


def begin(index: int, at: int, key: str) -> str:
    """The line for a change that is about to be sent; `key` is the key of the call, if it has one."""
    return _line({"event": "begin", "index": index, "at": at, **({"call": key} if key else {})})


def end(index: int, result: Result) -> str:
    """The line for a change that has ended."""
    content: dict[str, Any] = {"event": "end", "index": index, "status": result.status}
    kept = result.kept and result.status not in GOOD
    optional = {"error": result.error, "refused": result.refused, "kept": kept}
    return _line({**content, **{name: value for name, value in optional.items() if value}})


def read(lines: Sequence[str]) -> State:
    """Parse the lines. Raises SyncError with the number of an invalid line."""
    if not lines:
        raise SyncError("the journal is empty")
    plan = _plan(_content(1, lines[0], ("journal", "plan")))
    last: dict[int, Mapping[str, Any]] = {}
    calls: dict[str, Call] = {}
    call_of: dict[int, str] = {}
    kept: set[int] = set()
    process: Run | None = None
    for number, line in enumerate(lines[1:], 2):
        content = _content(number, line, ("event",))
        if content["event"] == "run":
            process = _run(number, content)
            continue
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
    return State(plan, done, refused, uncertain, made, frozenset(kept) - done, process)


def _run(number: int, content: Mapping[str, Any]) -> Run:
    try:
        lease = str(content.get("lease") or "")
        return Run(int(content["pid"]), str(content["host"]), int(content["since"]), lease)
    except (KeyError, TypeError, ValueError):
        raise SyncError(f"line {number} is not valid; the journal is damaged") from None


def _content(number: int, line: str, keys: Sequence[str]) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except ValueError:
        content = None
    if not isinstance(content, dict) or not set(keys) <= set(content):
        raise SyncError(f"line {number} is not valid; the journal is damaged, or the file is not a journal")
    return content


def _plan(content: Mapping[str, Any]) -> Mapping[str, Any]:
    if content["journal"] not in READ:
        text = f"the journal has format {content['journal']}; this version reads up to format {FORMAT}"
        raise SyncError(f"{text}. Delete it and make a new plan, which shows the changes that are left")
    plan: Mapping[str, Any] = content["plan"]
    return plan


def _line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":")) + "\n"


class Observer:
    """Gets the events of a run, in the caller's thread. This class ignores them."""

    def begin(self, change: Change, key: str) -> None:
        """A change is about to be sent. Without a key, the call cannot be replayed."""

    def end(self, result: Result) -> None:
        """A change has ended."""

    def flush(self) -> None:
        """Make all events durable. Called before something is sent, and after a bulk call has ended."""


class InUse(SyncError):
    """Another process has the journal open."""


class Journal(Observer):
    """A journal in a file. Pass it to `apply_plan`, then close it. Only one process can open it at a time."""

    def __init__(self, file: BinaryIO, path: str, changes: Sequence[Change] = ()) -> None:
        """Raises SyncError if another process has it open."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            user = _user(file)
            file.close()
            raise InUse(f"another run is using the journal {path}: {user}. Wait until it ends") from None
        self._file, self._path = file, path
        self.set_changes(changes)

    @classmethod
    def create(cls, path: str, plan: Mapping[str, Any], changes: Sequence[Change], lease: str = "") -> Journal:
        """Create a journal with mode 0600. `lease` is as in `Run`. Raises OSError, FileExistsError."""
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b")
        journal = cls(file, path, changes)
        file.write(header(plan).encode())
        journal.take(lease)
        _fsync_folder(path)
        return journal

    @classmethod
    def resume(cls, path: str) -> tuple[Journal, State]:
        """Open a journal to continue it; call `set_changes` and `take` next. A last line that was cut off is removed.

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

    def take(self, lease: str = "") -> None:
        """Record that this process makes the changes from here on. Raises OSError."""
        self._file.write(run(Run.this(lease)).encode())
        self.flush()

    def set_changes(self, changes: Sequence[Change]) -> None:
        """Set the changes of the plan, to know their indexes."""
        self._indexes = {_key(change): index for index, change in enumerate(changes)}

    def begin(self, change: Change, key: str) -> None:
        """Record that a change is about to be sent. Durable after the next `flush`. Raises OSError."""
        self._file.write(begin(self._indexes[_key(change)], int(time.time()), key).encode())

    def end(self, result: Result) -> None:
        """Record the result of a change. Durable after the next `flush`. Raises OSError."""
        self._file.write(end(self._indexes[_key(result.change)], result).encode())

    def flush(self) -> None:
        """Make all events durable. Raises OSError."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Make all events durable and close the file. Raises OSError."""
        if not self._file.closed:
            self.flush()
            self._file.close()


def _key(change: Change) -> tuple[str, str, str]:
    return change.kind, change.action.value, change.name


def _user(file: BinaryIO) -> str:
    """The process that has the journal open, as the journal names it."""
    content = file.read()
    try:
        state = read(content[: content.rfind(b"\n") + 1].decode("utf-8", errors="replace").splitlines())
    except SyncError:
        return "its process is not known"
    return str(state.run or "its process is not known")


def _fsync_folder(path: str) -> None:
    """Make the file's name durable, too."""
    folder = os.open(str(Path(path).parent), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
