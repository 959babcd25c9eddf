# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans that change the stack itself: its name, its protection, and what it gives to other stacks."""

from dataclasses import replace
from typing import Any

import pytest

from ddnsctl.sync import plan_table, saved
from ddnsctl.sync.errors import NotSupported, Unsafe
from ddnsctl.sync.model import Capabilities, Declaration, Domain, Host, HostSpec, Registered, RegisteredStack
from ddnsctl.sync.plan import Action, Change, Options, Plan, make
from ddnsctl.sync.policy import Limits
from ddnsctl.sync.stack_changes import after_rename, before_rename

DOMAIN = "dyn.example.org"
A, B = f"a.{DOMAIN}", f"b.{DOMAIN}"
SPEC = HostSpec(A, "192.0.2.1", None, False, None, None, {})
HOST = Host(A, DOMAIN, "192.0.2.1", stack="web", dns="current")
LAB = Domain("lab.example.org", stack="web")
NO_LIMITS = Limits(None, None)


def planned(
    declaration: Declaration, *hosts: Host, domains: tuple[Domain, ...] = (), stacks: Any = None, **options: Any
) -> Plan:
    found = Registered({h.fqdn: h for h in hosts}, {d.name: d for d in domains}, "me", stacks=stacks or {})
    return make(declaration, found, Capabilities("ddnsd"), Options(**{"limits": NO_LIMITS, **options}))


def declared(*specs: HostSpec, **options: Any) -> Declaration:
    return Declaration("web-prod", hosts={spec.fqdn: spec for spec in specs}, **options)


def test_a_new_name_is_one_change() -> None:
    lab = replace(LAB, stack="web")
    declaration = declared(SPEC, moved_from="web", protect=True)
    made = planned(declaration, HOST, replace(HOST, fqdn=B), domains=(lab,), stacks={"web": RegisteredStack()})
    before, after = {"protect": False, "hosts": 2}, {"protect": True}
    assert made.changes == (Change(Action.MOVE, "stack", "web-prod", before, after, "web"),)
    assert "2 of stack web-prod are registered but not declared: b.dyn.example.org, lab.example.org" in str(made.notes)
    assert plan_table.text(made).splitlines()[:3] == [
        "  > stack web → web-prod",
        "      (its 2 hosts keep everything else)",
        "      protect: false → true",
    ]
    assert plan_table.summary_line(made).endswith(" 0 to delete, 1 to move, 1 unchanged.")
    assert plan_table.diff(made, "https://x")["after"] == "stack web-prod:\n  protect: true\n"
    assert saved.from_dict(saved.to_dict(made)) == made


def test_the_rest_of_the_plan_is_for_the_new_name() -> None:
    made = planned(declared(replace(SPEC, ipv4="192.0.2.2"), moved_from="web"), HOST)
    rename, update = made.changes
    assert (rename.kind, update.action) == ("stack", Action.UPDATE)
    assert update.before == {"ipv4": "192.0.2.1", "stack": "web-prod"}
    assert before_rename(made.changes)[1].before == {"ipv4": "192.0.2.1", "stack": "web"}
    assert after_rename(made.changes, Registered({A: HOST})).hosts[A].stack == "web-prod"
    assert before_rename([update]) == [update]


def test_a_former_name_may_stay_in_the_declaration() -> None:
    assert planned(declared(SPEC, moved_from="web"), replace(HOST, stack="web-prod")).changes == ()


def test_two_stacks_with_hosts_do_not_become_one() -> None:
    made = planned(declared(SPEC, moved_from="web"), replace(HOST, stack="web-prod"), replace(HOST, fqdn=B))
    assert made.changes == ()
    assert "the stack web is not renamed, because both web and web-prod have hosts" in str(made.notes[0])


def test_stacks_of_other_users_are_not_renamed() -> None:
    others = replace(HOST, fqdn=B, own=False, owner="bob")
    assert [change.kind for change in planned(declared(SPEC, moved_from="web"), others).changes] == ["host"]


def test_a_part_of_a_plan_does_not_change_the_stack() -> None:
    host = replace(HOST, stack="web-prod")
    assert planned(declared(SPEC, moved_from="web", protect=True), host, only=("a",)).changes == ()


def test_rules_are_set_in_full_and_kept_if_they_are_not_declared() -> None:
    host = replace(HOST, stack="web-prod")
    stacks = {"web-prod": RegisteredStack(True, {B: "db"})}
    assert planned(declared(SPEC), host, stacks=stacks).changes == ()
    assert planned(declared(SPEC, protect=True, gives={B: "db"}), host, stacks=stacks).changes == ()
    (change,) = planned(declared(SPEC, protect=False, gives={}), host, stacks=stacks).changes
    assert (change.before, change.after) == ({"protect": True, "gives": {B: "db"}}, {"protect": False, "gives": {}})
    made = planned(declared(SPEC, gives={}), host, stacks=stacks)
    assert "gives: {b.dyn.example.org: db} → {}" in plan_table.text(made)


def test_given_hosts_are_not_pruned() -> None:
    hosts = [replace(HOST, stack="web-prod"), replace(HOST, fqdn=B, stack="web-prod")]
    stacks = {"web-prod": RegisteredStack(gives={B: "db"})}
    made = planned(declared(SPEC, gives={B: "db"}), *hosts, stacks=stacks, prune=True)
    assert (made.changes, made.notes) == ((), ())


@pytest.mark.parametrize("option", ["prune", "destroy"])
def test_a_protection_ends_in_a_plan_of_its_own(option: str) -> None:
    options: dict[str, Any] = {option: True}
    hosts = [replace(HOST, stack="web-prod"), replace(HOST, fqdn=B, stack="web-prod")]
    stacks = {"web-prod": RegisteredStack(protect=True)}
    with pytest.raises(Unsafe, match=r"web-prod is protected, so .*: .*b\.dyn\.example\.org.*apply `protect") as raised:
        planned(declared(SPEC, protect=False), *hosts, stacks=stacks, **options)
    assert raised.value.plan.refusals
    protected = [hosts[0], replace(hosts[1], protect=True)]
    with pytest.raises(Unsafe, match=r"protected hosts cannot be deleted or replaced: b\.dyn\.example\.org\."):
        planned(declared(SPEC), *protected, **options)


def test_a_server_without_stacks_cannot_store_rules() -> None:
    with pytest.raises(NotSupported, match="cannot store `moved_from` and `protect` of a stack"):
        make(
            declared(SPEC, moved_from="web", protect=True),
            Registered({}, {}, "me"),
            Capabilities("EGI", stacks=False),
            Options(),
        )
