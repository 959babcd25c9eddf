# SPDX-License-Identifier: GPL-3.0-or-later
"""Many changes judged in order, without a store and without a name server."""

from typing import Any

import pytest

from ddnsd.db.rows import Domain, Host, Related
from ddnsd.dns.conflicts import UNMANAGED
from ddnsd.registry.errors import (
    Blocked,
    Code,
    Differs,
    Invalid,
    NoHost,
    NotPublished,
    OtherFailed,
    OverQuota,
    Reason,
    Stale,
    Taken,
)
from ddnsd.registry.policy import Policy
from ddnsd.registry.quotas import HostRoom
from ddnsd.registry.validation import (
    BLANK,
    Change,
    ChangeValidator,
    NameTaken,
    Result,
    Snapshot,
    Status,
    Verb,
)

ZONE, OTHER_ZONE = "dyn.example.org", "lab.example.org"
ME, SOMEBODY = 1, 2


def domain(number: int, name: str, **values: Any) -> Domain:
    fields: dict[str, Any] = dict.fromkeys(Domain._fields)
    return Domain(**fields | {"id": number, "name": name, "available": True, "private_addresses": True} | values)


def host(number: int, label: str, zone: str = ZONE, **values: Any) -> Host:
    snapshot = {"id": number, "fqdn": f"{label}.{zone}", "name": label, "domain": zone, "owner_id": ME, "claimed": True}
    return BLANK._replace(**{"domain_id": 1 if zone == ZONE else 2, **snapshot, **values})


class Permissions:
    """The user ME may all with their own hosts, and register in every domain but `closed`."""

    user_id = ME
    oversight = False

    def may(self, verb: Verb, host: Host) -> bool:
        return host.owner_id == ME

    def acts_for_domain(self, host: Host) -> bool:
        return False

    def may_use(self, stack: str | None) -> bool:
        return True

    def may_take(self, host: Host, stack: str) -> bool:
        return False

    def may_change(self, domain: Domain) -> bool:
        return False

    def may_register(self, domain: Domain, fqdn: str, stack: str | None) -> bool:
        return not domain.name.startswith("closed")


DOMAINS = {d.name: d for d in (domain(1, ZONE), domain(2, OTHER_ZONE), domain(3, "closed.example.org"))}
SERVERS: dict[int, frozenset[str] | str] = {1: frozenset({f"ns.{ZONE}"}), 2: frozenset(), 3: frozenset()}


def validator(*hosts: Host, **snapshot: Any) -> ChangeValidator:
    facts: dict[str, Any] = {"domains": DOMAINS, "servers": SERVERS, "hosts": {h.fqdn: h for h in hosts}} | snapshot
    return ChangeValidator(
        Snapshot(**facts), Permissions(), Policy(), lambda n, _: (f"secret{n}", f"hash{n}".encode()), tls=True
    )


def create(label: str, **values: Any) -> Change:
    return Change(Verb.CREATE, f"{label}.{ZONE}", values)


def update(label: str, rename: str | None = None, expected: dict[str, Any] | None = None, **values: Any) -> Change:
    return Change(Verb.UPDATE, f"{label}.{ZONE}", values, f"{rename}.{ZONE}" if rename else None, expected or {})


def delete(label: str) -> Change:
    return Change(Verb.DELETE, f"{label}.{ZONE}")


def outcome(result: Result) -> str | type[Exception]:
    return type(result.error) if result.error else result.status.value


