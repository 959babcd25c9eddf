# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying out a plan: its order, what goes in one call, failures, secrets, and going on after a run that broke off."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ddnsctl.sync import plan_table
from ddnsctl.sync.api import Done
from ddnsctl.sync.apply import Outcome, Result, apply_plan
from ddnsctl.sync.changes import Action, Change
from ddnsctl.sync.errors import LostAnswer, Refused, ServerError, Stale, SyncError, Unauthorized, Unreachable
from ddnsctl.sync.journal import Call, Observer, State
from ddnsctl.sync.model import Capabilities, Host, Key, Registered
from ddnsctl.sync.plan import Plan
from ddnsctl.sync.recheck import REPLAYED, remaining

D = "example.org"


def change(action: str, label: str, kind: str = "host", **values: Any) -> Change:
    return Change(Action(action), kind, f"{label}.{D}", **values)


@dataclass
class Fake:
    """A server that answers by name; what it is not told about is applied, with a secret where one is made."""

    bulk: bool
    answers: dict[str, Done | SyncError] = field(default_factory=dict)
    hosts: dict[str, Host] = field(default_factory=dict)
    calls: list[list[str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    meet: threading.Barrier | None = None
    looks: int = 0
    url: str = "https://fake.example.org"
    stacks: None = None
    capabilities: Capabilities = field(init=False)

    def __post_init__(self) -> None:
        self.capabilities = Capabilities("fake", bulk=self.bulk, replays=self.bulk)

    def registered(
        self, names: Iterable[str] | None = None, stack: str | None = None, domains: Iterable[str] = ()
    ) -> Registered:
        assert (stack, domains) == (None, ())
        self.looks += 1
        return Registered({name: self.hosts[name] for name in names or () if name in self.hosts})

    def execute(self, change: Change, key: str = "") -> Done:
        if self.meet:
            self.meet.wait(10)
        self.keys.append(key)
        self.calls.append([said(change)])
        answer = self.answer(change)
        if isinstance(answer, SyncError):
            raise answer
        return answer

    def execute_many(self, changes: Sequence[Change], key: str) -> list[Done | SyncError]:
        assert key
        self.keys.append(key)
        self.calls.append([said(change) for change in changes])
        if "whole call" in self.answers and isinstance(answer := self.answers["whole call"], SyncError):
            raise answer
        return [self.answer(change) for change in changes]

    def valid(self, fqdn: str, secret: str) -> bool:
        raise AssertionError

    def all_valid(self, secrets: Mapping[str, str]) -> Mapping[str, bool]:
        raise AssertionError

    def check(self, changes: Sequence[Change]) -> list[Done | SyncError]:
        raise AssertionError

    def registered_keys(self) -> tuple[Key, ...]:
        raise AssertionError

    def silent(self, days: int) -> set[str]:
        raise AssertionError(days)

    def enrolment(self, fqdn: str, lifetime: int) -> str:
        raise AssertionError

    def answer(self, change: Change) -> Done | SyncError:
        secret = f"secret of {change.name}" if change.makes_secret else None
        return self.answers.get(change.name, Done("applied", secret))


def said(change: Change) -> str:
    return f"{change.action.value} {change.name.partition('.')[0]}"


class Kept(Observer):
    """A sink, and a journal that notes in which order things happen."""

    def __init__(self, *, broken: bool = False) -> None:
        self.secrets: dict[str, str] = {}
        self.events: list[str] = []
        self.keys: dict[str, str] = {}
        self.broken = broken

    def sink(self, change: Change, secret: str) -> None:
        assert threading.current_thread() is threading.main_thread()
        if self.broken:
            raise OSError(28, "No space left on device")
        self.secrets[change.name.partition(".")[0]] = secret

    def begin(self, change: Change, key: str) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.events.append(f"begin {said(change)}")
        self.keys[said(change)] = key

    def end(self, result: Result) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.events.append(f"end {said(result.change)} {result.status}")

    def flush(self) -> None:
        self.events.append("flush")

    @property
    def told(self) -> list[str]:
        """The events without the flushes."""
        return [event for event in self.events if event != "flush"]


PLAN = Plan(
    (
        change("create", "zone", "domain"),
        change("delete", "d1"),
        change("delete", "d2"),
        change("move", "m1", source=f"old.{D}"),
        change("create", "c1"),
        change("create", "c2"),
        change("update", "u1"),
        change("rotate", "u1"),
        change("adopt", "u2"),
        change("delete", "away", "domain"),
    )
)


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_groups_go_in_the_plans_order(kept: Kept) -> None:
    server = Fake(bulk=True)
    outcome = apply_plan(PLAN, server, kept.sink)
    assert server.calls == [
        ["create zone"],
        ["delete d1", "delete d2"],
        ["move m1"],
        ["create c1", "create c2"],
        ["update u1", "adopt u2"],
        ["rotate u1"],
        ["delete away"],
    ]
    assert [result.change for result in outcome.results] == list(PLAN.changes)
    assert {result.status for result in outcome.results} == {"applied"}
    assert kept.secrets == {name: f"secret of {name}.{D}" for name in ("c1", "c2", "u1")}
    assert server.looks == 0


def test_without_bulk_calls_each_change_goes_by_itself(kept: Kept) -> None:
    server = Fake(bulk=False)
    outcome = apply_plan(PLAN, server, kept.sink, concurrency=1)
    assert server.calls == [
        ["create zone"],
        ["delete d1"],
        ["delete d2"],
        ["move m1"],
        ["create c1"],
        ["create c2"],
        ["update u1"],
        ["adopt u2"],
        ["rotate u1"],
        ["delete away"],
    ]
    assert outcome.failed == ()
    assert sorted(kept.secrets) == ["c1", "c2", "u1"]


def test_several_are_under_way_at_once_and_no_more_than_that(kept: Kept) -> None:
    server = Fake(bulk=False, meet=threading.Barrier(3))
    plan = Plan(tuple(change("create", f"c{n}") for n in range(9)))
    apply_plan(plan, server, kept.sink, journal=kept, concurrency=3)
    assert len(kept.secrets) == 9
    begun = most = 0
    for event in kept.events:
        begun += event.startswith("begin") - event.startswith("end")
        most = max(most, begun)
    assert (most, begun) == (3, 0)


@pytest.mark.parametrize(("action", "kind"), [("move", "host"), ("create", "domain")])
def test_moves_and_domains_go_one_by_one(kept: Kept, action: str, kind: str) -> None:
    plan = Plan(tuple(change(action, f"m{n}", kind) for n in range(4)))
    apply_plan(plan, Fake(bulk=False), kept.sink, journal=kept, concurrency=4)
    assert [event.partition(" ")[0] for event in kept.events[:-1]] == ["begin", "flush", "end"] * 4


@pytest.mark.parametrize("bulk", [True, False])
def test_failures_do_not_stop_the_rest(kept: Kept, bulk: bool) -> None:
    server = Fake(bulk, {f"c1.{D}": Refused(409, "taken"), f"d1.{D}": Stale([]), f"u2.{D}": LostAnswer("lost")})
    for _ in range(2):
        outcome = apply_plan(PLAN, server, kept.sink, journal=kept)
        statuses = {said(r.change): (r.status, r.error) for r in outcome.failed}
        assert statuses == {
            "create c1": ("failed", "taken"),
            "delete d1": ("stale", ""),
            "adopt u2": ("failed", "lost"),
        }
        assert len(outcome.results) == len(PLAN.changes)
    assert "end create c1 failed" in kept.events


def test_a_bulk_call_that_fails_fails_all_of_its_changes(kept: Kept) -> None:
    plan = Plan((change("delete", "d1"), change("create", "c1"), change("create", "c2")))
    outcome = apply_plan(plan, Fake(True, {"whole call": Refused(403, "read only")}), kept.sink)
    assert [result.error for result in outcome.failed] == ["read only"] * 3


def test_pending_and_unchanged_are_no_failures(kept: Kept) -> None:
    server = Fake(True, {f"c1.{D}": Done("pending", "s"), f"u2.{D}": Done("unchanged")})
    outcome = apply_plan(PLAN, server, kept.sink)
    assert outcome.failed == ()
    assert kept.secrets["c1"] == "s"


@pytest.mark.parametrize("bulk", [True, False])
def test_a_warning_of_several_changes_is_told_once(kept: Kept, bulk: bool) -> None:
    plan = Plan((change("create", "c1"), change("create", "c2"), change("create", "c3")))
    answers: dict[str, Done | SyncError] = {
        f"c1.{D}": Done("applied", "s", warnings=("one", "two")),
        f"c3.{D}": Done("pending", "s", warnings=("two", "three")),
    }
    outcome = apply_plan(plan, Fake(bulk, answers), kept.sink)
    assert outcome.warnings == ("one", "two", "three")
    assert outcome.results[1].warnings == ()


@pytest.mark.parametrize("bulk", [True, False])
def test_begin_is_durable_before_and_end_comes_after(kept: Kept, bulk: bool) -> None:
    plan = Plan((change("create", "c1"), change("create", "c2"), change("update", "u1")))
    apply_plan(plan, Fake(bulk), kept.sink, journal=kept, concurrency=2)
    first = kept.events.index("flush")
    assert kept.events[:first] == ["begin create c1", "begin create c2"]
    assert sorted(e for e in kept.events if e.startswith("end")) == [
        "end create c1 applied",
        "end create c2 applied",
        "end update u1 applied",
    ]
    assert kept.events[-1] == "flush"
    update = kept.events.index("begin update u1")
    assert kept.events[update + 1 : update + 3] == ["flush", "end update u1 applied"]


@pytest.mark.parametrize("bulk", [True, False])
def test_a_secret_that_cannot_be_kept_is_told_and_never_shown(bulk: bool) -> None:
    kept = Kept(broken=True)
    outcome = apply_plan(Plan((change("create", "c1"),)), Fake(bulk), kept.sink, journal=kept)
    (result,) = outcome.failed
    assert "No space left on device" in result.error
    assert "make a new one with `rotate`" in result.error
    assert "secret of" not in result.error
    assert kept.told == ["begin create c1", "end create c1 failed"]


def test_a_change_that_failed_late_still_has_its_secret(kept: Kept) -> None:
    server = Fake(False, {f"c1.{D}": Done("failed", "s", "the second address was refused")})
    outcome = apply_plan(Plan((change("create", "c1"),)), server, kept.sink)
    assert [(r.status, r.error) for r in outcome.results] == [("failed", "the second address was refused")]
    assert kept.secrets == {"c1": "s"}


@pytest.mark.parametrize("bulk", [True, False])
def test_a_refused_token_ends_the_run(kept: Kept, bulk: bool) -> None:
    answers: dict[str, Done | SyncError] = {f"d1.{D}": Unauthorized("no token"), "whole call": Unauthorized("no token")}
    server = Fake(bulk, answers)
    outcome = apply_plan(PLAN, server, kept.sink, journal=kept, concurrency=1)
    assert [r.status for r in outcome.results] == ["applied"] + ["failed"] * 9
    assert outcome.results[-1].error == "not tried: no token"
    assert "begin create c1" not in kept.events


def test_a_server_that_is_gone_is_not_asked_forever(kept: Kept) -> None:
    plan = Plan(tuple(change("create", f"c{n}") for n in range(50)))
    server = Fake(False, {c.name: Unreachable("refused") for c in plan.changes})
    outcome = apply_plan(plan, server, kept.sink, concurrency=2)
    assert len(outcome.failed) == 50
    assert len(server.calls) < 10
    assert outcome.results[-1].error == "not tried: refused"


def test_now_and_then_unreachable_is_only_a_failure(kept: Kept) -> None:
    plan = Plan(tuple(change("create", f"c{n}") for n in range(20)))
    server = Fake(False, {c.name: Unreachable("refused") for c in plan.changes[::2]})
    outcome = apply_plan(plan, server, kept.sink, concurrency=1)
    assert len(outcome.failed) == 10
    assert len(server.calls) == 20


# ---- saved plans

SAVED = Plan(
    (
        change("delete", "d1", before={"ipv4": "192.0.2.1"}),
        change("create", "c1"),
        change("update", "u1", before={"ipv4": "192.0.2.1"}, after={"ipv4": "192.0.2.2"}),
    )
)


def host(label: str, **values: Any) -> dict[str, Host]:
    return {f"{label}.{D}": Host(f"{label}.{D}", D, **values)}


def test_a_strict_run_changes_nothing_when_something_has_moved(kept: Kept) -> None:
    server = Fake(True, hosts=host("d1", ipv4="192.0.2.1") | host("u1", ipv4="192.0.2.7") | host("c1"))
    for _ in range(2):
        with pytest.raises(Stale) as raised:
            apply_plan(SAVED, server, kept.sink, journal=kept, strict=True)
        assert [problem.text for problem in raised.value.problems] == [
            f"c1.{D} is now registered",
            f"u1.{D}: ipv4 was 192.0.2.1 and is now 192.0.2.7",
        ]
    assert server.calls == []
    assert kept.events == []


def test_a_strict_run_applies_what_still_holds(kept: Kept) -> None:
    server = Fake(True, hosts=host("d1", ipv4="192.0.2.1") | host("u1", ipv4="192.0.2.1"))
    assert apply_plan(SAVED, server, kept.sink, strict=True).failed == ()
    assert server.looks == 1
    assert len(server.calls) == 3


# ---- going on

NOW = int(time.time())


def state(
    *,
    done: Iterable[int] = (),
    refused: Iterable[int] = (),
    uncertain: Iterable[int] = (),
    calls: Sequence[Call] = (),
    kept: Iterable[int] = (),
) -> State:
    return State({}, frozenset(done), frozenset(refused), frozenset(uncertain), tuple(calls), frozenset(kept))


def go_on(plan: Plan, server: Fake, kept: Kept, said_before: State) -> Outcome:
    return apply_plan(plan, server, kept.sink, journal=kept, rest=remaining(plan.changes, said_before, server))


@pytest.mark.parametrize("bulk", [True, False])
def test_what_is_done_is_not_done_again(kept: Kept, bulk: bool) -> None:
    server = Fake(bulk)
    outcome = go_on(SAVED, server, kept, state(done=[0, 1]))
    assert server.calls == [["update u1"]]
    assert [r.status for r in outcome.results] == ["unchanged", "unchanged", "applied"]
    assert kept.told == ["begin update u1", "end update u1 applied"]
    assert server.looks == 0


def test_all_done_asks_nothing(kept: Kept) -> None:
    server = Fake(True)
    assert go_on(SAVED, server, kept, state(done=range(3))).failed == ()
    assert (server.calls, server.looks) == ([], 0)


@pytest.mark.parametrize("bulk", [True, False])
def test_without_a_call_to_replay_what_is_uncertain_is_looked_at_first(kept: Kept, bulk: bool) -> None:
    server = Fake(bulk, hosts=host("c1", ipv4="192.0.2.1") | host("u1", ipv4="192.0.2.2"))
    outcome = go_on(SAVED, server, kept, state(uncertain=range(3)))
    assert server.looks == 1
    assert server.calls == [["rotate c1"]]
    assert [r.status for r in outcome.results] == ["unchanged", "applied", "unchanged"]
    assert kept.secrets == {"c1": f"secret of c1.{D}"}
    assert kept.told == ["begin create c1", "end create c1 applied"]
    assert kept.keys == {"create c1": ""}


@pytest.mark.parametrize("bulk", [True, False])
def test_what_was_half_done_is_finished_in_steps(kept: Kept, bulk: bool) -> None:
    create = change("create", "c1", after={"ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "stack": "web"})
    server = Fake(bulk, hosts=host("c1", ipv4="192.0.2.1", stack="web"))
    outcome = go_on(Plan((create,)), server, kept, state(uncertain=[0]))
    assert server.calls == [["update c1"], ["rotate c1"]]
    assert [(r.change, r.status) for r in outcome.results] == [(create, "applied")]
    assert list(kept.secrets) == ["c1"]


def test_a_secret_that_was_kept_is_not_replaced(kept: Kept) -> None:
    create = change("create", "c1", after={"ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "stack": "web"})
    server = Fake(False, hosts=host("c1", ipv4="192.0.2.1", stack="web"))
    assert go_on(Plan((create,)), server, kept, state(uncertain=[0], kept=[0])).failed == ()
    assert server.calls == [["update c1"]]


THREE = Plan((change("create", "c1"), change("create", "c2"), change("create", "c3")))


def test_a_call_whose_answer_was_lost_is_made_again_as_it_was(kept: Kept) -> None:
    """Whatever is registered by now: the server knows the call, and nobody's secret is replaced."""
    server = Fake(True, {f"c2.{D}": Refused(409, "taken", of_one_change=True)}, host("c1") | host("c2"))
    call = Call("key-of-the-call", NOW, (0, 1, 2))
    before = state(done=[2], uncertain=[0, 1], calls=[call])
    rest = remaining(THREE.changes, before, server)
    assert rest.changes(THREE.changes) == THREE.changes[:2]
    outcome = apply_plan(THREE, server, kept.sink, journal=kept, rest=rest)
    assert (server.calls, server.keys, server.looks) == ([["create c1", "create c2", "create c3"]], [call.key], 0)
    assert [(r.status, r.refused) for r in outcome.results] == [
        ("applied", False),
        ("failed", True),
        ("unchanged", False),
    ]
    assert kept.secrets == {"c1": f"secret of c1.{D}"}
    assert kept.events == ["end create c1 applied", "end create c2 failed", "flush"]


@pytest.mark.parametrize(
    "error",
    [LostAnswer("lost"), Unreachable("gone"), Unauthorized("no"), Refused(403, "no"), Refused(409, "other body")],
)
def test_what_refuses_a_replay_leaves_the_first_call_uncertain(kept: Kept, error: SyncError) -> None:
    server = Fake(True, {"whole call": error})
    outcome = go_on(THREE, server, kept, state(done=[0, 1], uncertain=[2], calls=[Call("k", NOW, (2,))]))
    (failed,) = outcome.failed
    assert (failed.refused, server.calls) == (False, [["create c3"]])


def test_after_a_day_the_answer_cannot_be_had_again_and_the_plan_says_so(kept: Kept) -> None:
    plan = Plan((change("create", "c1", after={"stack": "web"}),))
    server = Fake(True, hosts=host("c1", stack="web"))
    rest = remaining(plan.changes, state(uncertain=[0], calls=[Call("k", NOW - REPLAYED - 1, (0,))]), server)
    (shown,) = rest.changes(plan.changes)
    assert (shown.action, shown.before) == (Action.ROTATE, {"stack": "web"})
    (line,) = plan_table.lines(replace(plan, changes=(shown,)))
    assert line.details == ("(new secret, replaces the present one)",)
    assert apply_plan(plan, server, kept.sink, rest=rest).failed == ()
    assert server.calls == [["rotate c1"]]


def test_a_refusal_is_final_where_what_refused_it_is_still_there(kept: Kept) -> None:
    """Two people create one host: who was second never gets a secret of it."""
    server = Fake(True, hosts=host("c1", stack="web"))
    plan = Plan((change("create", "c1", after={"stack": "web"}), change("create", "c2", after={"stack": "web"})))
    outcome = go_on(plan, server, kept, state(refused=[0, 1]))
    assert server.calls == [["create c2"]]
    assert [(r.status, r.refused) for r in outcome.results] == [("stale", True), ("applied", False)]
    assert outcome.results[0].error == f"c1.{D} is now registered (make a new plan)"


def test_each_call_has_a_key_that_the_journal_knows_before(kept: Kept) -> None:
    server = Fake(True)
    apply_plan(PLAN, server, kept.sink, journal=kept)
    assert kept.keys["create c1"] == kept.keys["create c2"] != kept.keys["update u1"]
    assert [key for key in server.keys if key] == list(dict.fromkeys(key for key in kept.keys.values() if key))
    assert kept.keys["create zone"] == kept.keys["delete away"] == ""
    assert kept.keys["move m1"]


def test_only_what_certainly_was_not_done_counts_as_refused(kept: Kept) -> None:
    answers: dict[str, Done | SyncError] = {
        f"c1.{D}": Refused(409, "taken"),
        f"c2.{D}": Refused(503, "proxy"),
        f"u1.{D}": LostAnswer("lost"),
        f"d1.{D}": Unreachable("refused"),
        f"d2.{D}": ServerError("odd"),
        f"m1.{D}": Refused(500, "x", of_one_change=True),
        f"u2.{D}": Stale([]),
    }
    failed = apply_plan(PLAN, Fake(True, answers), kept.sink).failed
    assert {said(r.change) for r in failed if r.refused} == {"create c1", "delete d1", "move m1", "adopt u2"}
    assert {said(r.change) for r in failed if not r.refused} == {"create c2", "update u1", "rotate u1", "delete d2"}


ANEW = change("move", "new", source=f"old.{D}", after={"ipv4": "192.0.2.1", "stack": "web"}, reason="no renames")


@pytest.mark.parametrize(
    ("answers", "calls", "status", "secrets"),
    [
        ({}, ["update new", "rotate new", "delete old"], "applied", ["new"]),
        ({"old": Refused(403, "no")}, ["update new", "rotate new", "delete old"], "failed", ["new"]),
        ({"new": Done("failed", "s", "no")}, ["update new"], "failed", ["new"]),
        ({"new": Refused(403, "no")}, ["update new"], "failed", []),
    ],
)
def test_steps_end_at_the_first_that_fails_and_keep_the_secret(
    kept: Kept, answers: dict[str, Done | SyncError], calls: list[str], status: str, secrets: list[str]
) -> None:
    hosts = host("new", ipv4="192.0.2.7", stack="web") | host("old", stack="web")
    server = Fake(False, {f"{label}.{D}": answer for label, answer in answers.items()}, hosts=hosts)
    outcome = go_on(Plan((ANEW,)), server, kept, state(uncertain=[0]))
    assert server.calls == [[call] for call in calls]
    assert [(r.status, r.error) for r in outcome.results] == [(status, "no" if status == "failed" else "")]
    assert not any(result.refused for result in outcome.results)
    assert list(kept.secrets) == secrets


class _Interrupted(Kept):
    """Ctrl-C arrives while the second change is under way."""

    def __init__(self, release: Callable[[], object]) -> None:
        super().__init__()
        self._release = release

    def end(self, result: Result) -> None:
        super().end(result)
        if len(self.secrets) == 1:
            self._release()
            raise KeyboardInterrupt


def test_an_interrupted_run_keeps_the_secrets_of_what_is_under_way() -> None:
    class Slow(Fake):
        def execute(self, change: Change, key: str = "") -> Done:
            if said(change) == "create c1":
                assert released.wait(10)
            return super().execute(change, key)

    released = threading.Event()
    kept = _Interrupted(released.set)
    plan = Plan(tuple(change("create", f"c{n}") for n in range(5)))
    with pytest.raises(KeyboardInterrupt):
        apply_plan(plan, Slow(False), kept.sink, journal=kept, concurrency=2)
    assert sorted(kept.secrets) == ["c0", "c1"]
    assert kept.told == ["begin create c0", "begin create c1", "end create c0 applied", "end create c1 applied"]
