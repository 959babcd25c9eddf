# SPDX-License-Identifier: GPL-3.0-or-later
"""Enrolment tokens: one row per host; the host is locked before its row here changes."""

from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from ddnsd.db.schema import enrolments, hosts, users


class Enrolment(NamedTuple):
    """A token, with the current state of its host and its creator; times are microseconds.

    `replaces` is the hash of the host's secret when the token was created, `secret_hash` that of the current one.
    """

    host_id: int
    replaces: bytes
    expires: int
    used: bool
    fqdn: str
    owner_id: int
    secret_hash: bytes
    user_id: int
    admin: bool
    active: bool
    owner_active: bool


_OWNERS = users.alias("owners")

ENROLMENT = (
    select(
        enrolments.c.host_id,
        enrolments.c.replaces,
        enrolments.c.expires,
        enrolments.c.used,
        hosts.c.fqdn,
        hosts.c.owner_id,
        hosts.c.secret_hash,
        enrolments.c.user_id,
        users.c.admin,
        users.c.active,
        _OWNERS.c.active.label("owner_active"),
    )
    .join_from(enrolments, hosts)
    .join(users, users.c.id == enrolments.c.user_id)
    .join(_OWNERS, _OWNERS.c.id == hosts.c.owner_id)
)


def find(connection: Connection, token_hash: bytes) -> Enrolment | None:
    """The token with this hash."""
    row = connection.execute(ENROLMENT.where(enrolments.c.token_hash == token_hash)).first()
    return Enrolment._make(row) if row else None


def locked(connection: Connection, token_hash: bytes) -> Enrolment | None:
    """As `find`, with host and token locked until the end of the transaction."""
    of_token = select(enrolments.c.host_id).where(enrolments.c.token_hash == token_hash).scalar_subquery()
    connection.execute(select(hosts.c.id).where(hosts.c.id == of_token).with_for_update(key_share=True))
    return find(connection, token_hash)


def replace(
    connection: Connection, host_id: int, *, user_id: int, token_hash: bytes, replaces: bytes, expires: int
) -> None:
    """Store a token in place of the host's former one."""
    connection.execute(delete(enrolments).where(enrolments.c.host_id == host_id))
    values = {"user_id": user_id, "token_hash": token_hash, "replaces": replaces, "expires": expires}
    connection.execute(insert(enrolments).values(host_id=host_id, **values))


def mark_used(connection: Connection, host_id: int) -> None:
    """Store the secret that the machine sent with the token."""
    connection.execute(update(enrolments).where(enrolments.c.host_id == host_id).values(used=True))
