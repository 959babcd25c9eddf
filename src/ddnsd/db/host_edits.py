# SPDX-License-Identifier: GPL-3.0-or-later
"""Locked reads and changes of rows, for everything except updates of addresses."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, delete, exists, false, insert, or_, select, update

from ddnsd.db import pointer_marks, queries, rows
from ddnsd.db.pending import lock
from ddnsd.db.schema import answers, domains, hosts, key_hosts, keys, related, removals, tokens, users


def locked_host(connection: Connection, fqdn: str) -> rows.Host | None:
    """The host, locked until the end of the transaction."""
    query = queries.HOST.where(hosts.c.fqdn == fqdn).with_for_update(key_share=True, of=hosts)
    row = connection.execute(query).first()
    return rows.Host._make(row) if row else None


def locked_domain(connection: Connection, name: str) -> rows.Domain | None:
    """The domain, locked against registrations until the end of the transaction."""
    row = connection.execute(queries.DOMAIN.where(domains.c.name == name).with_for_update(of=domains)).first()
    return rows.Domain._make(row) if row else None


def locked_user(connection: Connection, name: str) -> rows.User | None:
    """The user, locked until the end of the transaction."""
    return locked_users(connection, {name}).get(name)


def locked_users(
    connection: Connection, names: Collection[str], *, administrators: bool = False
) -> dict[str, rows.User]:
    """The users of these names, locked in a fixed order; on demand with all administrators."""
    wanted = or_(users.c.name.in_(names), users.c.admin if administrators else false())
    found = connection.execute(queries.USER.where(wanted).order_by(users.c.id).with_for_update())
    return {user.name: user for user in map(rows.User._make, found)}


def user_names(connection: Connection, ids: Collection[int]) -> dict[int, str]:
    """The names of users by id."""
    found = connection.execute(select(users.c.id, users.c.name).where(users.c.id.in_(list(ids))))
    return {row.id: row.name for row in found}


# ---- hosts


def names_in_removal(connection: Connection, names: Sequence[str]) -> set[str]:
    """Those of the full names with a pending removal: they are in the zone and are ours."""
    waiting = removals.c.fqdn.in_(names), removals.c.dirty_since.is_not(None), ~removals.c.exact
    return set(connection.scalars(select(removals.c.fqdn).where(*waiting)))


def rename_related(connection: Connection, host_id: int, before: str, after: str) -> None:
    """Move the related names of a renamed host."""
    for name in queries.related_of(connection, [host_id]).get(host_id, ()):
        moved = name.fqdn.removesuffix(before) + after
        connection.execute(update(related).where(related.c.id == name.id).values(fqdn=moved))


def add_related(connection: Connection, host_id: int, fqdn: str, interface_id: str) -> None:
    """Insert a related name. Raises IntegrityError if it is taken."""
    connection.execute(insert(related).values(host_id=host_id, fqdn=fqdn, interface_id=interface_id))


def set_related(connection: Connection, related_id: int, interface_id: str) -> None:
    """Change the interface id of a related name."""
    connection.execute(update(related).where(related.c.id == related_id).values(interface_id=interface_id))


def delete_related(connection: Connection, related_id: int) -> None:
    """Delete the row."""
    connection.execute(delete(related).where(related.c.id == related_id))


def leave_keys_of_others(connection: Connection, host_ids: Sequence[int]) -> None:
    """Remove at most 500 hosts from the keys of users who do not own them."""
    pairs = keys.c.id == key_hosts.c.key_id, hosts.c.id == key_hosts.c.host_id, keys.c.owner_id != hosts.c.owner_id
    of_others = exists().where(*pairs).correlate(key_hosts)
    connection.execute(delete(key_hosts).where(key_hosts.c.host_id.in_(host_ids), of_others))


def send_hosts_of(connection: Connection, owner_id: int) -> None:
    """Mark all hosts of a user as pending."""
    ids = list(connection.scalars(select(hosts.c.id).where(hosts.c.owner_id == owner_id).order_by(hosts.c.id)))
    lock(connection, ids)
    queries.remember_unclaimed(connection, ids)
    queries.wish_again(connection, ids)
    pointer_marks.mark_hosts_of(connection, owner_id)


# ---- domains


def has_hosts(connection: Connection, domain_id: int) -> bool:
    """Whether the domain has a host."""
    return bool(connection.scalar(select(exists().where(hosts.c.domain_id == domain_id))))


def is_being_left(connection: Connection, domain_id: int) -> bool:
    """Whether the domain's zone has pending removals that are not skipped."""
    left = removals.c.id.not_in(queries.SKIPPED_REMOVALS)
    waiting = removals.c.domain_id == domain_id, removals.c.dirty_since.is_not(None), left
    return bool(connection.scalar(select(exists().where(*waiting))))


