# SPDX-License-Identifier: GPL-3.0-or-later
"""Declare, plan, apply, and plan again: with our service over `/api` and over EGI's calls, and a stand-in of EGI's.

Planning is watched: it never sends what changes something.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.clients.dyndns import new_label
from support.clients.sync_engine import Target, over_rest, spec, standing_in
from support.clients.transport import lose
from support.servers.service import Service, dev

from ddnsctl.sync import journal, saved
from ddnsctl.sync.apply import Outcome, apply_plan
from ddnsctl.sync.changes import Action, Change
from ddnsctl.sync.connect import open_server
from ddnsctl.sync.egi import EgiServer
from ddnsctl.sync.errors import Conflicts, NotSupported, Stale
from ddnsctl.sync.model import DYNAMIC, DomainSpec
from ddnsctl.sync.plan import Plan
from ddnsctl.sync.recheck import Rest, remaining
from ddnsctl.sync.rest import RestServer


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("engine") / "service") as running:
        yield running


@pytest.fixture(params=["rest", "nic", "stand-in"])
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    if request.param == "stand-in":
        with standing_in() as (_, target):
            yield target
        return
    service = request.getfixturevalue("service")
    target = over_rest(service)
    if request.param == "nic":
        target.server = EgiServer(target.transport)
    yield target


@pytest.fixture
def rest(service: Service) -> Target:
    return over_rest(service)


def test_the_right_kind_of_server_is_found(target: Target) -> None:
    assert isinstance(target.server, (RestServer, EgiServer))
    assert isinstance(open_server(target.transport), EgiServer) == target.domain.endswith("fedcloud.eu")


def test_hosts_are_created_once(target: Target) -> None:
    both, wild, vm = (target.name() for _ in range(3))
    declared = target.declare(
        spec(both, ipv6="2001:db8::1"),
        spec(wild, "192.0.2.2", wildcard=True, comment="Front end"),
        spec(vm, DYNAMIC, ipv6=DYNAMIC),
    )
    assert target.run(declared) == [Action.CREATE] * 3
    assert target.run(declared) == []
    target.becomes(both, "192.0.2.1")
    target.becomes(both, "2001:db8::1", rtype="AAAA")
    target.becomes("any." + wild, "192.0.2.2")
    assert sorted(target.secrets) == sorted((both, wild, vm))
    assert target.works(vm, target.secrets[vm], "192.0.2.77")
    target.becomes(vm, "192.0.2.77")
    assert target.run(declared) == []


def test_an_address_is_updated_and_the_secret_stays(target: Target) -> None:
    name = target.name()
    target.run(target.declare(spec(name)))
    secret = target.secrets.pop(name)
    declared = target.declare(spec(name, "192.0.2.9"))
    assert target.run(declared) == [Action.UPDATE]
    assert target.run(declared) == []
    target.becomes(name, "192.0.2.9")
    assert target.secrets == {}
    assert target.works(name, secret, "192.0.2.9")


@pytest.mark.parametrize(
    "values", [{"wildcard": True}, {"comment": "Other"}, {"ipv6": None}, {"ipv4": None, "ipv6": "2001:db8::5"}]
)
def test_everything_else_is_edited_where_the_server_can_and_registered_anew_where_not(
    target: Target, values: dict[str, Any]
) -> None:
    name = target.name()
    first = spec(name, ipv6="2001:db8::1", comment="One")
    target.run(target.declare(first))
    secret = target.secrets.pop(name)
    declared = target.declare(replace(first, **values))
    assert target.run(declared) == [Action.UPDATE if target.edits else Action.REPLACE]
    assert target.run(declared) == []
    assert target.works(name, target.secrets.get(name, secret), "2001:db8::5")
    assert target.works(name, secret, "2001:db8::5") == target.edits


def test_a_secret_is_rotated_when_asked(target: Target) -> None:
    name = target.name()
    declared = target.declare(spec(name))
    target.run(declared)
    old = target.secrets[name]
    for _ in range(2):
        assert target.run(declared, rotate=(name,)) == [Action.ROTATE]
        assert target.secrets[name] != old
        assert target.works(name, target.secrets[name], "192.0.2.1")
        assert not target.works(name, old, "192.0.2.1")
        old = target.secrets[name]


def test_a_host_moves_to_another_name(target: Target) -> None:
    old, new = target.name(), target.name()
    target.run(target.declare(spec(old, wildcard=True)))
    secret = target.secrets.pop(old)
    declared = target.declare(spec(new, wildcard=True, moved_from=old))
    assert target.run(declared) == [Action.MOVE]
    assert target.run(declared) == []
    target.becomes("any." + new, "192.0.2.1")
    target.becomes(old)
    assert target.works(new, target.secrets.get(new, secret), "192.0.2.1")
    assert (new in target.secrets) is not target.edits


def test_a_host_of_somebody_else_is_taken_over_only_when_asked(target: Target) -> None:
    name = target.name()
    target.server.execute(Change(Action.CREATE, "host", name, after={"ipv4": "192.0.2.1", "comment": "By hand"}))
    with pytest.raises(Conflicts, match=f"{name} is already registered and belongs to no stack"):
        target.plan(target.declare(spec(name)))
    declared = target.declare(spec(name, comment="By hand", adopt=True))
    assert target.run(declared) == [Action.ADOPT if target.edits else Action.REPLACE]
    assert target.run(declared) == []
    other = replace(declared, stack="another")
    with pytest.raises(Conflicts, match=f"belongs to stack {target.stack}"):
        target.plan(replace(other, hosts={name: spec(name)}))


def test_a_host_may_be_taken_over_and_get_a_new_secret_at_once(target: Target) -> None:
    name = target.name()
    target.server.execute(Change(Action.CREATE, "host", name, after={"ipv4": "192.0.2.1"}))
    actions = target.run(target.declare(spec(name, adopt=True)), rotate=(name,))
    assert actions == ([Action.ADOPT, Action.ROTATE] if target.edits else [Action.REPLACE])
    assert target.works(name, target.secrets[name], "192.0.2.1")


def test_undeclared_hosts_go_only_when_pruned(target: Target) -> None:
    kept, gone = target.name(), target.name()
    target.run(target.declare(spec(kept), spec(gone)))
    foreign = target.name()
    target.server.execute(Change(Action.CREATE, "host", foreign, after={"ipv4": "192.0.2.1"}))
    declared = target.declare(spec(kept))
    assert target.run(declared) == []
    assert target.run(declared, prune=True) == [Action.DELETE]
    target.becomes(gone)
    assert target.run(declared, prune=True) == []
    target.becomes(kept, "192.0.2.1")
    target.becomes(foreign, "192.0.2.1")


def test_all_of_a_stack_is_destroyed(target: Target) -> None:
    names = [target.name() for _ in range(3)]
    declared = target.declare(*map(spec, names))
    target.run(declared)
    assert target.run(target.declare(), destroy=True) == [Action.DELETE] * 3
    assert target.run(target.declare(), destroy=True) == []
    for name in names:
        target.becomes(name)


def test_what_the_server_refuses_is_told_and_the_rest_is_done(target: Target) -> None:
    good, bad = target.name(), "a.nowhere.example.net"
    made = target.plan(target.declare(spec(good), spec(bad)))
    outcome = apply_plan(made, target.server, target.keep)
    assert [result.change.name for result in outcome.failed] == [bad]
    assert outcome.failed[0].error
    assert list(target.secrets) == [good]
    target.becomes(good, "192.0.2.1")


def test_a_saved_plan_is_applied_as_it_was_reviewed_or_not_at_all(target: Target) -> None:
    one, two = target.name(), target.name()
    target.run(target.declare(spec(one), spec(two)))
    declared = target.declare(spec(one, "192.0.2.5"), spec(two, "192.0.2.5"))
    made = saved.from_dict(saved.to_dict(target.plan(declared)))
    target.server.execute(Change(Action.UPDATE, "host", one, after={"ipv4": "192.0.2.9"}))
    for _ in range(2):
        changing = target.transport.changing
        with pytest.raises(Stale, match=rf"^{one}: ipv4 was 192\.0\.2\.1 and is now 192\.0\.2\.9"):
            apply_plan(made, target.server, target.keep, strict=True)
        assert target.transport.changing == changing
    again = saved.from_dict(saved.to_dict(target.plan(declared)))
    assert apply_plan(again, target.server, target.keep, strict=True).failed == ()
    target.becomes(two, "192.0.2.5")


@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_no_lost_answer_makes_a_second_host_or_loses_a_secret(target: Target, lost: str, number: int) -> None:
    names = [target.name() for _ in range(2)]
    if isinstance(target.server, RestServer):
        target.server = RestServer(target.transport, pause=lambda _seconds: None)
    first = target.transport.changing
    setattr(target.transport, lost, lose(first + number))
    target.run(target.declare(*(spec(name, ipv6="2001:db8::1") for name in names)))
    setattr(target.transport, lost, lose())
    for name in names:
        assert target.works(name, target.secrets[name], "192.0.2.1")
        target.becomes(name, "2001:db8::1", rtype="AAAA")


# ---- breaking off and going on


@dataclass
class Journalled:
    """Applies a plan with a journal in a file, as often as it takes."""

    path: str
    target: Target

    def begin(self, plan: Plan) -> Outcome:
        file = journal.Journal.create(self.path, saved.to_dict(plan), plan.changes)
        return self._apply(plan, file)

    def resume(self) -> Outcome:
        file, state = journal.Journal.resume(self.path)
        plan = saved.from_dict(state.plan)
        file.set_changes(plan.changes)
        return self._apply(plan, file, remaining(plan.changes, state, self.target.server))

    def _apply(self, plan: Plan, file: journal.Journal, rest: Rest | None = None) -> Outcome:
        try:
            return apply_plan(plan, self.target.server, self.target.keep, journal=file, rest=rest)
        finally:
            file.close()


def interrupt(*numbers: int) -> Callable[[int], None]:
    """The program that applies is ended there."""

    def act(number: int) -> None:
        if number in numbers:
            raise KeyboardInterrupt

    return act


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_a_run_that_was_cut_off_goes_on(target: Target, tmp_path: Path, moment: str, number: int) -> None:
    """Two creations, an update, a move and a deletion, ended around each of its requests."""
    names = [target.name() for _ in range(6)]
    target.run(target.declare(*map(spec, names[:4])))
    kept = {name: target.secrets[name] for name in names[:2]}
    declared = target.declare(
        spec(names[0], "192.0.2.5"),
        spec(names[2]),
        spec(names[4]),
        spec(names[5], ipv6="2001:db8::1"),
        spec("moved-" + names[1], moved_from=names[1]),
    )
    made = target.plan(declared, prune=True)
    assert len(made.changes) == 5
    run = Journalled(str(tmp_path / "journal"), target)
    setattr(target.transport, moment, interrupt(target.transport.changing + number))
    try:
        run.begin(made)
    except KeyboardInterrupt:
        assert "secret" not in Path(run.path).read_text()
    setattr(target.transport, moment, interrupt())
    assert run.resume().failed == ()
    assert target.plan(declared, prune=True).changes == ()
    changing = target.transport.changing
    assert run.resume().failed == ()
    assert target.transport.changing == changing
    for name in (names[4], names[5]):
        assert target.works(name, target.secrets[name], "192.0.2.1")
    assert target.works(names[0], kept[names[0]], "192.0.2.5")
    target.becomes(names[3])
    target.becomes("moved-" + names[1], "192.0.2.1")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_the_service_dies_between_begin_and_end(tmp_path: Path, moment: str) -> None:
    with dev(tmp_path / "service") as service:
        target = over_rest(service)
        target.server = RestServer(target.transport, pause=lambda _seconds: None)
        names = [target.name() for _ in range(50)]
        declared = target.declare(*map(spec, names))
        run = Journalled(str(tmp_path / "journal"), target)

        def die(number: int) -> None:
            if number == 1:
                service.kill()
                lose(1)(number)

        setattr(target.transport, moment, die)
        outcome = run.begin(target.plan(declared))
        assert len(outcome.failed) == 50
        assert target.secrets == {}
        service.start()
        assert run.resume().failed == ()
        assert target.plan(declared).changes == ()
        assert sorted(target.secrets) == sorted(names)
        for name in names[::10]:
            assert target.works(name, target.secrets[name], "192.0.2.1")
            target.becomes(name, "192.0.2.1")


# ---- what only one of the servers has


def test_many_hosts_go_in_one_call(rest: Target) -> None:
    declared = rest.declare(*(spec(f"h{n}-{rest.name()}") for n in range(300)))
    assert rest.run(declared) == [Action.CREATE] * 300
    assert rest.transport.calls["POST", "/api/changes"] == 1
    assert len(set(rest.secrets.values())) == 300
    moved = {name: replace(host, ipv4="192.0.2.8") for name, host in declared.hosts.items()}
    assert rest.run(replace(declared, hosts=moved)) == [Action.UPDATE] * 300
    assert rest.transport.calls["POST", "/api/changes"] == 2
    rest.becomes(next(iter(moved)), "192.0.2.8")


def test_time_to_live_and_labels_where_they_are_kept(rest: Target) -> None:
    name = rest.name()
    declared = rest.declare(spec(name, ttl=300, labels={"team": "a"}))
    assert rest.run(declared) == [Action.CREATE]
    assert rest.run(declared) == []
    assert rest.run(rest.declare(spec(name, ttl=None, labels={}))) == [Action.UPDATE]


def test_and_where_they_are_not() -> None:
    with standing_in() as (_, target):
        for _ in range(2):
            with pytest.raises(NotSupported, match="ttl"):
                target.plan(target.declare(spec(target.name(), ttl=300)))


def test_domains_come_before_their_hosts_and_go_after_them(rest: Target) -> None:
    domain = f"{new_label()}.example.org"
    name = f"www.{domain}"
    declared = rest.declare(spec(name), domains=(DomainSpec(domain, public=True, comment="Shared"),))
    assert rest.run(declared) == [Action.CREATE, Action.CREATE]
    rest.becomes(name, "192.0.2.1")
    assert rest.run(declared) == []
    edited = rest.declare(spec(name), domains=(DomainSpec(domain, public=True, comment="Ours"),))
    assert rest.run(edited) == [Action.UPDATE]
    assert rest.run(edited) == []
    assert rest.run(rest.declare(), prune=True) == [Action.DELETE, Action.DELETE]
    assert rest.run(rest.declare(), prune=True) == []
    rest.becomes(name)


def test_a_secret_is_checked_without_changing_anything(rest: Target) -> None:
    name = rest.name()
    rest.run(rest.declare(spec(name)))
    for _ in range(2):
        assert rest.server.valid(name, rest.secrets[name])
        assert not rest.server.valid(name, "another")


def test_slow_answers_are_waited_for_side_by_side() -> None:
    with standing_in() as (state, target):
        state.delay = 0.1
        declared = target.declare(*(spec(target.name()) for _ in range(24)))
        assert target.run(declared) == [Action.CREATE] * 24
        assert 1 < state.most_in_flight <= 8
        assert state.requests["/nic/register"] == 24


def test_an_address_that_the_server_cannot_say_is_drift_and_is_set_again() -> None:
    with standing_in() as (state, target):
        name, vm = target.name(), target.name()
        declared = target.declare(spec(name, ipv6="2001:db8::1"), spec(vm, DYNAMIC, ipv6=DYNAMIC))
        target.run(declared)
        state.unknown |= {name, vm}
        made = target.plan(declared)
        assert [(c.action, c.name, dict(c.after)) for c in made.changes] == [
            (Action.UPDATE, name, {"ipv4": "192.0.2.1", "ipv6": "2001:db8::1"})
        ]
        assert sorted((d.kind, d.name) for d in made.drift) == sorted([("unknown", name), ("unknown", vm)])
        assert [r.status for r in apply_plan(made, target.server, target.keep).results] == ["unchanged"]
        state.unknown.clear()
        assert target.run(declared) == []
