# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every plan."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clients.applied_plan import applied

from ddnsctl.sync import plan_table, saved
from ddnsctl.sync.errors import Conflicts
from ddnsctl.sync.model import (
    DYNAMIC,
    KEEP,
    UNKNOWN,
    Capabilities,
    Declaration,
    Domain,
    DomainSpec,
    Host,
    HostSpec,
    Registered,
    SecretSpec,
)
from ddnsctl.sync.plan import Action, Options, Plan, make
from ddnsctl.sync.policy import Limits

DOMAINS = ("dyn.example.org", "lab.example.org")
NAMES = [f"{label}.{domain}" for label in "abcd" for domain in DOMAINS]
FORMER = [f"old-{name}" for name in NAMES]
NO_LIMITS = Limits(None, None)
FULL = Capabilities("ddnsd")
EGI = Capabilities(
    "EGI",
    fields=frozenset({"ipv4", "ipv6", "wildcard", "comment", "stack"}),
    edits=frozenset({"ipv4", "ipv6"}),
    clears=False,
    domains=False,
)

stacks = st.sampled_from(["web", "db", None])
ipv4, ipv6 = st.sampled_from([None, "192.0.2.1", "192.0.2.2"]), st.sampled_from([None, "2001:db8::1"])
comments = st.sampled_from([None, "one", "two"])
secrets = st.sampled_from([None, SecretSpec("file", "secrets/a"), SecretSpec("vault", "vault.yml")])


def specs(server: Capabilities) -> st.SearchStrategy[Any]:
    """Host specs of any name that the server can keep."""
    full = server is FULL
    return st.builds(
        HostSpec,
        st.sampled_from(NAMES),
        ipv4=ipv4 | st.sampled_from([KEEP, DYNAMIC]),
        ipv6=ipv6 | st.sampled_from([KEEP, DYNAMIC]),
        wildcard=st.booleans() | st.just(KEEP),
        comment=comments | st.just(KEEP),
        ttl=st.sampled_from([KEEP, None, 300] if full else [KEEP, None]),
        labels=st.sampled_from([KEEP, {}, {"a": "b"}] if full else [KEEP, {}]),
        secret=secrets,
        moved_from=st.none() | st.sampled_from(FORMER),
        adopt=st.booleans(),
    )


def hosts(server: Capabilities) -> st.SearchStrategy[Any]:
    """Registered hosts, some whose address the server cannot say."""
    full = server is FULL
    return st.builds(
        lambda fqdn, **fields: Host(fqdn, fqdn.partition(".")[2], **fields),
        st.sampled_from(NAMES + FORMER),
        ipv4=ipv4 | st.just(UNKNOWN),
        ipv6=ipv6,
        wildcard=st.booleans(),
        comment=comments,
        ttl=st.sampled_from([None, 300] if full else [None]),
        labels=st.sampled_from([{}, {"a": "b"}] if full else [{}]),
        stack=stacks,
        dns=st.sampled_from(["current", "pending", "conflict"]),
    )


domain_specs = st.builds(
    DomainSpec,
    st.sampled_from(DOMAINS),
    public=st.booleans(),
    comment=comments,
    ttl=st.just(None),
    group=st.sampled_from([None, "vo"]),
    available=st.sampled_from([KEEP, True, False]),
    dns_updates=st.sampled_from([KEEP, True, False]),
    adopt=st.booleans(),
)


def domains(server: Capabilities) -> st.SearchStrategy[Any]:
    """Registered domains; those of a server that cannot store a stack with them are nobody's."""
    owners = stacks if server.domains else st.none()
    return st.builds(Domain, st.sampled_from(DOMAINS), st.booleans(), comments, stack=owners)


def by_name(things: list[Any]) -> dict[str, Any]:
    return {getattr(thing, "fqdn", None) or thing.name: thing for thing in things}


@st.composite
def situations(draw: st.DrawFn, *, former: bool = True) -> tuple[Declaration, Registered, Capabilities, Options]:
    """All that a plan is made of."""
    server = draw(st.sampled_from([FULL, EGI]))
    declared = by_name(draw(st.lists(specs(server))))
    taken: set[str] = set()
    for name, spec in declared.items():
        if spec.moved_from in taken or not former:
            declared[name] = replace(spec, moved_from=None)
        taken.add(spec.moved_from)
    declared_domains = by_name(draw(st.lists(domain_specs))) if server is FULL else {}
    stack = draw(stacks)
    existing = by_name(draw(st.lists(hosts(server))))
    known = by_name(draw(st.lists(domains(server))))
    options = Options(prune=draw(st.booleans()), limits=NO_LIMITS)
    return Declaration(stack, None, declared, declared_domains), Registered(existing, known), server, options


