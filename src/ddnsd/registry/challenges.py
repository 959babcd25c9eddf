# SPDX-License-Identifier: GPL-3.0-or-later
"""ACME challenges (DNS-01, RFC 8555): TXT values at `_acme-challenge` below hosts.

Other values there stay. A value is removed when it ends, also after its client, or the service, has died.
"""

import contextlib
import re
from collections.abc import Collection

import structlog
from sqlalchemy import Connection

from ddnsd.db import acme_challenges, queries, records
from ddnsd.db.base import Store
from ddnsd.db.history import SERVICE, Author
from ddnsd.db.rows import Host
from ddnsd.dns.records import values_of
from ddnsd.registry.errors import Code, Invalid, Reason, RegistryError, Unconfirmed
from ddnsd.registry.hosts import locked, still
from ddnsd.registry.record_sets import Place, ValueChange
from ddnsd.registry.records import RRsets
from ddnsd.registry.updates import check_takes_records

LABEL = "_acme-challenge"
PLACE: Place = (LABEL, "TXT")
TTL = 60
LIFETIME = 3600
"""Seconds after which a value is removed. An authority looks it up within a minute."""

SECONDS = 10.0
"""How often values that have ended are searched for."""

MOST = 100
"""Values that are removed at a time."""

RETRY_SECONDS = 600

_VALUE = re.compile(r"[A-Za-z0-9_-]{1,255}")

log = structlog.get_logger()


class Challenges:
    """Publishes and removes values. The caller checks permissions."""

    def __init__(self, store: Store, rrsets: RRsets) -> None:
        self._store, self._rrsets = store, rrsets

    async def present(self, host: Host, value: str, author: Author, *, newest: int | None = None) -> None:
        """Publish the value beside the others, for an hour. Returns after the name server has acknowledged it.

        `newest`: of the values of challenges, only that many stay. Raises Invalid (value), Taken, Blocked, NoHost,
        OverQuota, NotPublished, StoreDown.
        """
        check_takes_records(host)
        if not _VALUE.fullmatch(value):
            raise Invalid(value=Reason(Code.CHALLENGE_INVALID))
        older = await self._store.transact(lambda c: _remember(c, host, value, newest))
        await self._change(host, author, add=[value], remove=older)
        if older:
            await self._store.transact(lambda c: acme_challenges.forget(c, host.id, older))

    async def cleanup(self, host: Host, value: str, author: Author) -> None:
        """Remove the value, if `present` has published it. Raises Blocked, NoHost, NotPublished, StoreDown."""
        if value in await self._store.read(lambda c: acme_challenges.of_host(c, host.id)):
            await self._remove(host, [value], author)

    async def remove_ended(self) -> None:
        """Remove values that have ended. What cannot be removed is tried again later. Raises StoreDown."""
        for host, values in await self._store.read(lambda c: acme_challenges.expired(c, MOST)):
            try:
                await self._remove(host, values, SERVICE)
            except RegistryError as error:
                log.warning("ended ACME challenge stays", host=host.fqdn, reason=str(error))
                await self._put_off(host, values)

    async def _put_off(self, host: Host, values: Collection[str]) -> None:
        later = queries.now() + RETRY_SECONDS * 1_000_000
        await self._store.transact(lambda c: acme_challenges.put_off(c, host.id, values, later))

    async def _remove(self, host: Host, values: Collection[str], author: Author) -> None:
        with contextlib.suppress(Unconfirmed):  # it is stored, and sent to DNS later
            await self._change(host, author, remove=values)
        await self._store.transact(lambda c: acme_challenges.forget(c, host.id, values))

    async def _change(
        self, host: Host, author: Author, *, add: Collection[str] = (), remove: Collection[str] = ()
    ) -> None:
        change = ValueChange(PLACE, frozenset(map(_quoted, add)), frozenset(map(_quoted, remove)), TTL)
        expect = still(host, check_takes_records if add else None)
        await self._rrsets.change_values(host, change, author, expect, unlimited=not add)


def _remember(connection: Connection, host: Host, value: str, newest: int | None) -> list[str]:
    """Remember the value, unless it is there already as somebody's own. Returns those that must leave for it."""
    current = locked(connection, host, still(host, check_takes_records))
    known = acme_challenges.of_host(connection, current.id)
    present = (one for one in records.of_host(connection, current.id) if one.place == PLACE)
    if value in known or not any(_quoted(value) in values_of(one.data) for one in present):
        acme_challenges.put(connection, current.id, value, queries.now() + LIFETIME * 1_000_000)
    return [one for one in known if one != value][newest - 1 :] if newest is not None else []


def _quoted(value: str) -> str:
    return f'"{value}"'
