# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets of devices, their encrypted keys, and the devices that have signed in or are revoked."""

from enum import Enum
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, delete, func, insert, or_, select, update

from ddnsd.db import queries
from ddnsd.db.bulk_sql import insert_into
from ddnsd.db.schema import contacts, domains, fleet_devices, fleet_keys, fleets, hosts, users


class Fleet(NamedTuple):
    """A fleet; `domain` and `owner` are names, `quota` is the maximum number of devices that are not revoked."""

    id: int
    name: str
    owner_id: int
    domain_id: int
    pattern: str
    quota: int
    created: int
    domain: str
    owner: str


class FleetKey(NamedTuple):
    """A key of a fleet, encrypted, with what a sign-in needs of the fleet. `until`: when it ends, in microseconds."""

    sealed: str
    until: int | None
    name: str
    owner_id: int
    quota: int


class Device(NamedTuple):
    """A device. `last_time` is that of its last signed request, in seconds by its own clock."""

    host_id: int | None
    revoked: int | None
    last_time: int | None


class ListedDevice(NamedTuple):
    """A device in a list, with its host's name and the time of the last request for the host."""

    login: str
    created: int
    revoked: int | None
    host: str | None
    seen: int | None


class Admission(Enum):
    """Whether a device may go on: FULL if it is new and the fleet has no room, REPEATED if its request is not new."""

    ADMITTED = "admitted"
    FULL = "full"
    REPEATED = "repeated"


FLEET: Select[Any] = (
    select(*(fleets.c[name] for name in Fleet._fields[:-2]), domains.c.name, users.c.name)
    .join(domains, domains.c.id == fleets.c.domain_id)
    .join(users, users.c.id == fleets.c.owner_id)
)
KEY: Select[Any] = select(
    fleet_keys.c.sealed, fleet_keys.c.until, fleets.c.name, fleets.c.owner_id, fleets.c.quota
).join(fleets, fleets.c.id == fleet_keys.c.fleet_id)
DEVICE: Select[Any] = select(*(fleet_devices.c[name] for name in Device._fields))


def named(connection: Connection, name: str) -> Fleet | None:
    """The fleet with this name."""
    row = connection.execute(FLEET.where(fleets.c.name == name)).first()
    return Fleet._make(row) if row else None


def by_id(connection: Connection, fleet_id: int) -> Fleet | None:
    """The fleet with this id."""
    row = connection.execute(FLEET.where(fleets.c.id == fleet_id)).first()
    return Fleet._make(row) if row else None


def first(connection: Connection, limit: int) -> list[Fleet]:
    """At most `limit` fleets, by id."""
    return [Fleet._make(row) for row in connection.execute(FLEET.order_by(fleets.c.id).limit(limit))]


def add(connection: Connection, **values: Any) -> int:
    """Add a fleet, and return its id. Raises IntegrityError if there is one of this name."""
    result = connection.execute(insert(fleets).values(created=queries.now(), **values))
    assert result.inserted_primary_key is not None
    fleet_id: int = result.inserted_primary_key[0]
    return fleet_id


def remove(connection: Connection, fleet_id: int) -> None:
    """Delete a fleet with its keys and devices."""
    connection.execute(delete(fleets).where(fleets.c.id == fleet_id))


def add_key(connection: Connection, fleet_id: int, sealed: str) -> None:
    """Add the current key of a fleet."""
    connection.execute(insert(fleet_keys).values(fleet_id=fleet_id, sealed=sealed, created=queries.now()))


def end_keys(connection: Connection, fleet_id: int, until: int | None) -> None:
    """End the current key at that time, in microseconds since the epoch; None: end all keys at once."""
    of_fleet = fleet_keys.c.fleet_id == fleet_id
    ended = of_fleet if until is None else of_fleet & (fleet_keys.c.until <= queries.now())
    connection.execute(delete(fleet_keys).where(ended))
    connection.execute(update(fleet_keys).where(of_fleet, fleet_keys.c.until.is_(None)).values(until=until))


def device_count(connection: Connection, fleet_id: int) -> int:
    """The number of devices that count for the quota."""
    counted = fleet_devices.c.fleet_id == fleet_id, fleet_devices.c.revoked.is_(None)
    return connection.scalar(select(func.count()).where(*counted)) or 0


def admit(connection: Connection, fleet_id: int, login: str, quota: int, at: int | None = None) -> Admission:
    """Add a device if it is new; with `at`, the time of a signed request, also check that no request had a later one.

    Calls at the same time never exceed the quota, and only one of them gets the same time.
    """
    if at is not None and _use_time(connection, login, at):
        return Admission.ADMITTED
    connection.execute(select(fleets.c.id).where(fleets.c.id == fleet_id).with_for_update())
    if connection.execute(DEVICE.where(fleet_devices.c.login == login)).first() is not None:
        return Admission.ADMITTED if at is None or _use_time(connection, login, at) else Admission.REPEATED
    if device_count(connection, fleet_id) >= quota:
        return Admission.FULL
    values = {"login": login, "fleet_id": fleet_id, "created": queries.now(), "last_time": at}
    connection.execute(insert(fleet_devices).values(values))
    return Admission.ADMITTED


def _use_time(connection: Connection, login: str, at: int) -> bool:
    earlier = or_(fleet_devices.c.last_time.is_(None), fleet_devices.c.last_time < at)
    used = update(fleet_devices).where(fleet_devices.c.login == login, earlier).values(last_time=at)
    return connection.execute(used).rowcount > 0


def set_host(connection: Connection, login: str, host_id: int) -> None:
    """Store the host of a device."""
    connection.execute(update(fleet_devices).where(fleet_devices.c.login == login).values(host_id=host_id))


def revoke(connection: Connection, fleet_id: int, login: str) -> bool:
    """Revoke a device, also one that is not known yet. Returns whether that is new."""
    moment = queries.now()
    values = {"login": login, "fleet_id": fleet_id, "created": moment, "revoked": moment}
    statement = insert_into(connection.dialect.name, fleet_devices).values(values)
    statement = statement.on_conflict_do_update(
        index_elements=["login"], set_={"revoked": moment}, where=fleet_devices.c.revoked.is_(None)
    )
    return connection.execute(statement).rowcount > 0


def restore(connection: Connection, login: str) -> bool:
    """Accept a revoked device again. Returns whether it was revoked."""
    revoked = fleet_devices.c.login == login, fleet_devices.c.revoked.is_not(None)
    return connection.execute(update(fleet_devices).where(*revoked).values(revoked=None)).rowcount > 0


def devices(connection: Connection, fleet_id: int, after: str, limit: int) -> list[ListedDevice]:
    """At most `limit` devices of a fleet with a login above `after`, by login."""
    query = (
        select(fleet_devices.c.login, fleet_devices.c.created, fleet_devices.c.revoked, hosts.c.fqdn, contacts.c.at)
        .outerjoin(hosts, hosts.c.id == fleet_devices.c.host_id)
        .outerjoin(contacts, contacts.c.host_id == fleet_devices.c.host_id)
        .where(fleet_devices.c.fleet_id == fleet_id, fleet_devices.c.login > after)
    )
    return [ListedDevice._make(row) for row in connection.execute(query.order_by(fleet_devices.c.login).limit(limit))]
