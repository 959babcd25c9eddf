# SPDX-License-Identifier: GPL-3.0-or-later
"""RRsets of a host in addition to its addresses: their names, types and values, and how many it may have."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ddnsd.db.rows import RRset, name_below
from ddnsd.dns import rdata
from ddnsd.dns.packing import set_octets
from ddnsd.dns.records import values_of
from ddnsd.registry import names
from ddnsd.registry.errors import Code, Invalid, Reason

APEX = "@"
"""The host's own name in requests and answers."""

AT_HOST_ALONE = frozenset({"CAA", "LOC", "MX", "SSHFP"})
"""Types that have no meaning below an underscore label."""

MOST = 16
"""Maximum number of RRsets of a host, and of values of an RRset."""

LENGTH = 4096
"""Maximum characters of a value."""

OCTETS = 24_000
"""Maximum octets of all RRsets of a host in one message, which is never split. Holds for names of any length."""

LONGEST = "a" * names.LENGTH

_LABEL = r"[a-z0-9](?:[a-z0-9_-]{0,%d}[a-z0-9])?"
_PREFIX = re.compile(rf"(?:(?:{_LABEL % 61}|_{_LABEL % 60})\.)*_{_LABEL % 60}")
"""Labels of which the last one begins with an underscore, so that no other host can have a name there."""


Place = tuple[str, str]
"""The prefix and the type of an RRset."""


class Content(Protocol):
    """The content of an RRset."""

    @property
    def values(self) -> Sequence[str]:
        """The values in presentation format."""

    @property
    def ttl(self) -> int | None:
        """Seconds; None: the host's TTL."""


class NewRRset(NamedTuple):
    """A well-formed RRset: `data` is canonical; `ttl` is in seconds, or None for the host's TTL."""

    prefix: str
    rtype: str
    ttl: int | None
    data: str

    @property
    def values(self) -> tuple[str, ...]:
        """The values in presentation format, sorted."""
        return values_of(self.data)

    @property
    def place(self) -> Place:
        """Its prefix and type."""
        return self.prefix, self.rtype

    def name(self, host: str) -> str:
        """The full name, below its host's name."""
        return name_below(self.prefix, host)

    def equals(self, other: "RRset | NewRRset") -> bool:
        """Whether the other RRset is the same, and is or will be in the zone."""
        conflict = other.conflict if isinstance(other, RRset) else None
        return self.place == other.place and conflict is None and (self.ttl, self.data) == (other.ttl, other.data)


class ValueChange(NamedTuple):
    """Values to add to an RRset and to remove from it, canonical. `ttl` is in seconds, or None for the host's TTL.

    `sets_ttl`: the RRset gets this TTL; otherwise it keeps its own.
    """

    place: Place
    add: frozenset[str]
    remove: frozenset[str]
    ttl: int | None = None
    sets_ttl: bool = False

    def name(self, host: str) -> str:
        """The full name of the RRset, below its host's name."""
        return name_below(self.place[0], host)

    def applied(self, present: RRset | None) -> NewRRset | None:
        """What it makes of the RRset; None if no value is left. Values are removed first. Raises Invalid for `add`."""
        before = frozenset(values_of(present.data)) if present is not None else frozenset()
        values = (before - self.remove) | self.add
        if not values:
            return None
        if len(values) > MOST:
            raise Invalid(add=Reason(Code.VALUE_COUNT, limit=MOST))
        ttl = self.ttl if self.sets_ttl or present is None else present.ttl
        return NewRRset(*self.place, ttl, "\n".join(sorted(values)))


def parse_value_change(
    fqdn: str, name: str, rtype: str, add: Sequence[str], remove: Sequence[str], ttl: int | None, *, sets_ttl: bool
) -> ValueChange:
    """Check and parse a change of an RRset of the host `fqdn`. Raises Invalid for all fields that are wrong."""
    place, wrong = _place(fqdn, name, rtype)
    found: dict[str, frozenset[str]] = {}
    for field, values in (("add", add), ("remove", remove)):
        try:
            found[field] = frozenset(_values(place[1], values) if values and "type" not in wrong else ())
        except Invalid as error:
            (wrong[field],) = error.reasons
    if wrong:
        raise Invalid(**wrong)
    return ValueChange(place, found["add"], found["remove"], ttl, sets_ttl)


