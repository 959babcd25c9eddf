# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes hold, their order, and what a plan says beside them."""

from dataclasses import replace

import pytest

from ddnsctl.sync import plan_table
from ddnsctl.sync.errors import Conflicts, DeclarationError, Location, NotSupported, Problem, Unsafe
from ddnsctl.sync.model import (
    DYNAMIC,
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
from ddnsctl.sync.plan import Action, Change, Drift, Options, Plan, make
from ddnsctl.sync.policy import Limits

DOMAIN = "dyn.example.org"
FULL = Capabilities("ddnsd")
EGI = Capabilities(
    "EGI",
    fields=frozenset({"ipv4", "ipv6", "wildcard", "comment", "stack"}),
    edits=frozenset({"ipv4", "ipv6"}),
    clears=False,
    domains=False,
)
WHERE = Location("hosts.yml", 7, 3)
SECRET = SecretSpec("file", "secrets/a")


def spec(label: str, ipv4: str | None = "192.0.2.1", comment: str | None = None) -> HostSpec:
    return HostSpec(f"{label}.{DOMAIN}", ipv4, None, False, comment, None, {}, SECRET, where=WHERE)


def host(label: str, ipv4: str | None = "192.0.2.1", stack: str | None = "web") -> Host:
    return Host(f"{label}.{DOMAIN}", DOMAIN, ipv4, stack=stack)


def plan(
    specs: list[HostSpec],
    hosts: list[Host],
    server: Capabilities = FULL,
    *,
    domains: tuple[DomainSpec, ...] = (),
    known: tuple[Domain, ...] = (),
    stack: str | None = "web",
    prune: bool = False,
    destroy: bool = False,
    rotate: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
) -> Plan:
    declared = Declaration(stack, None, {s.fqdn: s for s in specs}, {s.name: s for s in domains}, WHERE)
    registered = Registered({h.fqdn: h for h in hosts}, {d.name: d for d in known})
    options = Options(prune=prune, destroy=destroy, rotate=rotate, limits=Limits(None, None), only=names)
    return make(declared, registered, server, options)


def only(made: Plan) -> Change:
    (change,) = made.changes
    return change


def test_a_creation_names_what_the_host_gets() -> None:
    full = replace(spec("a", comment="A"), ipv6="2001:db8::1", wildcard=True, ttl=300, labels={"a": "b"})
    after = {"ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "wildcard": True, "comment": "A", "ttl": 300}
    whole = {**after, "labels": {"a": "b"}, "stack": "web"}
    assert only(plan([full], [])) == Change(Action.CREATE, "host", full.fqdn, {}, whole, secret=SECRET)
    assert only(plan([spec("a")], [], stack=None)).after == {"ipv4": "192.0.2.1"}


def test_an_update_rests_on_what_it_changes_and_on_the_stack() -> None:
    change = only(plan([spec("a", "192.0.2.2")], [host("a")]))
    assert change == Change(
        Action.UPDATE, "host", f"a.{DOMAIN}", {"ipv4": "192.0.2.1", "stack": "web"}, {"ipv4": "192.0.2.2"}
    )
    assert only(plan([spec("a", "192.0.2.2")], [host("a")], stack=None)).before == {"ipv4": "192.0.2.1"}


def test_an_adoption_rests_on_the_former_stack() -> None:
    change = only(plan([replace(spec("a"), adopt=True)], [host("a", stack="db")]))
    assert (change.action, change.before, change.after) == (Action.ADOPT, {"stack": "db"}, {"stack": "web"})


def test_a_replacement_carries_everything() -> None:
    change = only(plan([replace(spec("a", comment="new"), ipv4=DYNAMIC)], [host("a")], EGI))
    before = {"ipv4": "192.0.2.1", "ipv6": None, "wildcard": False, "comment": None, "stack": "web"}
    assert change == Change(
        Action.REPLACE,
        "host",
        f"a.{DOMAIN}",
        before,
        {**before, "comment": "new"},
        secret=SECRET,
        reason="EGI cannot change comment of a registered host",
    )


def test_reasons_of_replacements() -> None:
    both = replace(spec("a", comment="new"), wildcard=True)
    assert only(plan([both], [host("a")], EGI)).reason == "EGI cannot change wildcard and comment of a registered host"
    assert only(plan([spec("a", None)], [host("a")], EGI)).reason == "EGI cannot remove ipv4 of a registered host"


def test_an_address_that_nobody_knows_is_no_precondition() -> None:
    unknown = replace(host("a"), ipv4=UNKNOWN)
    made = plan([spec("a")], [unknown])
    assert (only(made).before, only(made).after) == ({"stack": "web"}, {"ipv4": "192.0.2.1"})
    assert made.drift == (Drift("unknown", f"a.{DOMAIN}", "the server did not report the ipv4 address"),)
    change = only(plan([replace(spec("a", comment="new"), ipv4=DYNAMIC)], [unknown], EGI))
    assert "ipv4" not in change.before
    assert "ipv4" not in change.after


def test_moves() -> None:
    moved = replace(spec("new", comment="new"), moved_from=f"old.{DOMAIN}")
    change = only(plan([moved], [host("old")]))
    before = {"comment": None, "stack": "web"}
    assert change == Change(Action.MOVE, "host", moved.fqdn, before, {"comment": "new"}, f"old.{DOMAIN}")
    anew = only(plan([moved], [host("old")], EGI))
    assert (anew.reason, anew.secret, anew.source) == ("EGI cannot rename a registered host", SECRET, f"old.{DOMAIN}")
    assert anew.after == {"ipv4": "192.0.2.1", "ipv6": None, "wildcard": False, "comment": "new", "stack": "web"}
    half = replace(FULL, edits=frozenset({"fqdn", "ipv4"}))
    assert only(plan([moved], [host("old")], half)).reason == "ddnsd cannot change comment of a registered host"


def test_a_former_name_moves_once() -> None:
    twice = [replace(spec(label), moved_from=f"old.{DOMAIN}") for label in ("b", "a")]
    made = plan(twice, [host("old")])
    assert [(change.action, change.name) for change in made.changes] == [
        (Action.MOVE, f"a.{DOMAIN}"),
        (Action.CREATE, f"b.{DOMAIN}"),
    ]
    declared_too = plan([replace(spec("a"), moved_from=f"old.{DOMAIN}"), spec("old")], [host("old")])
    assert only(declared_too).action is Action.CREATE


def test_a_deletion_rests_on_everything() -> None:
    change = only(plan([], [host("a")], prune=True))
    assert change.after == {}
    assert change.before == {
        "ipv4": "192.0.2.1",
        "ipv6": None,
        "alias": None,
        "wildcard": False,
        "comment": None,
        "ttl": None,
        "labels": {},
        "protect": False,
        "ptr": False,
        "stack": "web",
    }


def test_the_order_of_changes() -> None:
    domains = DomainSpec("z.example.org", True), DomainSpec("y.example.org", True)
    made = plan(
        [
            spec("c"),
            spec("a", "192.0.2.9"),
            replace(spec("b"), adopt=True),
            replace(spec("x"), moved_from=f"old.{DOMAIN}"),
            spec("w", comment="new"),
        ],
        [host("a"), host("b", stack=None), host("old"), host("w"), host("y")],
        replace(FULL, edits=FULL.edits - {"comment"}),
        domains=domains,
        known=(Domain("y.example.org", stack="web"), Domain("a.example.org", stack="web"), Domain(DOMAIN)),
        prune=True,
        rotate=(f"a.{DOMAIN}",),
    )
    # each step's names sort before those of the step above it, so that the step alone decides
    assert [(change.action.value, change.name.partition(".")[0]) for change in made.changes] == [
        ("update", "y"),
        ("create", "z"),
        ("delete", "y"),
        ("move", "x"),
        ("replace", "w"),
        ("create", "c"),
        ("update", "a"),
        ("rotate", "a"),
        ("adopt", "b"),
        ("delete", "a"),
    ]
    assert made.unchanged == 0
    assert (made.server, made.stack) == ("ddnsd", "web")


def test_conflicts_are_reported_at_once() -> None:
    domains = (DomainSpec(DOMAIN, where=WHERE),)
    moved = replace(spec("new"), moved_from=f"old.{DOMAIN}")
    hosts = [host("a", stack="db"), host("b", stack=None), host("old", stack="db")]
    with pytest.raises(Conflicts) as raised:
        plan([spec("b"), spec("a"), moved], hosts, domains=domains, known=(Domain(DOMAIN),))
    hint = "adopt it with `adopt: true`"
    of_db = f"{hint}, and with `gives` of the stack db"
    assert list(raised.value.problems) == [
        Problem(f"{DOMAIN} is already registered and belongs to no stack", WHERE, hint),
        Problem(f"a.{DOMAIN} is already registered and belongs to stack db", WHERE, of_db),
        Problem(f"b.{DOMAIN} is already registered and belongs to no stack", WHERE, hint),
        Problem(f"the former name old.{DOMAIN} is already registered and belongs to stack db", WHERE, of_db),
    ]


def test_what_a_server_cannot_keep_is_reported_at_once() -> None:
    bad = replace(spec("a"), ttl=300, labels={"a": "b"})
    with pytest.raises(NotSupported) as raised:
        plan([bad, spec("b")], [], EGI, domains=(DomainSpec(DOMAIN, where=WHERE),))
    assert list(raised.value.problems) == [
        Problem(f"a.{DOMAIN}: EGI cannot store ttl and labels", WHERE, "remove `ttl`, `labels`"),
        Problem(f"{DOMAIN}: EGI cannot create or change domains", WHERE, "remove it from `domains`"),
    ]
    with pytest.raises(NotSupported, match="EGI cannot store a stack"):
        plan([], [], replace(EGI, fields=frozenset({"ipv4"})))


def test_drift_of_dns() -> None:
    hosts = [replace(host("a"), dns="pending"), replace(host("b"), dns="conflict", conflict="owned by DHCP")]
    made = plan([spec("a"), spec("b")], hosts)
    assert made.drift == (
        Drift("dns", f"a.{DOMAIN}", "not in DNS yet"),
        Drift("dns", f"b.{DOMAIN}", "owned by DHCP"),
    )
    assert made.unchanged == 2


def test_undeclared_hosts_are_counted_and_named() -> None:
    made = plan([spec("a")], [host("a"), *(host(f"x{i}") for i in range(7)), host("foreign", stack="db")])
    named = ", ".join(f"x{i}.{DOMAIN}" for i in range(5))
    text = f"7 of stack web are registered but not declared: {named} and 2 more"
    assert made.notes == (Problem(text, WHERE, "delete them with `--prune`"),)


def test_a_scope_that_shrank_is_noticed_with_and_without_pruning() -> None:
    lab = Host("x.lab.example.org", "lab.example.org", stack="web")
    for prune in (False, True):
        notes = plan([spec("a")], [host("a"), host("b"), lab], prune=prune).notes
        assert notes[0].text == "no host in lab.example.org is declared, but stack web has 1 there"
        assert len(notes) == (1 if prune else 2)


def test_a_new_host_in_no_domain_is_noticed() -> None:
    stray = HostSpec("a.elsewhere.org", "192.0.2.1", where=WHERE)
    made = plan([stray], [], known=(Domain(DOMAIN),))
    text = "a.elsewhere.org is in no domain of the server"
    assert made.notes == (Problem(text, WHERE, f"its domains are {DOMAIN}"),)
    assert plan([stray], []).notes == ()
    assert plan([stray], [], known=(Domain(DOMAIN),), domains=(DomainSpec("elsewhere.org"),)).notes == ()


def test_a_domain_in_use_is_kept() -> None:
    moved = HostSpec("new.sub.lab.example.org", moved_from="old.lab.example.org")
    known = tuple(Domain(name, stack="web") for name in ("lab.example.org", "sub.lab.example.org"))
    old = Host("old.lab.example.org", "lab.example.org", stack="web")
    made = plan([moved], [old], known=known, prune=True)
    assert [(change.action, change.name) for change in made.changes] == [
        (Action.MOVE, moved.fqdn),
        (Action.DELETE, "lab.example.org"),
    ]
    assert made.notes[-1].text == f"domain sub.lab.example.org is kept, because it has hosts such as {moved.fqdn}"
    stray = plan([HostSpec("a.elsewhere.org")], [old], known=known, prune=True)
    assert [change.name for change in stray.changes if change.kind == "domain"] == [d.name for d in known]


def test_a_former_name_beside_the_new_one_is_noticed_until_it_is_pruned() -> None:
    moved = replace(spec("new"), moved_from=f"old.{DOMAIN}")
    text = f"new.{DOMAIN} and its former name old.{DOMAIN} are both registered"
    for stack, stays in (("web", True), (None, True), ("db", False)):
        hosts = [host("new", stack=stack), host("old", stack="web")]
        assert (text in [note.text for note in plan([moved], hosts, stack=stack).notes]) is stays
    both = [host("new"), host("old")]
    assert plan([moved], both, prune=True).notes == ()
    assert [note.text for note in plan([moved], both, stack=None, prune=True).notes] == [
        text,
        "nothing is pruned, because the declaration names no stack",
    ]


def test_nothing_is_deleted_unless_it_is_asked_for() -> None:
    assert Options() == Options(prune=False, destroy=False, rotate=(), limits=Limits(percent=30, count=100))
    assert Plan() == Plan((), (), (), 0, "", None)


def test_a_plan_that_changes_too_many_hosts_is_refused() -> None:
    hosts = [host(f"h{number}") for number in range(6)]
    specs = [spec(f"h{number}", "192.0.2.9") for number in range(3)] + [spec("new")]
    specs += [spec(f"h{number}") for number in range(3, 6)]
    declared = Declaration("web", None, {s.fqdn: s for s in specs}, where=WHERE, max_changes=Limits.parse("49%"))
    registered = Registered({h.fqdn: h for h in hosts})
    with pytest.raises(Unsafe) as raised:
        make(declared, registered, FULL, Options())
    assert str(raised.value) == (
        f"3 of 6 registered hosts would be changed; the limit allows 2: h0.{DOMAIN}, h1.{DOMAIN}, h2.{DOMAIN}. "
        "If this is intended, use `--max-changes 3` (`max_changes` in Ansible), or raise `max_changes` of the stack"
    )
    assert len(raised.value.plan.changes) == 4
    for limit in ("3", "50%", "all"):
        assert len(make(declared, registered, FULL, Options(max_changes=Limits.parse(limit))).changes) == 4
        assert len(make(replace(declared, max_changes=Limits.parse(limit)), registered, FULL, Options()).changes) == 4
    one = replace(declared, hosts={specs[0].fqdn: specs[0]}, max_changes=Limits.parse("1%"))
    assert len(make(one, registered, FULL, Options()).changes) == 1
    with pytest.raises(Unsafe):
        make(replace(one, max_changes=Limits.parse("0%")), registered, FULL, Options())


def test_a_plan_of_some_names_touches_no_others() -> None:
    specs = [spec("web-1", "192.0.2.9"), spec("db", "192.0.2.9"), replace(spec("new"), moved_from=f"web-old.{DOMAIN}")]
    hosts = [host("web-1"), host("db"), host("web-2"), host("db-2"), host("web-old"), host("web-3", stack="other")]
    made = plan(specs, hosts, prune=True, names=("WEB-*",))
    assert [(c.action, c.name) for c in made.changes] == [
        (Action.DELETE, f"web-2.{DOMAIN}"),
        (Action.UPDATE, f"web-1.{DOMAIN}"),
    ]
    assert "only names that match WEB-* are in this plan; 2 other declared hosts are not" in str(made.notes[0])
    assert [c.name for c in plan(specs, hosts, names=(f"db.{DOMAIN}", "new")).changes] == [
        f"new.{DOMAIN}",
        f"db.{DOMAIN}",
    ]
    assert plan(specs, hosts, names=("db-2",)).changes == ()


def test_a_name_that_matches_nothing_is_misspelt() -> None:
    with pytest.raises(DeclarationError) as raised:
        plan([spec("web-1")], [host("web-2", stack="other")], names=("web-1", "web-2", "wbe-*"))
    assert [problem.text for problem in raised.value.problems] == [
        "no host or domain matches web-2",
        "no host or domain matches wbe-*",
    ]


def test_rotations() -> None:
    moved = replace(spec("new"), moved_from=f"old.{DOMAIN}")
    made = plan([moved, spec("a")], [host("old"), host("a")], rotate=(moved.fqdn, f"a.{DOMAIN}", moved.fqdn))
    assert [(c.action, c.name, c.secret) for c in made.changes] == [
        (Action.MOVE, moved.fqdn, None),
        (Action.ROTATE, f"a.{DOMAIN}", SECRET),
        (Action.ROTATE, moved.fqdn, SECRET),
    ]
    assert made.changes[1].before == {"stack": "web"}
    assert made.unchanged == 0
    assert only(plan([moved], [host("old")], EGI, rotate=(moved.fqdn,))).action is Action.MOVE


def test_what_cannot_be_rotated() -> None:
    rotate = (f"old.{DOMAIN}", f"typo.{DOMAIN}", f"gone.{DOMAIN}")
    moved = replace(spec("new"), moved_from=f"old.{DOMAIN}")
    with pytest.raises(DeclarationError) as raised:
        plan([moved], [host("old"), host("gone")], rotate=rotate, prune=True)
    assert [str(problem) for problem in raised.value.problems] == [
        f"{name} cannot get a new secret: it is not registered (check the name)" for name in sorted(rotate)
    ]


def test_a_foreign_host_is_rotated_with_its_adoption_and_is_one_conflict_without() -> None:
    foreign = host("a", stack="db")
    made = plan([replace(spec("a"), adopt=True)], [foreign], rotate=(foreign.fqdn,))
    assert [change.action for change in made.changes] == [Action.ADOPT, Action.ROTATE]
    assert made.changes[1].before == {"stack": "web"}  # as it is once the first one is done
    with pytest.raises(Conflicts) as raised:
        plan([spec("a")], [foreign], rotate=(foreign.fqdn,))
    assert len(raised.value.problems) == 1


def test_destroying() -> None:
    known = Domain(DOMAIN, stack="web"), Domain("lab.example.org", stack="web")
    made = plan([spec("a"), spec("f")], [host("a"), host("b"), host("f", stack="db")], known=known, destroy=True)
    assert [change.name for change in made.changes] == [f"a.{DOMAIN}", f"b.{DOMAIN}", "lab.example.org"]
    assert made.unchanged == 0
    assert [note.text for note in made.notes] == [
        f"not deleted, because they do not belong to stack web: f.{DOMAIN}",
        f"domain {DOMAIN} is kept, because it has hosts such as f.{DOMAIN}",
    ]


def test_new_domains_name_what_they_get() -> None:
    switched_off = DomainSpec("a.example.org", True, "A", 300, "vo", False)
    after = {"public": True, "comment": "A", "ttl": 300, "group": "vo", "stack": "web", "available": False}
    assert only(plan([], [], domains=(switched_off,))).after == after


def test_a_domain_is_switched_off_and_on() -> None:
    known = Domain(DOMAIN, stack="web")
    off = only(plan([], [], domains=(DomainSpec(DOMAIN, available=False),), known=(known,)))
    assert (off.before, off.after) == ({"available": True, "stack": "web"}, {"available": False})
    on = only(plan([], [], domains=(DomainSpec(DOMAIN, available=True),), known=(replace(known, available=False),)))
    assert on.after == {"available": True}


def test_updates_by_dns_are_switched_off_and_on() -> None:
    known = Domain(DOMAIN, stack="web")
    new = only(plan([], [], domains=(DomainSpec("a.example.org", dns_updates=False),)))
    assert new.after["dns_updates"] is False
    off = only(plan([], [], domains=(DomainSpec(DOMAIN, dns_updates=False),), known=(known,)))
    assert (off.before, off.after) == ({"dns_updates": True, "stack": "web"}, {"dns_updates": False})
    on = only(plan([], [], domains=(DomainSpec(DOMAIN, dns_updates=True),), known=(replace(known, dns_updates=False),)))
    assert on.after == {"dns_updates": True}


def test_an_adopted_domain() -> None:
    change = only(plan([], [], domains=(DomainSpec(DOMAIN, adopt=True),), known=(Domain(DOMAIN),)))
    assert (change.action, change.kind, change.before) == (Action.ADOPT, "domain", {"stack": None})
    nobodys = plan([], [], domains=(DomainSpec(DOMAIN, comment="A"),), known=(Domain(DOMAIN),), stack=None)
    assert (only(nobodys).before, only(nobodys).after) == ({"comment": None}, {"comment": "A"})


def test_a_server_that_gives_its_caller_s_address_to_new_hosts() -> None:
    declared = Declaration(
        None,
        hosts={
            "a.example.org": HostSpec("a.example.org"),
            "b.example.org": HostSpec("b.example.org", ipv4="192.0.2.1"),
            "c.example.org": HostSpec("c.example.org", ipv4=DYNAMIC, ipv6=DYNAMIC),
        },
    )
    plan = make(declared, Registered(), Capabilities("EGI", own_address=True), Options())
    (note,) = plan.notes
    assert note.text == (
        "EGI registers these hosts with the address of this machine, because they have no address: "
        "a.example.org, c.example.org"
    )
    assert make(declared, Registered(), Capabilities("ddnsd"), Options()).notes == ()


ALIAS = HostSpec(
    f"a.{DOMAIN}",
    None,
    None,
    False,
    alias="front.example.net.",
    records={},
    related={},
    labels={},
    comment=None,
    ttl=None,
)


def test_a_host_becomes_an_alias_with_its_records_removed() -> None:
    mx = {"ttl": None, "values": ["10 a.b."]}
    old = replace(host("a"), records={"@ MX": mx}, related={"nas": "::7"}, wildcard=True)
    change = only(plan([ALIAS], [old]))
    assert change.after == {
        "ipv4": None,
        "alias": "front.example.net.",
        "wildcard": False,
        "records": {"@ MX": None},
        "related": {"nas": None},
    }
    assert change.before == {
        "ipv4": "192.0.2.1",
        "alias": None,
        "wildcard": True,
        "records": {"@ MX": mx},
        "related": {"nas": "::7"},
        "stack": "web",
    }
    (line,) = plan_table.lines(plan([ALIAS], [old]))
    assert line.details == (
        "ipv4: 192.0.2.1 → none",
        "alias: none → front.example.net.",
        "wildcard: true → false",
        "- MX @: 10 a.b.",
        "- related nas: ::7",
    )


def test_a_host_is_renamed_before_it_becomes_an_alias() -> None:
    old = replace(host("old"), related={"nas": "::7"})
    moved, after = plan([replace(ALIAS, moved_from=f"old.{DOMAIN}")], [old]).changes
    assert (moved.action, moved.after) == (Action.MOVE, {})
    assert (after.action, after.after["alias"], after.after["related"]) == (
        Action.UPDATE,
        "front.example.net.",
        {"nas": None},
    )


def test_several_addresses_are_shown_and_compared() -> None:
    several = replace(spec("a"), ipv4=["192.0.2.1", "192.0.2.2"])
    registered = replace(host("a"), ipv4=["192.0.2.1", "192.0.2.2"])
    assert plan([several], [registered]).changes == ()
    (line,) = plan_table.lines(plan([several], [host("a")]))
    assert "ipv4: 192.0.2.1 → [192.0.2.1, 192.0.2.2]" in line.details
    (line,) = plan_table.lines(plan([several], []))
    assert "ipv4: [192.0.2.1, 192.0.2.2]" in line.details


def test_a_server_that_cannot_store_aliases_and_lists() -> None:
    wanted = [ALIAS, replace(spec("b"), ipv4=["192.0.2.1", "192.0.2.2"]), replace(spec("c"), related={"nas": "::7"})]
    with pytest.raises(NotSupported) as raised:
        plan(wanted, [], replace(EGI, several=False), stack=None)
    assert [problem.text for problem in raised.value.problems] == [
        f"a.{DOMAIN}: EGI cannot store alias",
        f"c.{DOMAIN}: EGI cannot store related",
        f"b.{DOMAIN}: EGI cannot store several addresses of a family",
    ]
