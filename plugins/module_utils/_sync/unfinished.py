# SPDX-License-Identifier: GPL-3.0-or-later
"""Journals of unfinished runs: what they contain, when a new plan replaces them, and how a run keeps its own.

`ddnsctl` and the Ansible modules write the same journals, so one can resume what the other has begun.
"""

from __future__ import annotations

import hashlib
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Container, Iterable, Mapping, NamedTuple

from . import saved, secret_files
from .apply import GOOD, Result
from .changes import Change
from .errors import SyncError
from .journal import InUse, Journal, Observer, State
from .plan import Plan

TOKEN_ID = "token_id"  # noqa: S105
"""The key under which a journal keeps `token_id` of the run that wrote it."""
MISSING = (
    "so there is nothing to resume. If it was on a machine that is gone, apply the declaration: this makes what is "
    "left, and stores secrets that the earlier run has not stored"
)


def token_id(token: str) -> str:
    """Identifies a token without revealing it."""
    return hashlib.sha256(b"ddnsctl|" + token.encode()).hexdigest()[:16]


def with_url(plan: Plan, url: str) -> dict[str, Any]:
    """The JSON values of a saved plan, with the server that it was made for. They contain no secrets."""
    made = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"url": url, **saved.to_dict(plan, made=made)}


class Unfinished(NamedTuple):
    """A journal of an earlier run, its state and its plan."""

    path: Path
    state: State
    plan: Plan

    @property
    def url(self) -> str:
        """The server that the plan was made for."""
        return str(self.state.plan.get("url", ""))

    @property
    def left(self) -> list[Change]:
        """The changes that are not done."""
        return [change for index, change in enumerate(self.plan.changes) if index not in self.state.done]

    @property
    def lease(self) -> str:
        """The id of the lease of its last run; empty if it had none."""
        return self.state.run.lease if self.state.run is not None else ""

    @property
    def awaits_secrets(self) -> bool:
        """Whether a change without an answer may have made a secret, which only a resumed run can still get."""
        made = self.state.uncertain - self.state.kept
        return any(self.plan.changes[index].makes_secret for index in made)

    def is_superseded(self, declared: Container[str], plan: Plan) -> bool:
        """Whether a plan of these declared names covers everything that the journal has left."""
        planned = {change.name for change in plan.changes}
        return not self.awaits_secrets and all(
            change.name in declared or change.name in planned for change in self.left
        )

    def has_same_token(self, token: str) -> bool:
        """Whether the run that wrote the journal had the token with this `token_id`."""
        return bool(self.state.plan.get(TOKEN_ID, token) == token)

    def __str__(self) -> str:
        stack = f"stack {self.plan.stack}" if self.plan.stack else "no stack"
        return f"{self.path} ({stack}, {self.state.run})" if self.state.run else f"{self.path} ({stack})"


class Opened(NamedTuple):
    """A journal that this process continues, and its content."""

    journal: Journal
    found: Unfinished


def resume(path: Path) -> Opened:
    """Open a journal to continue it. Raises SyncError, OSError."""
    journal, state = Journal.resume(str(path))
    try:
        plan = saved.from_dict(state.plan)
    except SyncError:
        journal.close()
        raise
    journal.set_changes(plan.changes)
    return Opened(journal, Unfinished(path, state, plan))


def read(path: Path) -> Unfinished:
    """Read a journal. Raises SyncError if it is damaged or of another version, InUse, OSError."""
    journal, found = resume(path)
    with closing(journal):
        return found


def read_valid(path: Path) -> Unfinished | None:
    """The journal; None if it is damaged or of another version. Raises InUse, OSError."""
    try:
        return read(path)
    except InUse:
        raise
    except SyncError:
        return None


class Recorder(Observer):
    """A journal together with the secrets of its changes: when a change is recorded as done, its secret is durable.

    As a context manager it closes the journal, and deletes it if everything is done or nothing was begun.
    """

    def __init__(
        self,
        path: Path,
        journal: Journal,
        total: int,
        done: int = 0,
        *,
        resumed: bool = False,
        flush: Callable[[], None] = lambda: None,
        drop: Callable[[Path], None] = Path.unlink,
    ) -> None:
        """`done` of `total` changes are from an earlier run; `resumed`: an earlier run began this journal.

        `flush` makes the secrets durable that were written, `drop` deletes the journal.
        """
        self.path, self.journal = path, journal
        self.left, self.begun = total - done, resumed
        self._flush, self._drop = flush, drop
        self.advance: Callable[[], None] = lambda: None
        """Called after each change."""

    def begin(self, change: Change, key: str) -> None:
        """As `Journal.begin`."""
        self.begun = True
        self.journal.begin(change, key)

    def end(self, result: Result) -> None:
        """As `Journal.end`."""
        self.left -= result.status in GOOD
        self.journal.end(result)
        self.advance()

    def flush(self) -> None:
        """Make everything durable, secrets first."""
        self._flush()
        self.journal.flush()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._flush()
        self.journal.close()
        if not self.kept:
            self._drop(self.path)

    @property
    def kept(self) -> bool:
        """Whether changes are left, so that the journal is kept."""
        return self.begun and self.left > 0


def create(path: Path, content: Mapping[str, Any], changes: Iterable[Change], lease: str) -> Journal:
    """A new journal, in a folder that is created if it is missing. Raises OSError, SyncError.

    `lease` is the id of the run's lease of the stack; empty if it has none.
    """
    secret_files.make_folder(path.parent)
    try:
        return Journal.create(str(path), content, tuple(changes), lease)
    except FileExistsError:
        raise SyncError(f"the journal {path} exists: continue it with --resume, or name another file") from None