def planned(situation: tuple[Declaration, Registered, Capabilities, Options]) -> Plan | None:
    try:
        return make(*situation)
    except Conflicts:
        return None


@given(situations())
def test_nothing_is_left_to_do_after_a_plan(situation: Any) -> None:
    declaration, registered, server, options = situation
    plan = planned(situation)
    if plan is None:
        return
    again = make(declaration, applied(registered, plan), server, options)
    assert again.changes == ()
    assert again.unchanged == len(declaration.hosts) + len(declaration.domains)


@given(situations())
def test_order_of_input_says_nothing(situation: Any) -> None:
    declaration, registered, server, options = situation
    turned = replace(
        declaration,
        hosts=dict(reversed(declaration.hosts.items())),
        domains=dict(reversed(declaration.domains.items())),
    )
    upside_down = Registered(dict(reversed(registered.hosts.items())), dict(reversed(registered.domains.items())))
    assert planned(situation) == planned((turned, upside_down, server, options))


@given(situations())
def test_nobody_elses_things_are_touched(situation: Any) -> None:
    declaration, registered, _server, options = situation
    plan = planned(situation)
    if plan is None or declaration.stack is None:
        return
    for change in plan.changes:
        things = registered.hosts if change.kind == "host" else registered.domains
        specs = declaration.hosts if change.kind == "host" else declaration.domains
        thing = things.get(change.source or change.name)
        if thing is not None and thing.stack != declaration.stack:
            assert specs[change.name].adopt
            assert change.after["stack"] == declaration.stack
        if change.action is Action.DELETE:
            assert options.prune
            assert change.name not in specs


@given(situations(former=False))
def test_somebody_elses_host_is_a_conflict(situation: Any) -> None:
    declaration, registered, _server, _options = situation
    stack = declaration.stack
    foreign = [
        name
        for things, specs in ((registered.hosts, declaration.hosts), (registered.domains, declaration.domains))
        for name in specs.keys() & things.keys()
        if stack is not None and things[name].stack != stack and not specs[name].adopt
    ]
    if not foreign:
        make(*situation)
        return
    with pytest.raises(Conflicts) as raised:
        make(*situation)
    assert len(raised.value.problems) == len(foreign)
    assert all(any(name in problem.text for problem in raised.value.problems) for name in foreign)


@given(situations())
def test_dynamic_addresses_and_kept_fields_stay(situation: Any) -> None:
    declaration, registered, server, _options = situation
    plan = planned(situation)
    if plan is None:
        return
    after = applied(registered, plan)
    for name, spec in declaration.hosts.items():
        moves = (change.source for change in plan.changes if change.name == name and change.source)
        old = registered.hosts.get(next(moves, name))
        for field in ("ipv4", "ipv6", "wildcard", "comment", "ttl", "labels"):
            value, now = getattr(spec, field), getattr(after.hosts[name], field)
            if value in (KEEP, DYNAMIC) and old is not None and getattr(old, field) is not UNKNOWN:
                assert now == getattr(old, field)
            elif value not in (KEEP, DYNAMIC) and now is not UNKNOWN:
                assert now == value
    assert server is FULL or not any(change.kind == "domain" for change in plan.changes)


@given(situations())
def test_saved_and_read_again_it_is_the_same(situation: Any) -> None:
    plan = planned(situation)
    if plan is not None:
        assert saved.from_dict(json.loads(json.dumps(saved.to_dict(plan, made="2024-01-01T00:00:00Z")))) == plan


@given(situations())
def test_every_rendering_names_every_change(situation: Any) -> None:
    plan = planned(situation)
    if plan is None:
        return
    json.dumps(plan_table.as_dict(plan))
    difference = plan_table.diff(plan, "https://ddns.example.org")
    for change in plan.changes:
        assert change.name in plan_table.text(plan)
        assert change.name in plan_table.markdown(plan, "https://ddns.example.org")
        assert change.name in difference["before"] + difference["after"]
    assert (difference["before"] == difference["after"]) == (not plan.changes)
