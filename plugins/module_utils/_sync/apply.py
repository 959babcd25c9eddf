# SPDX-License-Identifier: GPL-3.0-or-later
"""Applies a plan."""

from __future__ import annotations

import uuid
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Callable, Iterable, Iterator, NamedTuple, Sequence, Tuple

from .api import Done, Server
from .changes import Action, Change
from .errors import LeaseLost, Refused, Stale, SyncError, Unauthorized, Unreachable
from .journal import Call, Observer
from .plan import Plan
from .recheck import Rest, Steps, check, names_of

Sink = Callable[[Change, str], None]
"""Writes a new secret as soon as it is known. Raises OSError if it cannot."""

GOOD = ("applied", "pending", "unchanged")
OTHER_BODY = "the server has received this call before, with other content: delete the journal and make a new plan"
BULK = 10_000
"""The most changes in one bulk call."""

Item = Tuple[int, Steps]


@dataclass(frozen=True)
class Result:
    """The result of a change: `applied`, `pending`, `unchanged`, `failed` or `stale`; the last two with `error`."""

    change: Change
    status: str
    error: str = ""
    refused: bool = False
    """The change failed and was certainly not made."""
    kept: bool = False
    """Its new secret was written."""
    warnings: tuple[str, ...] = ()
    """Texts of the server."""


