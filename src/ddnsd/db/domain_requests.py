# SPDX-License-Identifier: GPL-3.0-or-later
"""Domain requests of users."""

from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from ddnsd.db.schema import domain_requests, users

OPEN = "open"


class DomainRequest(NamedTuple):
    """A request with its user; `state` is open, approved, declined or withdrawn, times are microseconds."""

    id: int
    user_id: int
    name: str
    public: bool
    reason: str
    state: str
    answer: str | None
    decided_by: str | None
    decided: int | None
    created: int
    user: str


_REQUEST = select(
    *(domain_requests.c[name] for name in DomainRequest._fields if name != "user"), users.c.name
).join_from(domain_requests, users)


def add(connection: Connection, **values: Any) -> DomainRequest:
    """Insert an open request."""
    result = connection.execute(insert(domain_requests).values(state=OPEN, **values))
    assert result.inserted_primary_key is not None
    made = find(connection, result.inserted_primary_key[0])
    assert made is not None
    return made


def find(connection: Connection, request_id: int, *, lock: bool = False) -> DomainRequest | None:
    """The request with this id, with `lock` locked until the end of the transaction."""
    query = _REQUEST.where(domain_requests.c.id == request_id)
    row = connection.execute(query.with_for_update(of=domain_requests) if lock else query).first()
    return DomainRequest._make(row) if row else None


def set_state(connection: Connection, request_id: int, **values: Any) -> None:
    """Store the decision on a request."""
    connection.execute(update(domain_requests).where(domain_requests.c.id == request_id).values(**values))


def page(
    connection: Connection, after: int, limit: int, *, user_id: int | None = None, state: str | None = None
) -> list[DomainRequest]:
    """At most `limit` requests with an id above `after`, by id: of one user or of all, in one state or in any."""
    query = _REQUEST.where(domain_requests.c.id > after)
    if user_id is not None:
        query = query.where(domain_requests.c.user_id == user_id)
    if state is not None:
        query = query.where(domain_requests.c.state == state)
    found = connection.execute(query.order_by(domain_requests.c.id).limit(limit))
    return [DomainRequest._make(row) for row in found]


def latest(connection: Connection, limit: int, *, user_id: int) -> list[DomainRequest]:
    """At most `limit` requests of the user, newest first, always including the open ones."""
    query = _REQUEST.where(domain_requests.c.user_id == user_id)
    closed = domain_requests.c.state != OPEN
    found = connection.execute(query.order_by(closed, domain_requests.c.id.desc()).limit(limit))
    return sorted((DomainRequest._make(row) for row in found), reverse=True)


def open_of(connection: Connection, user_id: int, name: str) -> bool:
    """Whether the user has an open request for this domain."""
    mine = domain_requests.c.user_id == user_id, domain_requests.c.name == name, domain_requests.c.state == OPEN
    return connection.scalar(select(domain_requests.c.id).where(*mine).limit(1)) is not None


def open_count(connection: Connection, user_id: int | None = None) -> int:
    """Number of open requests, of one user or of all."""
    query = select(func.count()).select_from(domain_requests).where(domain_requests.c.state == OPEN)
    if user_id is not None:
        query = query.where(domain_requests.c.user_id == user_id)
    return connection.scalar(query) or 0
