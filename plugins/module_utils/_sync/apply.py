# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out a plan."""

from __future__ import annotations

import uuid
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Callable, Iterable, Iterator, NamedTuple, Sequence, Tuple

from .api import Done, Server
from .changes import Action, Change
from .errors import Stale, SyncError, Unauthorized, Unreachable
from .plan import Plan
from .recheck import check, left_over, names_of

Sink = Callable[[Change, str], None]
"""Takes a new secret; raises OSError when it cannot keep it. Called as soon as the secret is known."""

GOOD = ("applied", "pending", "unchanged")
BULK = 10_000
"""The most changes that one bulk call carries."""

Steps = Tuple[Change, ...]
Item = Tuple[int, Steps]


@dataclass(frozen=True)
class Result:
    """What became of a change: `applied`, `pending`, `unchanged`, `failed` (with `error`) or `stale` (with `error`)."""

    change: Change
    status: str
    error: str = ""


@dataclass(frozen=True)
class Outcome:
    """Every change of the plan with its result, in order."""

    results: tuple[Result, ...] = ()

    @property
    def failed(self) -> tuple[Result, ...]:
        """Those that were not applied."""
        return tuple(r for r in self.results if r.status not in GOOD)


def apply(
    plan: Plan,
    server: Server,
    sink: Sink,
    *,
    journal: Callable[[str, Change, Result | None], None] = lambda _event, _change, _result: None,
    flush: Callable[[], None] = lambda: None,
    done: frozenset[int] = frozenset(),
    uncertain: frozenset[int] = frozenset(),
    strict: bool = False,
    concurrency: int = 8,
) -> Outcome:
    """Carry out the changes, past failures.

    `journal` is told `begin` before a change (or a bulk call's changes) is sent and `end` after it; `flush` is called
    after the begins, before anything is sent, and after a bulk call's ends. Both are called in the caller's thread, and
    so is `sink`. `done` are the indexes in `plan.changes` that an earlier run has ended, `uncertain` those of which it
    is not known: they are looked at before anything is sent (`recheck.left_over`). With `strict` every precondition is
    looked at first: Stale is raised, and nothing is changed, when one does not hold any more. A server that does not
    accept the token, or that cannot be reached time and again, is not asked any further; what was not tried has no
    `begin`.
    Raises Stale, and ServerError of these looks; nothing of a single change.
    """
    return _Run(plan, server, sink, journal, flush, concurrency).run(done, uncertain, strict)


