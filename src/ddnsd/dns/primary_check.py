# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether a primary accepts our changes of a zone, and if not, why."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

from ddnsd.db.rows import Domain
from ddnsd.dns import errors, update_builder
from ddnsd.dns.conflicts import UNMANAGED, Obstacle
from ddnsd.dns.connection import PrimaryConnection, addresses
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.message import CNAME, Signed, Update
from ddnsd.dns.obstacles import OWN, beside, obstacle, require_path
from ddnsd.dns.rdata import BadValue
from ddnsd.dns.records import RecordSet
from ddnsd.dns.tsig import TsigKey

SECONDS = 5.0

NAMES = 64
"""Names per message."""

ANSWER_PAUSE = 0.1
"""Pause between two queries for a change that answers do not have yet."""

TRIED = 32
"""RRsets per trial. Most are short: a message has 65 535 octets, and longer RRsets are tried in smaller parts."""

PROBED_HOSTS = 3
"""Number of hosts to try if the name server refuses the probe's own name."""

Places = Callable[[], Awaitable[Sequence[tuple[str, str]]]]
"""Names of hosts in a zone, each with the type of its address, A or AAAA."""

Ask = Callable[[Update], Awaitable[None]]

_NO_ADDRESS = {"A": "0.0.0.0", "AAAA": "::"}  # noqa: S104
"""An address that no host can have."""


class TriedSet(NamedTuple):
    """An RRset to be tried; `new`: the zone must not have one of its type at its name.

    `aliased`: a CNAME record there is ours, and goes. An alias that is `new` needs a name without other records, apart
    from RRsets of the types `own`.
    """

    fqdn: str
    rtype: str
    values: tuple[str, ...]
    new: bool
    aliased: bool = False
    own: tuple[str, ...] = ()

    @property
    def others(self) -> list[int]:
        """Types that the zone must not have there, because the name becomes an alias."""
        return beside(self.own) if self.rtype == "CNAME" and self.new else []


async def probe(domain: Domain, hosts: Places, connection: PrimaryConnection, seconds: float) -> None:
    """Send the name server an update that changes nothing. Raises DnsError with the reason of a refusal.

    It deletes an RRset that does not exist, so the serial does not change. If a policy refuses that name, it deletes an
    address that does not exist from a few `hosts`; one accepted message is enough.
    """
    key, zone = TsigKey.of(domain), domain.name

    async def ask(update: Update) -> None:
        await _ask(domain.primary, update.to_wire(key), zone, connection, seconds)

    try:
        await ask(update_builder.probe(zone))
    except errors.Refusal as error:
        if error.rcode != "REFUSED":
            raise
        if not await _takes_one(zone, await hosts(), ask):
            raise await _why_refused(domain, ask) from None


async def _takes_one(zone: str, hosts: Sequence[tuple[str, str]], ask: Ask) -> bool:
    for fqdn, rtype in hosts:
        try:
            await ask(Update(zone).remove_values(fqdn, rtype, [_NO_ADDRESS[rtype]]))
        except errors.Refusal:
            continue
        return True
    return False


async def _why_refused(domain: Domain, ask: Ask) -> errors.Refusal:
    """Tell a frozen zone from a policy: only a frozen zone refuses a message without updates."""
    try:
        await ask(Update(domain.name))
    except errors.Refusal:
        return errors.Frozen("REFUSED", f"{domain.primary}: {_FROZEN.format(zone=domain.name)}")
    return errors.Refusal("REFUSED", f"{domain.primary}: {_POLICY.format(zone=domain.name)}")


async def write(domain: Domain, connection: PrimaryConnection, seconds: float) -> bool:
    """Add an address at a new name, read it, and remove it. Only that shows whether changes are kept.

    Returns False if a policy allows no new name. Raises DnsError.
    """
    key, name, address = TsigKey.of(domain), _new_name(domain.name), "192.0.2.1"
    addition = Update(domain.name).require_unused(name).replace(name, 60, address, None)
    try:
        await _ask(domain.primary, addition.to_wire(key), domain.name, connection, seconds)
    except errors.Refusal as error:
        if error.rcode == "REFUSED":
            return False
        raise
    try:
        await _until_answered(name, address, key, connection, seconds)
    finally:
        removal = Update(domain.name).replace(name, 0, None, None)
        await _ask(domain.primary, removal.to_wire(key), domain.name, connection, seconds)
    return True


