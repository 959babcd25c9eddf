# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of a name server for single hosts, RRsets and removals, and their updates of the database."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection

from ddnsd.db import queries, records, set_aside
from ddnsd.db.rows import Host, Removal
from ddnsd.db.set_aside import CONFLICT_LENGTH, REMOVAL_NOTE, Aside
from ddnsd.dns import conflicts, errors
from ddnsd.dns.conflicts import Obstacle
from ddnsd.dns.records import HostRecords, RecordSet

log = structlog.get_logger()


@dataclass
class Verdicts:
    """The hosts of a round that the name server refused.

    `refused` with the refusal; `held` with the foreign record that has the name, and whether to tell the owner.
    """

    refused: list[tuple[Host, errors.Refusal]] = field(default_factory=list)
    held: list[tuple[Host, Obstacle, bool]] = field(default_factory=list)
    zone_is_open: bool = False
    """Whether the name server accepts other updates of the zone."""

    @property
    def number(self) -> int:
        """Number of these hosts."""
        return len(self.refused) + len(self.held)

    def write(self, connection: Connection) -> list[Aside]:
        """Set the hosts aside. Returns the new entries."""
        news: list[Aside] = []
        for host, error in self.refused:
            news += set_aside.put_host(connection, host, str(error))
        for host, obstacle, tell in self.held:
            news += set_aside.put_host(connection, host, str(obstacle), conflict=_stored(obstacle), tell=tell)
        return news


def write_sets(
    connection: Connection, host: Host, sets: Sequence[tuple[RecordSet, Obstacle]], *, held: bool
) -> list[Aside]:
    """Set aside RRsets of the host with their reasons. Returns the new entries."""
    ids = set(existing_rrsets(connection, [one for one, _ in sets], {host.id}))
    there = [(one, obstacle) for one, obstacle in sets if one.id in ids]
    for one, obstacle in there:
        records.mark_conflict(connection, [one.id], _stored(obstacle))
    return set_aside.put(
        connection,
        [Aside(host.domain_id, "rrset_id", one.id, f"{one.fqdn} {one.rtype}", str(why), held) for one, why in there],
    )


def _stored(obstacle: Obstacle) -> str:
    return obstacle.stored[:CONFLICT_LENGTH]


def write_removals(connection: Connection, refused: Iterable[tuple[Removal, errors.Refusal]]) -> list[Aside]:
    """Set aside removals. Returns the new entries."""
    items = [
        Aside(
            one.domain_id, "removal_id", one.id, " ".join(filter(None, (one.fqdn, one.rtype))) + REMOVAL_NOTE, str(why)
        )
        for one, why in refused
    ]
    return set_aside.put(connection, items)


def settle_removals(connection: Connection, names: Iterable[Removal]) -> None:
    """Mark removals as finished."""
    ids = [removal.id for removal in names]
    queries.settle_removals(connection, ids)
    set_aside.take_back(connection, "removal_id", ids)


def tell(zone: str, news: Iterable[Aside]) -> None:
    """Log new entries."""
    for one in news:
        what = "name held by a foreign record" if one.held else "refused and set aside"
        log.warning(what, zone=zone, name=one.name, reason=one.reason)


def mark_claimed(connection: Connection, hosts: Sequence[HostRecords], sure: Collection[int]) -> None:
    """Mark accepted hosts: names and RRsets are ours, and nothing is set aside.

    No older message of the hosts `sure` can still publish an alias.
    """
    ids = {item.host.id for item in hosts}
    if sets := [one for item in hosts for one in item.sets if not one.claimed or one.again]:
        taken = existing_rrsets(connection, sets, ids)
        records.mark_claimed(connection, taken)
        set_aside.take_back(connection, "rrset_id", taken)
    queries.mark_claimed(connection, [i.host for i in hosts if not i.host.claimed or i.host.conflict is not None])
    queries.forget_aliases(connection, [i.host.id for i in hosts if i.was_aliased and i.host.id in sure])
    if aside := [item.host.id for item in hosts if item.is_set_aside]:
        set_aside.take_back(connection, "host_id", aside)
    for item in hosts:
        if item.host.conflict is not None:
            set_aside.tell_taken_back(connection, item.host, conflicts.sentence(item.host.conflict))


def existing_rrsets(connection: Connection, sets: Iterable[RecordSet], host_ids: set[int]) -> list[int]:
    """The ids of RRsets that are still wanted where they were sent: a host may be renamed, an id reused."""
    names = queries.names_locked(connection, host_ids)
    places = {one.id: (one.name(names[one.host_id]), one.rtype) for one in records.below(connection, names)}
    return [one.id for one in sets if places.get(one.id) == (one.fqdn, one.rtype)]
