# SPDX-License-Identifier: GPL-3.0-or-later
"""The meaning of a DNS UPDATE message (RFC 2136) for hosts: prerequisites, and what the changes make of their records.

Pure functions on rows; `zone_updates` reads and writes them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from dns.rcode import Rcode

from ddnsd.db.rows import Host, RRset, addresses_of, name_below
from ddnsd.dns.rdata import EXAMPLES
from ddnsd.dns.records import values_of
from ddnsd.registry import addresses, host_columns, record_sets
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.errors import Invalid, InvalidAddress
from ddnsd.registry.inputs import TTL_LEAST, TTL_MOST
from ddnsd.registry.record_sets import NewRRset, Place
from ddnsd.registry.updates import check_takes_records, check_updatable

FAMILIES = {"A": "ipv4", "AAAA": "ipv6"}

ALIAS = "CNAME"
"""The type of the record of an alias."""

Values = dict[tuple[str, str], set[str]]
"""Values of records by full name and type."""


class Refused(Exception):
    """the message is not applied; nothing of it is"""

    def __init__(self, rcode: Rcode, reason: str = "") -> None:
        super().__init__(reason or rcode.name)
        self.rcode = rcode


class Condition(Enum):
    """The kinds of prerequisites, and the answer if one is not met (RFC 2136, 2.4)."""

    NAME_USED = "the name has records", Rcode.NXDOMAIN
    NAME_FREE = "the name has no records", Rcode.YXDOMAIN
    EXISTS = "the RRset exists", Rcode.NXRRSET
    ABSENT = "the RRset does not exist", Rcode.YXRRSET
    EQUALS = "the RRset has exactly these values", Rcode.NXRRSET

    @property
    def rcode(self) -> Rcode:
        """The answer if it is not met."""
        rcode: Rcode = self.value[1]
        return rcode


class Prerequisite(NamedTuple):
    """One record of the prerequisite section; `value` is one of the values of `EQUALS`."""

    condition: Condition
    name: str
    rtype: str = ""
    value: str = ""


class Kind(Enum):
    """The kinds of changes (RFC 2136, 2.5)."""

    ADD = "add"
    REMOVE_VALUE = "remove one record"
    REMOVE_RRSET = "remove the records of a type"
    REMOVE_NAME = "remove all records at the name"


class RecordChange(NamedTuple):
    """One record of the update section. Names are folded, values are canonical text."""

    kind: Kind
    name: str
    rtype: str = ""
    value: str = ""
    ttl: int = 0


class ZoneUpdate(NamedTuple):
    """A whole message, in the order of its records."""

    zone: str
    prerequisites: Sequence[Prerequisite]
    changes: Sequence[RecordChange]

    @property
    def names(self) -> set[str]:
        """All names in it."""
        return {one.name for one in self.prerequisites} | {one.name for one in self.changes}


class Content(NamedTuple):
    """A host with its RRsets."""

    host: Host
    rrsets: Sequence[RRset] = ()


class HostPlan(NamedTuple):
    """What a message makes of a host. `named`: it names addresses of the host, also if they stay as they are.

    `alias` is the target of an alias, None for other hosts.
    """

    host: Host
    update: AddressUpdate
    put: Sequence[NewRRset]
    removed: Sequence[RRset]
    alias: str | None = None

    @property
    def named(self) -> bool:
        """Whether the message names addresses of the host."""
        return bool(self.update.families)

    @property
    def values(self) -> dict[str, Any]:
        """The values of the host that change, as in a change of the registry."""
        found: dict[str, Any] = {} if self.alias == self.host.alias else {"alias": self.alias}
        for family in FAMILIES.values():
            new = getattr(self.update, family)
            if family in self.update.remove or (new is not None and new != getattr(self.host, family)):
                found[family] = new
        sets: dict[str, NewRRset | None] = {record_sets.key_of(one.place): None for one in self.removed}
        sets |= {record_sets.key_of(one.place): one for one in self.put}
        return {**found, "records": sets} if sets else found


def host_of(name: str, fqdns: Collection[str]) -> str | None:
    """The host at the name, or one that may have records at it, below underscore labels; None if there is none."""
    at = name
    while at:
        if at in fqdns:
            return at if record_sets.is_prefix(name.removesuffix(at).rstrip(".")) else None
        _, _, at = at.partition(".")
    return None


def changes_alias(host: Host, update: ZoneUpdate) -> bool:
    """Whether the host is an alias, or the message may make it one."""
    return host.alias is not None or any(
        (one.name, one.rtype, one.kind) == (host.fqdn, ALIAS, Kind.ADD) for one in update.changes
    )


def check_changeable(host: Host, update: ZoneUpdate, *, aliases: bool = False) -> None:
    """Check that the host accepts the message. Raises Blocked, Static, NoHost.

    Of a host with several addresses the other records can be changed. `aliases`: the caller may change aliases.
    """
    names_addresses = any(one.name == host.fqdn and one.rtype in ("", ALIAS, *FAMILIES) for one in update.changes)
    if host.alias is not None and aliases:
        check_updatable(host._replace(alias=None, ipv4=None, ipv6=None))
    elif names_addresses:
        check_updatable(host)
    else:
        check_takes_records(host)


def check_prerequisites(update: ZoneUpdate, contents: Iterable[Content]) -> None:
    """Check the prerequisites. Raises Refused for the first one that is not met."""
    there = _values(contents)
    names = {name for (name, _), values in there.items() if values}
    expected: Values = {}
    for one in update.prerequisites:
        found = there.get((one.name, one.rtype), set())
        match one.condition:
            case Condition.NAME_USED:
                met = one.name in names
            case Condition.NAME_FREE:
                met = one.name not in names
            case Condition.EXISTS:
                met = bool(found)
            case Condition.ABSENT:
                met = not found
            case Condition.EQUALS:
                expected.setdefault((one.name, one.rtype), set()).add(one.value)
                met = True
        if not met:
            raise Refused(one.condition.rcode)
    if any(there.get(at, set()) != values for at, values in expected.items()):
        raise Refused(Condition.EQUALS.rcode)


def plans(update: ZoneUpdate, contents: Sequence[Content]) -> list[HostPlan]:
    """What the message makes of these hosts, which have all of its names. Raises Refused."""
    before = _values(contents)
    after = {at: set(values) for at, values in before.items()}
    named, ttls = _apply(update.changes, after, {content.host.fqdn for content in contents})
    return [_plan(content, before, after, named, ttls) for content in contents]


def _values(contents: Iterable[Content]) -> Values:
    found: Values = {}
    for host, rrsets in contents:
        for rtype, family in FAMILIES.items():
            found[host.fqdn, rtype] = set(addresses_of(getattr(host, family)))
        if host.alias is not None:
            found[host.fqdn, ALIAS] = {host.alias}
        for one in rrsets:
            found[one.name(host.fqdn), one.rtype] = set(values_of(one.data))
    return found


def _apply(
    changes: Iterable[RecordChange], after: Values, fqdns: Collection[str]
) -> tuple[set[tuple[str, str]], dict[tuple[str, str], int]]:
    """Apply the changes in order. Returns the names and types with values given, and their last TTLs."""
    given: set[tuple[str, str]] = set()
    ttls: dict[tuple[str, str], int] = {}
    for one in changes:
        at = one.name, one.rtype
        match one.kind:
            case Kind.ADD:
                value = _allowed(one, fqdns)
                if one.rtype == ALIAS:
                    after[at] = set()  # the new target replaces the old one (RFC 2136, 3.4.2.2)
                after.setdefault(at, set()).add(value)
                given.add(at)
                ttls[at] = one.ttl
            case Kind.REMOVE_VALUE:
                after.get(at, set()).discard(one.value)
            case Kind.REMOVE_RRSET:
                after.get(at, set()).clear()
            case Kind.REMOVE_NAME:
                for (name, _), values in after.items():
                    if name == one.name:
                        values.clear()
    return given, ttls


def _allowed(change: RecordChange, fqdns: Collection[str]) -> str:
    """The value of a new record. Raises Refused if no host may have it."""
    if change.rtype == ALIAS:
        return _target(change, fqdns)
    if change.rtype not in FAMILIES:
        if change.rtype not in EXAMPLES:
            raise Refused(Rcode.REFUSED, f"hosts have no records of type {change.rtype}")
        return change.value
    if change.name not in fqdns:
        raise Refused(Rcode.REFUSED, f"{change.name} is no host, so it has no address")
    try:
        address = addresses.parse_address(change.value)
    except InvalidAddress:
        raise Refused(Rcode.REFUSED, f"no host may have the address {change.value}") from None
    if f"ipv{address.version}" != FAMILIES[change.rtype]:
        raise Refused(Rcode.REFUSED, f"{change.value} is an IPv4 address")
    return str(address)


def _target(change: RecordChange, fqdns: Collection[str]) -> str:
    if change.name not in fqdns:
        raise Refused(Rcode.REFUSED, f"{change.name} is no host, so it is no alias")
    try:
        return host_columns.alias(change.value)
    except Invalid as error:
        raise Refused(Rcode.REFUSED, str(error)) from None


def _plan(
    content: Content,
    before: Values,
    after: Values,
    given: Collection[tuple[str, str]],
    ttls: Mapping[tuple[str, str], int],
) -> HostPlan:
    host = content.host
    new: dict[str, str] = {}
    gone: set[str] = set()
    for rtype, family in FAMILIES.items():
        at = host.fqdn, rtype
        found = after[at]
        if len(found) > 1 and at in given:
            raise Refused(Rcode.REFUSED, f"a host has one {rtype} record")
        if found and at in given:
            (new[family],) = found
        elif not found and before[at]:
            gone.add(family)
    own = {one.place: one for one in content.rrsets}
    put, removed = [], []
    for (name, rtype), values in after.items():
        if rtype in (ALIAS, *FAMILIES) or host_of(name, {host.fqdn}) is None:
            continue
        place: Place = name.removesuffix(host.fqdn).rstrip("."), rtype
        present = own.get(place)
        if values and (name, rtype) in given:
            wanted = _rrset(host.fqdn, place, values, ttls[name, rtype])
        elif values:
            wanted = _rrset(host.fqdn, place, values, present.ttl if present else None)
        else:
            if present is not None:
                removed.append(present)
            continue
        if present is None or not wanted.equals(present):
            put.append(wanted)
    update = AddressUpdate(new.get("ipv4"), new.get("ipv6"), remove=frozenset(gone))
    return HostPlan(host, update, put, removed, next(iter(after.get((host.fqdn, ALIAS), ())), None))


def _rrset(fqdn: str, place: Place, values: Collection[str], ttl: int | None) -> NewRRset:
    prefix, rtype = place
    within = ttl if ttl is not None and TTL_LEAST <= ttl <= TTL_MOST else None
    try:
        return record_sets.parse(fqdn, prefix or record_sets.APEX, rtype, sorted(values), within)
    except Invalid as error:
        raise Refused(Rcode.REFUSED, f"{name_below(prefix, fqdn)} {rtype}: {error}") from None
