# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows read to be changed, and the changes that updates of addresses never need."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, delete, exists, insert, select, update

from ddnsd.db import queries, rows
from ddnsd.db.pending import lock
from ddnsd.db.schema import domains, hosts, key_hosts, keys, related, removals, tokens, users


def locked_host(connection: Connection, fqdn: str) -> rows.Host | None:
    """The host, which nobody else changes until the transaction ends."""
    query = queries.HOST.where(hosts.c.fqdn == fqdn).with_for_update(key_share=True, of=hosts)
    row = connection.execute(query).first()
    return rows.Host._make(row) if row else None


def locked_domain(connection: Connection, name: str) -> rows.Domain | None:
    """The domain, in which nobody registers until the transaction ends."""
    row = connection.execute(queries.DOMAIN.where(domains.c.name == name).with_for_update(of=domains)).first()
    return rows.Domain._make(row) if row else None


def locked_user(connection: Connection, name: str) -> rows.User | None:
    """The user, to whom nobody gives anything until the transaction ends."""
    return locked_users(connection, {name}).get(name)


def locked_users(connection: Connection, names: Collection[str]) -> dict[str, rows.User]:
    """Likewise all of these names, in the same order whoever asks."""
    found = connection.execute(queries.USER.where(users.c.name.in_(names)).order_by(users.c.id).with_for_update())
    return {user.name: user for user in map(rows.User._make, found)}


def user_names(connection: Connection, ids: Collection[int]) -> dict[int, str]:
    """The names of users by id."""
    found = connection.execute(select(users.c.id, users.c.name).where(users.c.id.in_(list(ids))))
    return {row.id: row.name for row in found}


# ---- hosts


def names_in_removal(connection: Connection, names: Sequence[str]) -> set[str]:
    """Those of the full names that are about to leave the zone: they stand there as ours."""
    waiting = removals.c.fqdn.in_(names), removals.c.dirty_since.is_not(None), ~removals.c.exact
    return set(connection.scalars(select(removals.c.fqdn).where(*waiting)))


def rename_related(connection: Connection, host_id: int, before: str, after: str) -> None:
    """Names below a host move with it."""
    for name in queries.related_of(connection, [host_id]).get(host_id, ()):
        moved = name.fqdn.removesuffix(before) + after
        connection.execute(update(related).where(related.c.id == name.id).values(fqdn=moved))


def add_related(connection: Connection, host_id: int, fqdn: str, interface_id: str) -> None:
    """Insert a related name. IntegrityError when it is taken."""
    connection.execute(insert(related).values(host_id=host_id, fqdn=fqdn, interface_id=interface_id))


def set_related(connection: Connection, related_id: int, interface_id: str) -> None:
    """Change where a related name points to."""
    connection.execute(update(related).where(related.c.id == related_id).values(interface_id=interface_id))


def delete_related(connection: Connection, related_id: int) -> None:
    """Delete the row."""
    connection.execute(delete(related).where(related.c.id == related_id))


def leave_keys_of_others(connection: Connection, host_ids: Sequence[int]) -> None:
    """Take hosts out of the keys of users who do not own them; 500 at most."""
    pairs = keys.c.id == key_hosts.c.key_id, hosts.c.id == key_hosts.c.host_id, keys.c.owner_id != hosts.c.owner_id
    of_others = exists().where(*pairs).correlate(key_hosts)
    connection.execute(delete(key_hosts).where(key_hosts.c.host_id.in_(host_ids), of_others))


def send_hosts_of(connection: Connection, owner_id: int) -> None:
    """Have all hosts of a user sent to DNS again."""
    ids = list(connection.scalars(select(hosts.c.id).where(hosts.c.owner_id == owner_id).order_by(hosts.c.id)))
    lock(connection, ids)
    queries.remember_unclaimed(connection, ids)
    queries.wish_again(connection, ids)


# ---- domains


def has_hosts(connection: Connection, domain_id: int) -> bool:
    """Whether the domain has a host."""
    return bool(connection.scalar(select(exists().where(hosts.c.domain_id == domain_id))))


def is_being_left(connection: Connection, domain_id: int) -> bool:
    """Whether names are still to leave the domain's zone."""
    waiting = removals.c.domain_id == domain_id, removals.c.dirty_since.is_not(None)
    return bool(connection.scalar(select(exists().where(*waiting))))


def set_domain(connection: Connection, domain_id: int, **values: Any) -> None:
    """Change columns of a domain."""
    connection.execute(update(domains).where(domains.c.id == domain_id).values(**values))


def delete_domain(connection: Connection, domain_id: int) -> None:
    """Delete the row, with the memory of what left the zone."""
    connection.execute(delete(domains).where(domains.c.id == domain_id))


# ---- accounts


def owns_something(connection: Connection, user_id: int) -> bool:
    """Whether the user has a host or a domain."""
    has_host = select(exists().where(hosts.c.owner_id == user_id))
    has_domain = select(exists().where(domains.c.owner_id == user_id))
    return bool(connection.scalar(has_host)) or bool(connection.scalar(has_domain))


def set_user(connection: Connection, user_id: int, **values: Any) -> None:
    """Change columns of a user."""
    connection.execute(update(users).where(users.c.id == user_id).values(**values))


def delete_user(connection: Connection, user_id: int) -> None:
    """Delete the row, with the user's tokens and keys."""
    connection.execute(delete(users).where(users.c.id == user_id))


def delete_token(connection: Connection, token_id: int) -> None:
    """Delete the row."""
    connection.execute(delete(tokens).where(tokens.c.id == token_id))


def delete_key(connection: Connection, key_id: int) -> None:
    """Delete the row; its hosts stay."""
    connection.execute(delete(keys).where(keys.c.id == key_id))
