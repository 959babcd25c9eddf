# SPDX-License-Identifier: GPL-3.0-or-later
"""The reverse names of a host, and why DNS does not have one of them."""

from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection

from ddnsd.db import pointers
from ddnsd.db.pointers import Present
from ddnsd.db.reverse_zones import OFF, name_of
from ddnsd.db.rows import Host, addresses_of
from ddnsd.dns.conflicts import Obstacle
from ddnsd.dns.records import is_hidden
from ddnsd.registry.errors import Code, Reason


class State(StrEnum):
    """The state of a reverse name."""

    PUBLISHED = "published"
    WAITING = "waiting"
    TAKEN = "taken"
    NOT_ALLOWED = "not_allowed"
    NO_ZONE = "no_zone"


class Pointer(NamedTuple):
    """The reverse name of an address; `name` is None without a zone for it. `reason` says why it is not published."""

    address: str
    name: str | None
    state: State
    reason: Reason | None = None


def of_host(connection: Connection, host: Host) -> list[Pointer]:
    """The reverse names of the host's addresses; none if it does not want any."""
    addresses = [*addresses_of(host.ipv4), *addresses_of(host.ipv6)]
    if not host.ptr or host.alias is not None or not addresses:
        return []
    zones = pointers.reverse_zones(connection)
    first: dict[str, int] = {}
    for candidate in pointers.candidates(connection, addresses):
        domain = zones.of(candidate.address)
        if domain is not None and pointers.may_have(domain, candidate):
            first.setdefault(candidate.address, candidate.host_id)
    there = {(one.address, one.fqdn): one for one in pointers.present(connection, addresses)}
    found = []
    for address in addresses:
        domain = zones.of(address)
        if domain is None:
            found.append(Pointer(address, None, State.NO_ZONE, Reason(Code.POINTER_WITHOUT_ZONE, address=address)))
            continue
        name = name_of(domain, address)
        proved = address in addresses_of(host.proved_ipv6 if ":" in address else host.proved_ipv4)
        candidate = pointers.Candidate(address, host.id, host.fqdn, proved)
        reason: Reason | None
        if is_hidden(host):
            state, reason = State.NOT_ALLOWED, Reason(Code.POINTER_OF_HIDDEN_HOST)
        elif domain.reverse == OFF:
            state, reason = State.NOT_ALLOWED, Reason(Code.POINTER_ZONE_OFF, domain=domain.name)
        elif not pointers.may_have(domain, candidate):
            state, reason = State.NOT_ALLOWED, Reason(Code.POINTER_UNPROVED, address=address)
        elif first.get(address, host.id) != host.id:
            state, reason = State.TAKEN, Reason(Code.POINTER_OF_OTHER_HOST, address=address)
        else:
            state, reason = _published(host, there.get((address, name)))
        found.append(Pointer(address, name, state, None if state is State.PUBLISHED else reason))
    return found


def _published(host: Host, row: Present | None) -> tuple[State, Reason | None]:
    """The state of a name that the host may have, and that no other host has."""
    waiting = State.WAITING, Reason(Code.POINTER_WAITING)
    if row is None or row.data != host.fqdn + ".":
        return waiting
    if conflict := row.conflict or row.set_conflict:
        return State.TAKEN, Reason(Code.NAME_UNAVAILABLE, obstacle=Obstacle.from_stored(conflict))
    return (State.PUBLISHED, None) if row.claimed and row.set_claimed else waiting