def set_domain(connection: Connection, domain_id: int, **values: Any) -> None:
    """Change columns of a domain."""
    connection.execute(update(domains).where(domains.c.id == domain_id).values(**values))


def delete_domain(connection: Connection, domain_id: int) -> None:
    """Delete the domain, with its removals."""
    connection.execute(delete(domains).where(domains.c.id == domain_id))


# ---- accounts


def domains_of_user(connection: Connection, user_id: int, limit: int) -> list[str]:
    """The names of at most `limit` domains that the user owns, sorted."""
    query = select(domains.c.name).where(domains.c.owner_id == user_id).order_by(domains.c.name)
    return list(connection.scalars(query.limit(limit)))


def hosts_of_user(connection: Connection, user_id: int, limit: int, *, blocked: bool = False) -> list[str]:
    """The full names of at most `limit` hosts of the user, sorted; on demand only of blocked ones."""
    own = hosts.c.owner_id == user_id, hosts.c.reverse_of.is_(None)
    query = select(hosts.c.fqdn).where(*own).order_by(hosts.c.fqdn)
    return list(connection.scalars((query.where(hosts.c.abuse_blocked) if blocked else query).limit(limit)))


def set_user(connection: Connection, user_id: int, **values: Any) -> None:
    """Change columns of a user."""
    connection.execute(update(users).where(users.c.id == user_id).values(**values))


def delete_user(connection: Connection, user_id: int) -> None:
    """Delete the row, with what refers to it, and stored answers. There must be no hosts and no domains."""
    connection.execute(delete(answers).where(answers.c.user_id == user_id))
    connection.execute(delete(users).where(users.c.id == user_id))


def hold_token(connection: Connection, token_id: int, *, alone: bool = False) -> bool:
    """Lock a token until the end of the transaction: against its deletion, or `alone`. Returns whether it exists."""
    held = select(tokens.c.id).where(tokens.c.id == token_id).with_for_update(read=not alone, key_share=not alone)
    return connection.scalar(held) is not None


def delete_token(connection: Connection, token_id: int) -> None:
    """Delete the row, and those of tokens that were created with it."""
    connection.execute(delete(tokens).where(tokens.c.id == token_id))


def hold_key(connection: Connection, key_id: int) -> bool:
    """Lock a key until the end of the transaction. Returns whether it exists."""
    return connection.scalar(select(keys.c.id).where(keys.c.id == key_id).with_for_update()) is not None


def set_key(connection: Connection, key_id: int, **values: Any) -> None:
    """Change columns of a key."""
    connection.execute(update(keys).where(keys.c.id == key_id).values(**values))


def set_key_hosts(connection: Connection, key_id: int, host_ids: Iterable[int]) -> None:
    """Make these the hosts of a key."""
    connection.execute(delete(key_hosts).where(key_hosts.c.key_id == key_id))
    connection.execute(insert(key_hosts), [{"key_id": key_id, "host_id": host_id} for host_id in host_ids])


def delete_key(connection: Connection, key_id: int) -> None:
    """Delete the row; its hosts stay."""
    connection.execute(delete(keys).where(keys.c.id == key_id))