@dataclass(frozen=True)
class Outcome:
    """The results of all changes of the plan, in order."""

    results: tuple[Result, ...] = ()

    @property
    def failed(self) -> tuple[Result, ...]:
        """The results of changes that were not made."""
        return tuple(r for r in self.results if r.status not in GOOD)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the server warns of, each text once."""
        return tuple(dict.fromkeys(text for result in self.results for text in result.warnings))


def apply_plan(
    plan: Plan,
    server: Server,
    sink: Sink,
    *,
    journal: Observer | None = None,
    rest: Rest | None = None,
    strict: bool = False,
    concurrency: int = 8,
) -> Outcome:
    """Make all changes. If a change fails, the others are still made.

    `journal` and `sink` are called in the caller's thread. `rest` is what an earlier run left (`recheck.remaining`).
    With `strict`, all preconditions are checked first; if one does not hold, Stale is raised and nothing is changed. If
    the server refuses the token, or is repeatedly unreachable, or the lease of the stack has ended, the remaining
    changes are not tried and have no `begin`.
    Raises Stale, and ServerError of this check, but no error of a single change.
    """
    return _Run(plan, server, sink, journal or Observer(), concurrency).run(rest, strict)


class _Run:
    def __init__(self, plan: Plan, server: Server, sink: Sink, journal: Observer, concurrency: int) -> None:
        self._changes, self._plan, self._server, self._sink = plan.changes, plan, server, sink
        self._journal, self._concurrency = journal, max(1, concurrency)
        self._results: dict[int, Result] = {}
        self._partly: frozenset[int] = frozenset()
        """Changes that an earlier run may have made in part."""
        self._unreached = 0
        self._stopped = ""

    def run(self, rest: Rest | None, strict: bool) -> Outcome:
        todo = Rest({i: (change,) for i, change in enumerate(self._changes)}) if rest is None else rest
        self._partly = frozenset(i for i, steps in todo.work.items() if steps != (self._changes[i],))
        if strict:
            self._check()
        for index, change in enumerate(self._changes):
            if index in todo.refused:
                self._results[index] = Result(change, "stale", todo.refused[index], refused=True)
            elif index not in todo.work and index not in todo.replayed:  # done by an earlier run
                self._results[index] = Result(change, "unchanged")
        for call in todo.replays:
            if not self._stopped:
                self._replay(call, todo.replayed)
        for group in _groups(sorted(todo.work.items())):
            if self._stopped:
                break
            if self._server.capabilities.bulk and group.kind == "host" and not group.several:
                self._at_once(group.items)
            else:
                self._each(group.items, self._concurrency if group.independent else 1)
        for index in (todo.work.keys() | todo.replayed) - self._results.keys():
            text = f"not tried: {self._stopped}"
            self._results[index] = Result(self._changes[index], "failed", text)
        return Outcome(tuple(self._results[index] for index in range(len(self._changes))))

    def _check(self) -> None:
        if not self._changes:
            return
        if problems := check(self._changes, self._server.registered(names_of(self._changes))):
            raise Stale(problems)

    def _replay(self, call: Call, awaited: frozenset[int]) -> None:
        """Send a call again, for changes without an answer."""
        answers: Sequence[Done | SyncError]
        try:
            answers = self._server.execute_many([self._changes[index] for index in call.indexes], call.key)
        except SyncError as error:
            other_body = isinstance(error, Refused) and error.status == 409
            answers = [Refused(409, OTHER_BODY) if other_body else error] * len(call.indexes)
        for index, answer in zip(call.indexes, answers):
            if index in awaited:  # an error of the whole call does not tell what the first call did
                of_one = isinstance(answer, Stale) or (isinstance(answer, Refused) and answer.of_one_change)
                self._end(index, answer, judged=of_one)
        self._journal.flush()

    def _at_once(self, items: Sequence[Item]) -> None:
        for start in range(0, len(items), BULK):
            part = items[start : start + BULK]
            key = uuid.uuid4().hex
            # a call with steps that are not in the plan cannot be replayed from the indexes in the journal
            planned = not any(index in self._partly for index, _ in part)
            self._begin([(index, key if planned else "") for index, _ in part])
            answers: Sequence[Done | SyncError]
            try:
                answers = self._server.execute_many([steps[0] for _, steps in part], key)
            except SyncError as error:
                answers = [error] * len(part)
            for (index, _), answer in zip(part, answers):
                self._end(index, answer)
            self._journal.flush()
            if self._stopped:
                return

    def _each(self, items: Sequence[Item], workers: int) -> None:
        waiting = iter(items)
        running: dict[Future[Done], int] = {}
        with ThreadPoolExecutor(workers) as pool:
            try:
                while self._start(pool, waiting, running, workers):
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        self._end(running.pop(future), _answer(future))
            finally:  # after an interruption, running changes may have made secrets
                for future, index in running.items():
                    self._end(index, _answer(future))

    def _start(
        self, pool: ThreadPoolExecutor, waiting: Iterator[Item], running: dict[Future[Done], int], workers: int
    ) -> bool:
        """Start as many changes as there are free workers. Returns whether any are running."""
        new = [] if self._stopped else list(islice(waiting, workers - len(running)))
        keys = {index: self._key(index, steps) for index, steps in new}
        self._begin(keys.items())
        for index, steps in new:
            running[pool.submit(_execute, self._server, steps, keys[index])] = index
        return bool(running)

    def _key(self, index: int, steps: Steps) -> str:
        """The key of a call for one change; empty if it cannot be replayed."""
        replays = self._server.capabilities.replays and steps[0].kind == "host" and index not in self._partly
        return uuid.uuid4().hex if replays else ""

    def _begin(self, keys: Iterable[tuple[int, str]]) -> None:
        for index, key in keys:
            self._journal.begin(self._changes[index], key)
        self._journal.flush()

    def _end(self, index: int, answer: Done | SyncError, *, judged: bool = True) -> None:
        """`judged`: an error means that the change was not made, unless the error is `lost`."""
        result = self._result(self._changes[index], answer, judged and index not in self._partly)
        self._results[index] = result
        self._journal.end(result)
        self._unreached = self._unreached + 1 if isinstance(answer, Unreachable) else 0
        if isinstance(answer, (Unauthorized, LeaseLost)) or self._unreached > self._concurrency:
            self._stopped = str(answer)

    def _result(self, change: Change, answer: Done | SyncError, judged: bool) -> Result:
        if isinstance(answer, SyncError):
            status = "stale" if isinstance(answer, Stale) else "failed"
            return Result(change, status, str(answer), refused=judged and not answer.lost)
        if answer.secret is not None:
            try:
                self._sink(change, answer.secret)
            except OSError as error:
                why = error.strerror or error
                lost = f"its new secret could not be written ({why}) and is lost; make a new one with `rotate`"
                return Result(change, "failed", f"{answer.error}; {lost}" if answer.error else lost)
        kept = answer.secret is not None
        return Result(change, answer.status, answer.error, kept=kept, warnings=answer.warnings)


class _Group(NamedTuple):
    """Consecutive changes that can be sent together. `several`: they take more than one step."""

    kind: str
    phase: str
    several: bool
    items: Sequence[Item]

    @property
    def independent(self) -> bool:
        """Whether the order does not matter. It does for moves: one may need the name that another frees."""
        return self.kind in ("host", "certificate") and self.phase != Action.MOVE.value


def _groups(work: Sequence[Item]) -> Iterator[_Group]:
    """Groups in the order of the plan. Rotations come after other edits, because both may be for one host."""
    ordered = (item for _, items in groupby(work, _phase) for item in sorted(items, key=_rotates))
    for (kind, phase, _, several), items in groupby(ordered, lambda i: (*_phase(i), _rotates(i), len(i[1]) > 1)):
        yield _Group(kind, phase, several, list(items))


def _phase(item: Item) -> tuple[str, str]:
    change = item[1][0]
    edits = change.action in (Action.UPDATE, Action.ADOPT, Action.ROTATE)
    return change.kind, "edit" if edits else change.action.value


def _rotates(item: Item) -> bool:
    return item[1][0].action is Action.ROTATE


def _execute(server: Server, steps: Steps, key: str) -> Done:
    """Make all steps of one change. The secret is the one of the last step that made one; warnings are of all steps."""
    done = Done("unchanged")
    for step in steps:
        try:
            following = server.execute(step, key)
        except SyncError as error:
            if done.secret is None:
                raise
            return replace(done, status="failed", error=str(error))
        warnings = done.warnings + following.warnings
        done = replace(following, secret=following.secret or done.secret, warnings=warnings)
        if done.status == "failed":
            break
    return done


def _answer(future: Future[Done]) -> Done | SyncError:
    try:
        return future.result()
    except SyncError as error:
        return error
