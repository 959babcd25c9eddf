# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal of `ddns_sync`: a task keeps one until everything is done, and continues that of an earlier task.

The rules are those of `ddnsctl apply --resume`. As the path is always the same, a task with an unfinished journal
continues it, or replaces it if its plan covers everything that was left, or fails.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, Container, Iterator, Mapping, NamedTuple, Sequence

from .._sync import connect, recheck, unfinished
from .._sync.api import Server
from .._sync.apply import Outcome, apply_plan
from .._sync.errors import NotApplicable, SyncError
from .._sync.plan import Change, Plan
from .._sync.unfinished import Opened, Recorder
from .secret_writer import SecretWriter

MakeWriter = Callable[[Sequence[Change]], SecretWriter]
"""Makes the writer of the secrets of changes."""


class Options(NamedTuple):
    """The options of a task for its journal. `token` is the `unfinished.token_id` of its token."""

    path: Path | None
    """None: no journal is kept."""
    resume: bool
    check: bool
    token: str

    @classmethod
    def of(cls, params: Mapping[str, Any], *, check: bool) -> Options:
        """The options in the parameters of a task."""
        given = params["journal"]
        token = unfinished.token_id(params["api_token"].strip())
        return cls(Path(given).absolute() if given else None, bool(params["resume"]), check, token)


@dataclass
class Earlier:
    """The journal of an earlier task, and what this task did with it."""

    path: Path
    opened: Opened
    resumed: bool = False
    changes: Sequence[Change] = ()
    """What was left of it. In check mode, this is not done."""
    outcome: Outcome | None = None
    secrets: SecretWriter = field(default_factory=lambda: SecretWriter(()))

    @property
    def lease(self) -> str:
        """The id of the lease of the earlier run, to continue it."""
        return self.opened.found.lease


@contextmanager
def earlier(options: Options, url: str, stack: str | None) -> Iterator[Earlier | None]:
    """The unfinished journal, which nobody else can use in the block; None if there is none.

    Raises SyncError if another task uses it, if it is damaged, or if it is for another server or stack.
    """
    if options.path is None or not options.path.exists():
        yield None
        return
    try:
        opened = unfinished.resume(options.path)
    except OSError as error:
        raise SyncError(f"journal: {options.path}: {error.strerror or error}") from error
    with closing(opened.journal):
        _check(opened.found, url, stack)
        yield Earlier(options.path, opened)


def _check(found: unfinished.Unfinished, url: str, stack: str | None) -> None:
    """Raises SyncError if the journal is for another server or stack."""
    other = ""
    if found.url and not connect.same(found.url, url):
        other = f"the server {found.url}, but this task is for {url}"
    elif found.plan.stack != stack:
        other = f"{_named(found.plan.stack)}, but the declaration has {_named(stack)}"
    if other:
        raise SyncError(f"the journal {found.path} is for {other}: name another file")


def _named(stack: str | None) -> str:
    return f"the stack {stack}" if stack else "no stack"


def resume(earlier: Earlier, options: Options, server: Server, make_writer: MakeWriter) -> None:
    """Do what an earlier task has left; in check mode only find out what that is.

    Raises ServerError, and NotApplicable if a secret cannot be written.
    """
    found, journal = earlier.opened.found, earlier.opened.journal
    changes = found.plan.changes
    same_token = found.has_same_token(options.token)
    rest = recheck.remaining(changes, found.state, server, same_token=same_token)
    earlier.changes = rest.changes(changes)
    earlier.secrets = make_writer(earlier.changes)
    if problems := earlier.secrets.problems():
        raise NotApplicable(problems)
    earlier.resumed = True
    if options.check:
        return
    journal.take(lease_of(server))
    done = len(found.state.done)
    with Recorder(earlier.path, journal, len(changes), done, resumed=True) as recorder:
        earlier.outcome = apply_plan(found.plan, server, earlier.secrets, journal=recorder, rest=rest)


def replaced(earlier: Earlier, options: Options, declared: Container[str], plan: Plan) -> list[str]:
    """Delete the journal if the plan covers everything that is left in it. Returns texts for the user.

    Raises SyncError if it does not cover it.
    """
    if (options.check and earlier.resumed) or not earlier.path.exists():
        return []
    found = unfinished.read(earlier.path) if earlier.resumed else earlier.opened.found
    if not found.is_superseded(declared, plan):
        hint = "delete it" if earlier.resumed else "set `resume` to continue it first, or delete it"
        raise SyncError(f"an earlier run is unfinished, and the declaration does not have all of it: {found}; {hint}")
    if options.check:
        return []
    earlier.path.unlink()
    return [f"Deleted {earlier.path}: this plan replaces what the earlier run left."]


def apply(options: Options, plan: Plan, server: Server, secrets: SecretWriter) -> Outcome:
    """Apply the plan, with a journal if the options name one."""
    if options.path is None:
        return apply_plan(plan, server, secrets)
    placed = replace(plan, changes=tuple(map(secrets.placed, plan.changes)))
    content = {**unfinished.with_url(placed, server.url), unfinished.TOKEN_ID: options.token}
    try:
        journal = unfinished.create(options.path, content, plan.changes, lease_of(server))
    except OSError as error:
        raise SyncError(f"journal: {options.path}: {error.strerror or error}") from error
    with Recorder(options.path, journal, len(plan.changes)) as recorder:
        return apply_plan(plan, server, secrets, journal=recorder)


def lease_of(server: Server) -> str:
    """The id of the lease that this run holds; empty without one."""
    return server.stacks.lease if server.stacks is not None else ""
