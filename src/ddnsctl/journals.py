# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of journals: where they are, which one `--resume` continues, and when they are deleted."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Container, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from ddnsctl import saved_plans, secrets
from ddnsctl.sync import connect, secret_files
from ddnsctl.sync.apply import GOOD, Result
from ddnsctl.sync.errors import SyncError
from ddnsctl.sync.journal import InUse, Journal, Observer, State
from ddnsctl.sync.plan import Change, Plan

FOLDER = Path(".ddnsctl")


class Recorder(Observer):
    """A journal together with the secrets of its changes: when a change is recorded as done, its secret is durable.

    As a context manager it closes the journal, and deletes it if everything is done or nothing was begun.
    """

    def __init__(
        self,
        path: Path,
        journal: Journal,
        secret_writer: secrets.SecretWriter,
        total: int,
        done: int = 0,
        *,
        resumed: bool = False,
    ) -> None:
        """`done` of `total` changes are from an earlier run; `resumed`: an earlier run began this journal."""
        self.path, self.journal, self.secret_writer = path, journal, secret_writer
        self.left, self.begun = total - done, resumed
        self.advance: Callable[[], None] = lambda: None
        """Called after each change."""

    @classmethod
    def create(
        cls, chosen: str | None, content: dict[str, Any], plan: Plan, secret_writer: secrets.SecretWriter, lease: str
    ) -> Recorder:
        """A new journal in the file `chosen`, or in a new file in FOLDER. Raises OSError, SyncError.

        `lease` is the id of the run's lease of the stack; empty if it has none.
        """
        path = Path(chosen) if chosen else FOLDER / f"journal-{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}.jsonl"
        secret_files.make_folder(path.parent)
        try:
            journal = Journal.create(str(path), content, plan.changes, lease)
        except FileExistsError:
            raise SyncError(f"the journal {path} exists: continue it with --resume, or name another file") from None
        return cls(path, journal, secret_writer, len(plan.changes))

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
        self.secret_writer.flush()
        self.journal.flush()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.secret_writer.flush()
        self.journal.close()
        if self.kept:
            return
        drop(self.path)

    @property
    def kept(self) -> bool:
        """Whether changes are left, so that the journal is kept."""
        return self.begun and self.left > 0


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
    def awaits_secrets(self) -> bool:
        """Whether a change without an answer may have made a secret, which only a resumed run can still get."""
        made = self.state.uncertain - self.state.kept
        return any(self.plan.changes[index].makes_secret for index in made)

    def __str__(self) -> str:
        stack = f"stack {self.plan.stack}" if self.plan.stack else "no stack"
        return f"{self.path} ({stack}, {self.state.run})" if self.state.run else f"{self.path} ({stack})"


def unfinished(chosen: str | None) -> Path:
    """The journal to continue: `chosen`, or the only one in FOLDER. Raises SyncError."""
    if chosen is not None:
        return Path(chosen)
    found = unfinished_paths()
    if not found:
        raise SyncError(
            f"there is no journal in {FOLDER}, so there is nothing to resume. If it was on a machine that is gone, "
            "apply the declaration: this makes what is left, and stores secrets that the earlier run has not stored"
        )
    if len(found) > 1:
        names = ", ".join(map(_described, found))
        raise SyncError(f"there are several journals: name one with --journal, or delete the outdated ones: {names}")
    return found[0]


def unfinished_paths() -> list[Path]:
    """The journals of unfinished runs, oldest first."""
    return sorted(FOLDER.glob("journal-*.jsonl"))


def of_stack(stack: str | None, url: str) -> Iterator[Unfinished]:
    """The unfinished journals of earlier runs for this server and stack.

    Raises SyncError if another process is using one of them. Journals that cannot be read are left out.
    """
    for path in unfinished_paths():
        found = None
        with contextlib.suppress(OSError):
            found = _read(path)
        if found is not None and found.plan.stack == stack and found.url and connect.same(found.url, url):
            yield found


def lease_of_dead_run(stack: str | None, url: str) -> str:
    """The id of the lease of an unfinished run in FOLDER, whose process has ended; empty if there is none."""
    runs = [journal.state.run for journal in of_stack(stack, url)]
    return next((run.lease for run in reversed(runs) if run is not None), "")


def is_superseded(journal: Unfinished, declared: Container[str], plan: Plan) -> bool:
    """Whether a plan of these declared names covers everything that the journal has left."""
    planned = {change.name for change in plan.changes}
    return not journal.awaits_secrets and all(
        change.name in declared or change.name in planned for change in journal.left
    )


def drop(path: Path) -> None:
    """Delete a journal, and FOLDER if it is empty then."""
    path.unlink(missing_ok=True)
    if path.parent == FOLDER and not any(FOLDER.iterdir()):
        FOLDER.rmdir()


def _read(path: Path) -> Unfinished | None:
    """The journal; None if it is damaged or of another version. Raises OSError, InUse."""
    try:
        journal, state = Journal.resume(str(path))
        with contextlib.closing(journal):
            return Unfinished(path, state, saved_plans.read(state.plan))
    except InUse:
        raise
    except SyncError:
        return None


def _described(path: Path) -> str:
    try:
        return str(_read(path) or path)
    except (SyncError, OSError):
        return f"{path} (in use)"