def validated(one: ChangeValidator, *changes: Change, atomic: bool = False) -> list[str | type[Exception]]:
    return [outcome(result) for result in one.validate(changes, atomic=atomic)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (create("new", ipv4="192.0.2.1"), "applied"),
        (create("a"), NameTaken),
        (create("nas.a"), NameTaken),
        (create("x.theirs"), Invalid),
        (create("x.a"), "applied"),
        (create("ns"), Invalid),
        (create("-"), Invalid),
        (Change(Verb.CREATE, ZONE), Invalid),
        (Change(Verb.CREATE, "x.closed.example.org"), Invalid),
        (Change(Verb.CREATE, "x.nowhere.example"), Invalid),
        (update("a", ipv4="192.0.2.2"), "applied"),
        (update("a", ipv4="192.0.2.1"), "unchanged"),
        (update("a", comment=None), "unchanged"),
        (update("a"), "unchanged"),
        (update("a", expected={"ipv4": "192.0.2.1", "labels": {}}, comment="x"), "applied"),
        (update("a", expected={"ipv4": None}, comment="x"), Differs),
        (update("a", rename="a"), "unchanged"),
        (update("a", rename="theirs"), NameTaken),
        (update("a", rename="x.theirs"), Invalid),
        (update("a", rename="ns"), Invalid),
        (update("theirs", comment="x"), NoHost),
        (update("unknown", comment="x"), NoHost),
        (update("blocked", comment="x"), Blocked),
        (update("a", owner="nobody"), Invalid),
        (delete("a"), "applied"),
        (delete("blocked"), Blocked),
        (delete("theirs"), NoHost),
        (Change(Verb.ROTATE, f"a.{ZONE}"), "applied"),
        (Change(Verb.ROTATE, f"theirs.{ZONE}"), NoHost),
        (Change(Verb.CREATE, f"x.{ZONE}", problem=Invalid(ttl=Reason(Code.NOT_PRINTABLE))), Invalid),
    ],
)
def test_one_change(change: Change, expected: str | type[Exception]) -> None:
    hosts = host(1, "a", ipv4="192.0.2.1"), host(2, "theirs", owner_id=SOMEBODY), host(3, "blocked", abuse_blocked=True)
    related = {1: [Related(1, 1, f"nas.a.{ZONE}", "::7")]}
    one = validator(*hosts, related=related, related_names={f"nas.a.{ZONE}"}, users={"me": ME})
    (result,) = one.validate([change], atomic=False)
    assert outcome(result) == expected
    changed = [row for row in one.rows if row.now is not row.before]
    assert len(changed) == (1 if expected == "applied" else 0)
    assert bool(one.events) is (expected == "applied")
    assert (result.secret is not None) is (expected == "applied" and change.verb in (Verb.CREATE, Verb.ROTATE))


def test_a_new_host() -> None:
    one = validator()
    values = {"ipv6": "2001:db8::7", "wildcard": True, "ttl": 300, "labels": {"b": "2", "a": "1"}, "stack": "s"}
    (result,) = one.validate([create("x.y", **values)], atomic=False)
    assert result.row is not None
    new = result.row.now
    assert new is not None
    assert (new.fqdn, new.name, new.domain_id, new.owner_id) == (f"x.y.{ZONE}", "x.y", 1, ME)
    assert (new.ipv4, new.ipv6, new.prefix, new.tls_ipv6) == (None, "2001:db8::7", "2001:db8::/64", True)
    assert (new.wildcard, new.ttl, new.labels, new.stack) == (True, 300, '{"a":"1","b":"2"}', "s")
    assert (result.secret, new.secret_hash) == ("secret0", b"hash0")


def test_a_guessed_address_is_remembered() -> None:
    (guessed, given) = validator().validate(
        [create("a", ipv4="192.0.2.1", inferred="ipv4"), create("b", ipv4="192.0.2.1")], atomic=False
    )
    assert [r.row.now.inferred for r in (guessed, given) if r.row and r.row.now] == ["ipv4", None]


@pytest.mark.parametrize(("length", "expected"), [(255, "applied"), (256, Invalid)])
def test_the_length_of_a_comment(length: int, expected: str | type[Exception]) -> None:
    one = validator(host(1, "a"))
    assert validated(one, update("a", comment="x" * length), create("b", comment="x" * length)) == [expected] * 2


def test_a_precondition_is_called_with_the_host() -> None:
    def expect(current: Host) -> None:
        if current.comment != "as shown":
            raise Stale

    changed = Change(Verb.UPDATE, f"a.{ZONE}", {"comment": "new"}, expect=expect)
    assert validated(validator(host(1, "a", comment="as shown")), changed) == ["applied"]
    assert validated(validator(host(1, "a")), changed) == [Stale]


def test_each_change_sees_the_ones_before_it() -> None:
    one = validator(host(1, "a"), host(2, "b"))
    changes = (
        create("a"),
        delete("a"),
        create("a", comment="new"),
        update("a", expected={"comment": "new"}, ttl=60),
        update("b", rename="c"),
        update("b", comment="gone"),
        create("b"),
        delete("c"),
        delete("c"),
    )
    assert validated(one, *changes) == [
        NameTaken,
        "applied",
        "applied",
        "applied",
        "applied",
        NoHost,
        "applied",
        "applied",
        NoHost,
    ]
    left = {(row.before.fqdn if row.before else None, row.now.fqdn if row.now else None) for row in one.rows}
    assert left == {
        (f"a.{ZONE}", None),
        (f"b.{ZONE}", None),
        (None, f"a.{ZONE}"),
        (None, f"b.{ZONE}"),
    }