async def _until_answered(name: str, address: str, key: TsigKey, connection: PrimaryConnection, seconds: float) -> None:
    """Wait until the name server answers with the address. Raises DnsError if it does not in time."""
    end = time.monotonic() + seconds
    while await addresses(connection, key, name, seconds) != [address]:
        if time.monotonic() > end:
            raise errors.Refusal(
                "", f"{connection.endpoint} accepts a change, and does not answer with it: see its log"
            )
        await asyncio.sleep(ANSWER_PAUSE)


async def clock_offset(domain: Domain, connection: PrimaryConnection, seconds: float) -> float:
    """The seconds by which the clock of the name server is ahead of ours, from a signature. Raises DnsError."""
    question = Signed.query(domain.name, "SOA", TsigKey.of(domain))
    answer = question.read(await connection.exchange(question.wire, seconds))
    assert answer.tsig is not None
    return float(answer.tsig[0].time_signed) - time.time()


async def accepts_updates(zone: str, primary: str, key: TsigKey) -> None:
    """Add and remove an address, so that nothing changes. Raises DnsError with the reason of a refusal."""
    await _try_address(zone, primary, key)


async def _try_address(
    zone: str, primary: str, key: TsigKey, connection: PrimaryConnection | None = None, seconds: float = SECONDS
) -> None:
    name = _new_name(zone)
    removal = Update(zone).replace(name, 0, None, None)
    probe = Update(zone).require_unused(name).replace(name, 60, "192.0.2.1", None).replace(name, 0, None, None)
    for update in (probe, removal):
        await _ask(primary, update.to_wire(key), zone, connection, seconds)


def _new_name(zone: str) -> str:
    return f"ddnsd-check-{secrets.token_hex(8)}.{zone}"


async def obstacle_of(
    domain: Domain, wanted: TriedSet, connection: PrimaryConnection, seconds: float
) -> Obstacle | None:
    """The obstacle for an RRset or an alias, or None. The values are tested at a random name below the zone.

    They are added and removed in one message, and removed again in a second one, because PowerDNS does the removals of
    a message before its additions. Raises DnsError; BadValue
    if the name server accepts updates of the zone, but not these records.
    """
    removal, probe = _trial(domain.name, [wanted])
    key = TsigKey.of(domain)
    try:
        await _ask(domain.primary, probe.to_wire(key), domain.name, connection, seconds)
    except errors.PrerequisiteFailed:
        met = partial(_is_met, domain, connection, seconds)
        aliased, others = wanted.aliased, wanted.others
        return await obstacle(domain.name, wanted.fqdn, met, ours=True, aliased=aliased, others=others) or UNMANAGED
    except (errors.BadKey, errors.BadSignature, errors.BadTime):
        raise
    except errors.Refusal as error:
        await _try_address(domain.name, domain.primary, key, connection, seconds)
        raise BadValue(error.rcode) from None
    await _ask(domain.primary, removal.to_wire(key), domain.name, connection, seconds)
    return None


def _trial(zone: str, wanted: Sequence[TriedSet]) -> tuple[Update, Update]:
    """A message that removes what a trial may leave, and the trial: it needs what the RRsets need, and adds nothing."""
    removal, probe = Update(zone), Update(zone)
    for one in wanted:
        fqdn, rtype, values = one.fqdn, one.rtype, one.values
        name = ("_" if "._" in f".{fqdn}" else "") + _new_name(zone)  # the name decides what may be there
        removal.replace_set(name, rtype, 0, ())
        probe.require_unused(name).replace_set(name, rtype, 60, values).replace_set(name, rtype, 0, ())
        if rtype == "CNAME":
            if one.new:
                own = [number for number in OWN if not (one.aliased and number == CNAME)]
                probe.require_absent(fqdn, *own, *one.others)
        else:
            update_builder.require_room(
                probe, RecordSet(fqdn, rtype, None, values, not one.new, 0), aliased=one.aliased
            )
        require_path(probe, fqdn, zone)
    return removal, probe


