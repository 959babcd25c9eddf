# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of ACME challenges at hosts, with the time when each ends (microseconds)."""

from collections.abc import Collection

from sqlalchemy import Connection, delete, insert, select, update

from ddnsd.db import queries
from ddnsd.db.rows import Host
from ddnsd.db.schema import acme_challenges, hosts


def put(connection: Connection, host_id: int, value: str, expires: int) -> None:
    """Remember a value, or that a known value ends later. The caller has locked the host."""
    moment = queries.now()
    forget(connection, host_id, [value])
    values = {"host_id": host_id, "value": value, "created": moment, "expires": expires}
    connection.execute(insert(acme_challenges).values(values))


def of_host(connection: Connection, host_id: int) -> list[str]:
    """The values of a host, the newest first."""
    query = select(acme_challenges.c.value).where(acme_challenges.c.host_id == host_id)
    return list(connection.scalars(query.order_by(acme_challenges.c.created.desc(), acme_challenges.c.value)))


def forget(connection: Connection, host_id: int, values: Collection[str]) -> None:
    """Forget values of a host."""
    at = acme_challenges.c.host_id == host_id, acme_challenges.c.value.in_(values)
    connection.execute(delete(acme_challenges).where(*at))


def put_off(connection: Connection, host_id: int, values: Collection[str], expires: int) -> None:
    """Let values of a host end at this time."""
    at = acme_challenges.c.host_id == host_id, acme_challenges.c.value.in_(values)
    connection.execute(update(acme_challenges).where(*at).values(expires=expires))


def expired(connection: Connection, limit: int) -> list[tuple[Host, list[str]]]:
    """At most `limit` values that have ended, by their hosts."""
    query = select(acme_challenges.c.host_id, acme_challenges.c.value)
    query = query.where(acme_challenges.c.expires <= queries.now()).order_by(acme_challenges.c.expires).limit(limit)
    found: dict[int, list[str]] = {}
    for host_id, value in connection.execute(query):
        found.setdefault(host_id, []).append(value)
    rows = map(Host._make, connection.execute(queries.HOST.where(hosts.c.id.in_(found))))
    return [(host, found[host.id]) for host in rows]
