# SPDX-License-Identifier: GPL-3.0-or-later
"""What DNS does not have yet: list it, retry it, skip it. The running service notices changes within about a second."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from ddnsd.db import queries, queue, set_aside
from ddnsd.db.queue import Counts, Item
from ddnsd.db.rows import Domain
from ddnsd.operations.hosts import ACTOR
from ddnsd.operations.store_access import AdminError
from ddnsd.registry.errors import Code, NoDomain

OBJECT_LENGTH = 255
"""Maximum length of the object of an event."""


class Listed(NamedTuple):
    """Numbers of items by zone, and the first items."""

    zones: dict[str, Counts]
    items: list[Item]

    @property
    def total(self) -> int:
        """Number of all items."""
        return sum(zone.total for zone in self.zones.values())


def listed(connection: Connection, zone: str | None, limit: int | None) -> Listed:
    """The first `limit` items of the zone or of all zones, and their numbers. Raises NoDomain."""
    domain_id = _domain(connection, zone).id if zone is not None else None
    return Listed(queue.counts(connection, domain_id), queue.items(connection, domain_id, limit))


def retry(connection: Connection, names: Sequence[str], zone: str | None) -> int:
    """Make items due now: those of these names, else those of the zone, else all. Returns how many were set aside.

    Raises AdminError for names without an item; then nothing is changed. Raises NoDomain.
    """
    if names:
        found = _named(connection, names)
        due = [item for item in found if item.aside_id is not None]
        _tell(connection, "queue.retry", ((item.place, item.zone, item.state) for item in due))
    else:
        domain_id = _domain(connection, zone).id if zone is not None else None
        due = queue.set_aside_items(connection, domain_id)
        numbers = Counter(item.zone for item in due)
        _tell(connection, "queue.retry", ((name, name, f"{number} items") for name, number in numbers.items()))
    set_aside.retry(connection, _ids(due))
    return len(due)


def skip(connection: Connection, names: Sequence[str]) -> list[Item]:
    """Skip the refused items of these names. Returns them.

    Raises AdminError for names that the name server does not refuse; then nothing is changed.
    """
    found = _named(connection, names)
    refused = [item for item in found if item.state == queue.REFUSED]
    kept = [item for item in found if item.state == queue.SKIPPED]
    if others := sorted({item.name for item in found} - {item.name for item in (*refused, *kept)}):
        states = {item.name: item.state for item in found}
        which = ", ".join(f"{name} ({states[name]})" for name in others)
        raise AdminError(f"only refused items can be skipped: {which}. Nothing was changed")
    set_aside.skip(connection, _ids(refused))
    _tell(connection, "queue.skip", ((item.place, item.zone, f"{item.kind}: {item.reason}") for item in refused))
    return refused


def _domain(connection: Connection, name: str) -> Domain:
    found = queries.domain(connection, name)
    if found is None:
        raise NoDomain(Code.DOMAIN_MISSING, domain=name)
    return found


def _named(connection: Connection, names: Sequence[str]) -> list[Item]:
    found = {name: queue.named(connection, name) for name in dict.fromkeys(names)}
    if missing := [name for name, some in found.items() if not some]:
        raise AdminError(f"not in the queue: {', '.join(missing)}. Nothing was changed")
    return [item for some in found.values() for item in some]


def _ids(found: Iterable[Item]) -> list[int]:
    return [item.aside_id for item in found if item.aside_id is not None]


def _tell(connection: Connection, action: str, what: Iterable[tuple[str, str, str]]) -> None:
    """Add an event for each (object, its zone, detail); the zone's owner may read it."""
    for subject, zone, detail in what:
        owner_id = _domain(connection, zone).owner_id
        queries.add_event(connection, ACTOR, action, subject[:OBJECT_LENGTH], None, detail, owner_id=owner_id)