async def rejected(
    domain: Domain, wanted: Sequence[TriedSet], connection: PrimaryConnection, seconds: float
) -> dict[TriedSet, Obstacle | BadValue]:
    """The RRsets that the zone or its name server does not take, with the reasons. Bisects to find them.

    Raises DnsError.
    """
    found: dict[TriedSet, Obstacle | BadValue] = {}
    parts = [wanted[i : i + TRIED] for i in range(0, len(wanted), TRIED)]
    while parts:
        part = parts.pop()
        if len(part) > 1:
            if not await _are_taken(domain, part, connection, seconds):
                parts += [part[: len(part) // 2], part[len(part) // 2 :]]
            continue
        try:
            obstacle = await obstacle_of(domain, part[0], connection, seconds)
        except BadValue as error:
            found[part[0]] = error
        else:
            if obstacle is not None:
                found[part[0]] = obstacle
    return found


async def _are_taken(domain: Domain, wanted: Sequence[TriedSet], connection: PrimaryConnection, seconds: float) -> bool:
    """Whether the name server takes all of them. A message that is too long counts as refused."""
    key = TsigKey.of(domain)
    try:
        removal, probe = (update_builder.signed(partial(_same, update), key) for update in _trial(domain.name, wanted))
        await _ask(domain.primary, probe, domain.name, connection, seconds)
    except (errors.BadKey, errors.BadSignature, errors.BadTime):
        raise
    except errors.Refusal:
        return False
    await _ask(domain.primary, removal, domain.name, connection, seconds)
    return True


def _same(update: Update) -> Update:
    return update


async def obstacles(
    domain: Domain, names: Sequence[str], connection: PrimaryConnection, seconds: float
) -> dict[str, Obstacle]:
    """The obstacles by name, for names that a new host cannot have. Bisects to find them.

    Raises DnsError.
    """
    met = partial(_is_met, domain, connection, seconds)
    found: dict[str, Obstacle] = {}
    parts = [names[i : i + NAMES] for i in range(0, len(names), NAMES)]
    while parts:
        part = parts.pop()
        probe = Update(domain.name)
        for name in part:
            require_path(probe.require_unused(name), name, domain.name)
        if await met(probe):
            continue
        if len(part) > 1:
            parts += [part[: len(part) // 2], part[len(part) // 2 :]]
        elif one := await obstacle(domain.name, part[0], met, ours=False):
            found[part[0]] = one
    return found


async def _is_met(domain: Domain, connection: PrimaryConnection, seconds: float, prerequisites: Update) -> bool:
    try:
        await _ask(domain.primary, prerequisites.to_wire(TsigKey.of(domain)), domain.name, connection, seconds)
    except errors.PrerequisiteFailed:
        return False
    return True


async def _ask(
    primary: str, message: Signed, zone: str, kept: PrimaryConnection | None = None, seconds: float = SECONDS
) -> None:
    connection = kept or PrimaryConnection(Endpoint.from_text(primary, 53))
    try:
        message.verify(await connection.exchange(message.wire, seconds))
    except errors.PrerequisiteFailed:
        raise
    except errors.Refusal as error:
        raise type(error)(error.rcode, f"{primary}: {_explain(error, zone)}") from None
    finally:
        if kept is None:
            connection.close()


_FROZEN = (
    "REFUSED: it refuses every update of {zone}: the zone is frozen (`rndc thaw {zone}` ends this), or this key may "
    "not update it (allow-update)"
)
_POLICY = "REFUSED: its update-policy refuses every change in {zone} that was tried with this key"


def _explain(error: errors.Refusal, zone: str) -> str:
    known = {
        "REFUSED": f"REFUSED: it does not let this key update {zone} (update-policy, allow-update, frozen)",
        "NOTAUTH": f"NOTAUTH: it is not the primary of {zone}",
        "NOTIMP": "NOTIMP: it does not support dynamic updates",
        "SERVFAIL": f"SERVFAIL: it cannot update {zone}; its log shows the reason (often it cannot write to a folder)",
    }
    return known.get(error.rcode, f"{error.rcode}: {error}")