def parse(fqdn: str, name: str, rtype: str, values: Sequence[str], ttl: int | None) -> NewRRset:
    """Check and parse an RRset of the host `fqdn`. Raises Invalid for all fields that are wrong."""
    place, wrong = _place(fqdn, name, rtype)
    data = ""
    if "type" not in wrong:
        try:
            data = "\n".join(_values(place[1], values))
        except Invalid as error:
            wrong |= error.fields
    if wrong:
        raise Invalid(**wrong)
    return NewRRset(*place, ttl, data)


def _place(fqdn: str, name: str, rtype: str) -> tuple[Place, dict[str, Reason]]:
    """The place as it is stored, and what is wrong with it, by field."""
    prefix, rtype = place_of(name, rtype)
    wrong: dict[str, Reason] = {}
    if not is_prefix(prefix):
        wrong["name"] = Reason(Code.PREFIX_INVALID, name=name)
    elif problem := names.owned_problem(fqdn, [name_below(prefix, fqdn)]):
        wrong["name"] = problem
    elif prefix and rtype in AT_HOST_ALONE:
        wrong["name"] = Reason(Code.PREFIX_NOT_APEX, rtype=rtype)
    if rtype not in rdata.EXAMPLES:
        wrong["type"] = Reason(Code.NOT_A_CHOICE, choices=", ".join(rdata.EXAMPLES))
    return (prefix, rtype), wrong


def is_prefix(prefix: str) -> bool:
    """Whether RRsets of a host may have this prefix."""
    return not prefix or _PREFIX.fullmatch(prefix) is not None


def place_of(name: str, rtype: str) -> Place:
    """The prefix and the type of an RRset as they are stored."""
    folded = name.strip().lower() if name.isascii() else name
    return "" if folded == APEX else folded, rtype.strip().upper()


def key_of(place: Place) -> str:
    """The key of an RRset in `records` of a host, such as `_443._tcp TLSA`."""
    prefix, rtype = place
    return f"{prefix or APEX} {rtype}"


def split(key: str) -> Place:
    """The prefix and the type of such a key; `TYPE` alone is at the host's own name."""
    name, _, rtype = key.strip().rpartition(" ")
    return place_of(name or APEX, rtype)


def parse_all(fqdn: str, records: Mapping[str, "Content | None"]) -> dict[Place, NewRRset | None]:
    """Check and parse `records` of the host `fqdn`; None: no such RRset. Raises Invalid for each one that is wrong.

    A key is `NAME TYPE`, or `TYPE` for the host's own name.
    """
    found: dict[Place, NewRRset | None] = {}
    wrong: dict[str, Reason] = {}
    for key, content in records.items():
        place = split(key)
        if place in found:
            wrong[f"records.{key}"] = Reason(Code.RECORDS_TWICE)
        found[place] = None
        if content is None:
            continue
        try:
            found[place] = parse(fqdn, *place, content.values, content.ttl)
        except Invalid as error:
            wrong[f"records.{key}"] = next(iter(error.fields.values()))
    if wrong:
        raise Invalid(**wrong)
    return found


def _values(rtype: str, texts: Sequence[str]) -> list[str]:
    """The canonical values, sorted, without duplicates. Raises Invalid for `values`."""
    if not 1 <= len(texts) <= MOST:
        raise Invalid(values=Reason(Code.VALUE_COUNT, limit=MOST))
    found: set[str] = set()
    for text in texts:
        if len(text) > LENGTH:
            raise Invalid(values=Reason(Code.VALUE_TOO_LONG, limit=LENGTH))
        try:
            found.add(rdata.canonical(rtype, text))
        except rdata.RelativeName as error:
            raise Invalid(values=Reason(Code.VALUE_RELATIVE, name=str(error))) from None
        except rdata.LongString:
            raise Invalid(values=Reason(Code.VALUE_STRING_TOO_LONG)) from None
        except rdata.BadValue:
            said = Reason(Code.VALUE_INVALID, value=text, rtype=rtype, example=rdata.EXAMPLES[rtype])
            raise Invalid(values=said) from None
    return sorted(found)


def check_room(new: Iterable[NewRRset], others: Iterable[RRset | NewRRset]) -> None:
    """Check that a host with these other RRsets may have the new ones. Raises Invalid for `records`."""
    all_values = [values_of(one.data) for one in (*new, *others)]
    if len(all_values) > MOST:
        raise Invalid(records=Reason(Code.RECORDS_TOO_MANY, limit=MOST))
    if sum(set_octets(LONGEST, values) for values in all_values) > OCTETS:
        raise Invalid(records=Reason(Code.RECORDS_TOO_LARGE))


def shown(ttl: int | None, data: str) -> dict[str, Any]:
    """The content of an RRset as answers and the history show it."""
    return {"ttl": ttl, "values": values_of(data)}
