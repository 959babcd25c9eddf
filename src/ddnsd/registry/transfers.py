# SPDX-License-Identifier: GPL-3.0-or-later
"""Giving hosts to another owner, through whichever door: what becomes of the secrets, and what stops.

By default the host gets a secret that nobody knows, and leaves the keys of other users, so everything that the former
owner has stops working. The new owner makes a new secret when the machine is to go on. `keep` leaves secret and keys.
"""

import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from ddnsd.db import last_seen, queries
from ddnsd.db.base import Store
from ddnsd.db.rows import Host, User
from ddnsd.registry.errors import Code, Invalid, Reason
from ddnsd.registry.last_seen import LastSeen

KEEP, REPLACE = "keep", "replace"
SECRETS = (KEEP, REPLACE)

NO_OWNER = Reason(Code.SECRETS_WITHOUT_OWNER)

PART = 500


class Transfer(NamedTuple):
    """What the audit trail says to the new owner."""

    action: str
    subject: str
    detail: str
    owner_id: int


class Transfers:
    """What must be known before a host is given away."""

    def __init__(self, store: Store, last_seen: LastSeen) -> None:
        self._store, self._last_seen = store, last_seen

    async def new_owner(self, name: str) -> User:
        """The user of that name, who may own hosts. Raises Invalid, StoreDown."""
        return check_owner(await self._store.read(lambda c: queries.user(c, name)), name)

    async def machines(self, hosts: Sequence[Host]) -> int:
        """As the function of that name, with requests that came just now. Raises StoreDown."""
        await self._last_seen.write()
        return await self._store.read(lambda c: machines(c, hosts))


def check_owner(user: User | None, name: str) -> User:
    """The user who is to own a host. Raises Invalid."""
    if user is None:
        raise Invalid(owner=Reason(Code.USER_MISSING, user=name))
    if not user.active:
        raise Invalid(owner=switched_off(name))
    return user


def switched_off(name: str) -> Reason:
    """Why a user gets no host."""
    return Reason(Code.USER_INACTIVE, user=name)


def with_secret(values: Mapping[str, Any], *, keep: bool) -> dict[str, Any]:
    """The columns of a change, with a secret that nobody knows where it gives the host away without its secrets."""
    changed = dict(values)
    if "owner_id" in values and not keep:
        changed["secret_hash"] = secrets.token_bytes(32)
    return changed


def note(values: Collection[str]) -> str | None:
    """What the host's history says of the secrets, where these columns give it away."""
    if "owner_id" not in values:
        return None
    return f"secrets {'replaced' if 'secret_hash' in values else 'kept'}"


def told(host: Host, values: Mapping[str, Any], owners: Mapping[int, str]) -> Transfer | None:
    """The entry for the new owner, where these columns give the host away; `owners` are names by id."""
    if "owner_id" not in values:
        return None
    detail = f"from {owners.get(host.owner_id, '?')}, {note(values)}"
    return Transfer("host.transfer", values.get("fqdn", host.fqdn), detail, values["owner_id"])


def machines(connection: Connection, hosts: Sequence[Host]) -> int:
    """How many of the hosts a machine keeps up to date: with their secrets or keys replaced these stop.

    A machine counts once it has signed in: requests that were answered `badauth` are not kept.
    """
    ids = [host.id for host in hosts]
    parts = (ids[i : i + PART] for i in range(0, len(ids), PART))
    return sum(len(last_seen.of(connection, part)) for part in parts)