class _Run:
    def __init__(
        self,
        plan: Plan,
        server: Server,
        sink: Sink,
        journal: Callable[[str, Change, Result | None], None],
        flush: Callable[[], None],
        concurrency: int,
    ) -> None:
        self._changes, self._plan, self._server, self._sink = plan.changes, plan, server, sink
        self._journal, self._flush, self._concurrency = journal, flush, max(1, concurrency)
        self._results: dict[int, Result] = {}
        self._unreached = 0
        self._stopped = ""

    def run(self, done: frozenset[int], uncertain: frozenset[int], strict: bool) -> Outcome:
        work = self._work(done, uncertain, strict)
        for index in range(len(self._changes)):
            if index not in work:  # an earlier run has ended it
                self._results[index] = Result(self._changes[index], "unchanged")
        for group in _groups(list(work.items())):
            if self._stopped:
                break
            if self._server.capabilities.bulk and group.kind == "host" and not group.several:
                self._at_once(group.items)
            else:
                self._each(group.items, self._concurrency if group.independent else 1)
        for index in work.keys() - self._results.keys():
            self._results[index] = Result(self._changes[index], "failed", f"not tried: {self._stopped}")
        return Outcome(tuple(self._results[index] for index in range(len(self._changes))))

    def _work(self, done: frozenset[int], uncertain: frozenset[int], strict: bool) -> dict[int, Steps]:
        """What is to be done for each change, by its index: mostly the change itself."""
        work: dict[int, Steps] = {i: (c,) for i, c in enumerate(self._changes) if i not in done}
        if not work or not (strict or uncertain):
            return work
        registered = self._server.registered(names_of(self._changes))
        if strict and (problems := check([c for i, (c,) in work.items() if i not in uncertain], registered)):
            raise Stale(problems)
        for index in uncertain & work.keys():
            work[index] = left_over(self._changes[index], registered)
        return {index: steps for index, steps in work.items() if steps}

    def _at_once(self, items: Sequence[Item]) -> None:
        for start in range(0, len(items), BULK):
            part = items[start : start + BULK]
            self._begin(index for index, _ in part)
            answers: Sequence[Done | SyncError]
            try:
                answers = self._server.carry_out_many([steps[0] for _, steps in part], uuid.uuid4().hex)
            except SyncError as error:
                answers = [error] * len(part)
            for (index, _), answer in zip(part, answers):
                self._end(index, answer)
            self._flush()
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
            finally:  # interrupted: what is under way may have made secrets
                for future, index in running.items():
                    self._end(index, _answer(future))

    def _start(
        self, pool: ThreadPoolExecutor, waiting: Iterator[Item], running: dict[Future[Done], int], workers: int
    ) -> bool:
        """Start as many as there is room for; whether anything is under way."""
        new = [] if self._stopped else list(islice(waiting, workers - len(running)))
        self._begin(index for index, _ in new)
        for index, steps in new:
            running[pool.submit(_carry_out, self._server, steps)] = index
        return bool(running)

    def _begin(self, indexes: Iterable[int]) -> None:
        for index in indexes:
            self._journal("begin", self._changes[index], None)
        self._flush()

    def _end(self, index: int, answer: Done | SyncError) -> None:
        result = self._result(self._changes[index], answer)
        self._results[index] = result
        self._journal("end", result.change, result)
        self._unreached = self._unreached + 1 if isinstance(answer, Unreachable) else 0
        if isinstance(answer, Unauthorized) or self._unreached > self._concurrency:
            self._stopped = str(answer)

    def _result(self, change: Change, answer: Done | SyncError) -> Result:
        if isinstance(answer, SyncError):
            return Result(change, "stale" if isinstance(answer, Stale) else "failed", str(answer))
        if answer.secret is not None:
            try:
                self._sink(change, answer.secret)
            except OSError as error:
                lost = f"its new secret could not be kept ({error}) and is lost; `rotate` makes another"
                return Result(change, "failed", f"{answer.error}; {lost}" if answer.error else lost)
        return Result(change, answer.status, answer.error)


class _Group(NamedTuple):
    """Consecutive work that may go at once; `several`: it takes more than one step."""

    kind: str
    phase: str
    several: bool
    items: Sequence[Item]

    @property
    def independent(self) -> bool:
        """Whether the order within the group does not matter: a move may wait for the name that another frees."""
        return self.kind == "host" and self.phase != Action.MOVE.value


def _groups(work: Sequence[Item]) -> Iterator[_Group]:
    """Groups in the plan's order; rotations come after the other edits, since both may be of one host."""
    ordered = (item for _, items in groupby(work, _phase) for item in sorted(items, key=_rotates))
    for (kind, phase, _, several), items in groupby(ordered, lambda i: (*_phase(i), _rotates(i), len(i[1]) > 1)):
        yield _Group(kind, phase, several, list(items))


def _phase(item: Item) -> tuple[str, str]:
    change = item[1][0]
    edits = change.action in (Action.UPDATE, Action.ADOPT, Action.ROTATE)
    return change.kind, "edit" if edits else change.action.value


def _rotates(item: Item) -> bool:
    return item[1][0].action is Action.ROTATE


def _carry_out(server: Server, steps: Steps) -> Done:
    """All steps of one change; the secret is that of the last step that made one."""
    done = Done("unchanged")
    for step in steps:
        try:
            following = server.carry_out(step)
        except SyncError as error:
            if done.secret is None:
                raise
            return replace(done, status="failed", error=str(error))
        done = replace(following, secret=following.secret or done.secret)
        if done.status == "failed":
            break
    return done


def _answer(future: Future[Done]) -> Done | SyncError:
    try:
        return future.result()
    except SyncError as error:
        return error
