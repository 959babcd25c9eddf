# SPDX-License-Identifier: GPL-3.0-or-later
"""Give hosts to another owner, and replace their secrets.

By default the host gets a secret that nobody knows, and is removed from keys of other users, so all credentials of the
former owner stop working. The new owner creates a new secret for the machine. `keep` changes no secret and no key.
"""

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
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
    """An event in the audit log for one of the two owners."""

    action: str
    subject: str
    detail: str
    owner_id: int


class Transfers:
    """Checks before a host is given to another user."""

    def __init__(self, store: Store, last_seen: LastSeen) -> None:
        self._store, self._last_seen = store, last_seen

    async def new_owner(self, name: str) -> User:
        """The user of that name. Raises Invalid if they cannot own hosts, StoreDown."""
        return check_owner(await self._store.read(lambda c: queries.user(c, name)), name)

    async def machines(self, hosts: Sequence[Host]) -> int:
        """Count as the function `machines` does, including the latest requests. Raises StoreDown."""
        await self._last_seen.write()
        return await self._store.read(lambda c: machines(c, hosts))


def check_owner(user: User | None, name: str) -> User:
    """The user, who must exist and be active to own hosts. Raises Invalid."""
    if user is None:
        raise Invalid(owner=Reason(Code.USER_MISSING, user=name))
    if not user.active:
        raise Invalid(owner=switched_off(name))
    return user


def switched_off(name: str) -> Reason:
    """The reason why an inactive user cannot get a host."""
    return Reason(Code.USER_INACTIVE, user=name)


def with_secret(values: Mapping[str, Any], *, keep: bool) -> dict[str, Any]:
    """The columns of a change. A new owner also means a new secret that nobody knows, unless `keep`."""
    changed = dict(values)
    if "owner_id" in values and not keep:
        changed["secret_hash"] = secrets.token_bytes(32)
    return changed


def note(values: Collection[str]) -> str | None:
    """The note about secrets in the host's history, or None if these columns do not change the owner."""
    if "owner_id" not in values:
        return None
    return f"secrets {'replaced' if 'secret_hash' in values else 'kept'}"


def told(host: Host, values: Mapping[str, Any], owners: Mapping[int, str]) -> Iterator[Transfer]:
    """Yield the events for both owners if these columns change the owner; `owners` are names by id."""
    if "owner_id" not in values:
        return
    name, before, now = values.get("fqdn", host.fqdn), host.owner_id, values["owner_id"]
    yield Transfer("host.transfer", name, f"to {owners.get(now, '?')}, {note(values)}", before)
    yield Transfer("host.transfer", name, f"from {owners.get(before, '?')}, {note(values)}", now)


def machines(connection: Connection, hosts: Sequence[Host]) -> int:
    """The number of hosts that a machine updates. These updates stop when secrets and keys are replaced.

    A machine counts only after it has signed in, because requests with the answer `badauth` are not stored.
    """
    ids = [host.id for host in hosts]
    parts = (ids[i : i + PART] for i in range(0, len(ids), PART))
    return sum(len(last_seen.of(connection, part)) for part in parts)
