# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports of abuse by people without an account."""

from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from ddnsd.db import queries
from ddnsd.db.rows import Host, endings
from ddnsd.db.schema import abuse_reports, hosts, users

OPEN = "open"


class AbuseReport(NamedTuple):
    """A report; `name` is the name that the reporter gave, `fqdn` the host that had it.

    `state` is open, blocked, quarantined or dismissed, times are microseconds. `host` is the current name of the
    host and `owner` its owner, both None if the host was deleted. `blocked` says whether it is blocked now.
    """

    id: int
    name: str
    fqdn: str
    host_id: int
    kind: str
    text: str
    contact: str | None
    source: str | None
    state: str
    reason: str | None
    reply: str | None
    decided_by: str | None
    decided: int | None
    created: int
    host: str | None
    owner: str | None
    blocked: bool | None


_REPORT = (
    select(
        *(abuse_reports.c[name] for name in AbuseReport._fields[:-3]), hosts.c.fqdn, users.c.name, hosts.c.abuse_blocked
    )
    .select_from(abuse_reports)
    .outerjoin(hosts, hosts.c.id == abuse_reports.c.host_id)
    .outerjoin(users, users.c.id == hosts.c.owner_id)
)


def add(connection: Connection, **values: Any) -> int:
    """Insert an open report. Returns its id."""
    result = connection.execute(insert(abuse_reports).values(state=OPEN, **values))
    assert result.inserted_primary_key is not None
    return int(result.inserted_primary_key[0])


def find(connection: Connection, report_id: int, *, lock: bool = False) -> AbuseReport | None:
    """The report with this id, with `lock` locked until the end of the transaction."""
    query = _REPORT.where(abuse_reports.c.id == report_id)
    row = connection.execute(query.with_for_update(of=abuse_reports) if lock else query).first()
    return AbuseReport._make(row) if row else None


def page(connection: Connection, after: int, limit: int, state: str | None = None) -> list[AbuseReport]:
    """At most `limit` reports with an id above `after`, by id: in one state or in any."""
    query = _REPORT.where(abuse_reports.c.id > after)
    if state is not None:
        query = query.where(abuse_reports.c.state == state)
    return [AbuseReport._make(row) for row in connection.execute(query.order_by(abuse_reports.c.id).limit(limit))]


def set_state(connection: Connection, report_id: int, **values: Any) -> None:
    """Store the decision on a report."""
    connection.execute(update(abuse_reports).where(abuse_reports.c.id == report_id).values(**values))


def open_count(connection: Connection) -> int:
    """Number of open reports."""
    query = select(func.count()).select_from(abuse_reports).where(abuse_reports.c.state == OPEN)
    return connection.scalar(query) or 0


def host_at(connection: Connection, name: str) -> Host | None:
    """The host that has this name, or is the closest one above it: its wildcard, related names and records."""
    query = queries.HOST.where(hosts.c.fqdn.in_(endings(name)), hosts.c.reverse_of.is_(None))
    query = query.order_by(func.length(hosts.c.fqdn).desc())
    row = connection.execute(query.limit(1)).first()
    return Host._make(row) if row else None
