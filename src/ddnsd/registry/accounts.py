# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, their tokens and their keys. Each function is one piece of a transaction."""

from collections.abc import Sequence

from sqlalchemy import Connection, exists, insert, select

from ddnsd.registry import names
from ddnsd.registry.errors import Invalid
from ddnsd.store import queries
from ddnsd.store.rows import User
from ddnsd.store.tables import key_hosts, keys, tokens, users

SCOPES = ("read", "write", "admin")


def add_user(connection: Connection, name: str, *, admin: bool = False) -> User:
    """The user of that name, created when missing."""
    if not name or len(name) > 150 or not name.isprintable() or " " in name:
        raise Invalid(name="a user name has 1 to 150 printable characters and no blanks")
    if queries.user(connection, name) is None:
        connection.execute(insert(users).values(name=name, admin=admin, created=queries.now()))
    return user_named(connection, name)


def user_named(connection: Connection, name: str) -> User:
    """The user. Raises Invalid when there is none."""
    user = queries.user(connection, name)
    if user is None:
        raise Invalid(user=f"there is no user {name!r} (ddnsd user add {name})")
    return user


def add_token(
    connection: Connection, user: User, name: str, hashed: bytes, *, scopes: Sequence[str],
    domains: Sequence[str] = (), hosts: Sequence[str] = (), networks: Sequence[str] = (), expires: int | None = None,
) -> None:  # fmt: skip
    """Keep a token's hash and its limits; `expires` in microseconds since the epoch. Raises Invalid."""
    if connection.scalar(select(exists().where(tokens.c.user_id == user.id, tokens.c.name == name))):
        raise Invalid(name=f"{user.name} has a token named {name!r} already")
    connection.execute(
        insert(tokens).values(
            user_id=user.id, name=name, hash=hashed, scopes=" ".join(scopes), domains=" ".join(domains),
            hosts=" ".join(hosts), networks=" ".join(networks), expires=expires, created=queries.now(),
        )
    )  # fmt: skip


def add_key(
    connection: Connection, user: User, login: str, hashed: bytes, fqdns: Sequence[str], name: str = ""
) -> None:
    """Keep a key for a group of the user's own hosts. Raises Invalid, naming every host that is not theirs."""
    folded = [names.fold(fqdn) for fqdn in fqdns]
    own = {host.fqdn: host.id for host in queries.hosts_named(connection, folded) if host.owner_id == user.id}
    if missing := [fqdn for fqdn in folded if fqdn not in own]:
        raise Invalid(hosts=f"{user.name} has no host {', '.join(missing)}")
    values = {"owner_id": user.id, "login": login, "name": name or login, "secret_hash": hashed}
    result = connection.execute(insert(keys).values(created=queries.now(), **values))
    assert result.inserted_primary_key is not None
    key_id = result.inserted_primary_key[0]
    connection.execute(insert(key_hosts), [{"key_id": key_id, "host_id": host_id} for host_id in sorted(own.values())])