def test_a_name_below_a_host_that_goes_in_the_same_call() -> None:
    theirs = host(1, "a", owner_id=SOMEBODY)
    assert validated(validator(theirs), create("x.a")) == [Invalid]
    assert validated(validator(host(1, "a")), delete("a"), create("x.a")) == ["applied", "applied"]


def test_atomic_changes_fail_together() -> None:
    one = validator(host(1, "a"))
    assert validated(one, create("x"), delete("a"), delete("unknown"), atomic=True) == [
        OtherFailed,
        OtherFailed,
        NoHost,
    ]
    assert (one.rows, one.events) == ([], [])
    assert validated(validator(host(1, "a")), create("x"), delete("a"), atomic=True) == ["applied", "applied"]


# ---- names that hosts take without a message's prerequisite


def test_names_to_ask_for() -> None:
    hosts = host(1, "a"), host(2, "b", wildcard=True)
    one = validator(*hosts)
    assert validated(one, update("a", wildcard=True), update("b", rename="c"), create("d", wildcard=True)) == [
        "applied",
        "applied",
        "applied",
    ]
    claims = {(1, f"{name}.{ZONE}") for name in ("*.a", "c", "*.c")}
    assert (one.claims, one.unasked) == (claims, True)
    two = validator(*hosts, asked={name for _, name in claims}, used={f"*.a.{ZONE}": UNMANAGED})
    assert validated(two, update("a", wildcard=True), update("b", rename="c")) == [Taken, "applied"]
    assert not two.unasked


def test_names_that_we_leave_need_not_be_asked_for() -> None:
    one = validator(host(1, "a", wildcard=True), host(2, "b"), names_in_removal={f"c.{ZONE}"})
    changes = delete("a"), update("b", rename="a", wildcard=True), update("a", rename="c", wildcard=False)
    assert validated(one, *changes) == ["applied"] * 3
    assert (one.claims, one.unasked) == (set(), False)
    unclaimed = validator(host(1, "a", claimed=False), host(2, "b"))
    assert validated(unclaimed, delete("a"), update("b", rename="a")) == ["applied"] * 2
    assert unclaimed.claims == {(1, f"a.{ZONE}")}


def test_a_rename_over_quota_changes_nothing_for_later_ones() -> None:
    """The name `x` stays free for a host that is counted there already."""
    x, hosts = f"x.{OTHER_ZONE}", (host(1, "a"), host(2, "x", OTHER_ZONE), host(3, "c", OTHER_ZONE))
    changes = (
        Change(Verb.DELETE, x),
        Change(Verb.UPDATE, f"a.{ZONE}", rename=x),
        Change(Verb.UPDATE, f"a.{ZONE}", rename=f"y.{OTHER_ZONE}"),
        Change(Verb.UPDATE, f"c.{OTHER_ZONE}", rename=x),
        create("b"),
    )
    one = validator(*hosts, rooms={2: HostRoom(2, 1, 2)}, used={x: UNMANAGED})
    assert validated(one, *changes) == ["applied", OverQuota, OverQuota, "applied", "applied"]
    assert (one.claims, one.unasked) == (set(), False)


def test_a_rename_to_a_used_name_takes_no_room() -> None:
    used = f"x.{OTHER_ZONE}"
    one = validator(host(1, "a"), host(2, "b"), rooms={2: HostRoom(2, 1, 0)}, asked={used}, used={used: UNMANAGED})
    renames = [Change(Verb.UPDATE, f"{a}.{ZONE}", rename=f"{b}.{OTHER_ZONE}") for a, b in ("ax", "by")]
    assert validated(one, *renames) == [Taken, "applied"]


def test_a_silent_name_server_fails_what_depends_on_it() -> None:
    one = validator(host(1, "a"), servers=SERVERS | {1: "no answer"}, silent={1: "no answer"})
    changes = create("x"), update("a", rename="x"), update("a", wildcard=True), update("a", ipv4="192.0.2.1")
    assert validated(one, *changes) == [NotPublished, NotPublished, NotPublished, "applied"]


def test_what_has_to_follow() -> None:
    one = validator(host(1, "a", ipv4="192.0.2.1"), host(2, "b"))
    changes = [
        update("a", comment="x"),
        update("a", ipv4="192.0.2.1"),
        update("b", ttl=60),
        delete("b"),
        create("c"),
        update("a", comment="x"),
        Change(Verb.ROTATE, f"a.{ZONE}"),
    ]
    found = one.validate(changes, atomic=False)
    assert [r.follow for r in found] == [False, True, True, True, True, False, False]
    assert [r.status for r in found[:2]] == [Status.APPLIED, Status.UNCHANGED]
