# SPDX-License-Identifier: GPL-3.0-or-later
"""Deny lists in the database, which administrators edit. Each process loads changes within seconds."""

import asyncio
import ipaddress
import re
from collections.abc import Iterable

from sqlalchemy import Connection

from ddnsd.db import denylist, queries
from ddnsd.db.base import Store
from ddnsd.db.denylist import Denial
from ddnsd.registry.denylist import DenyList
from ddnsd.registry.errors import Code, Invalid, NoDenial, Reason, Taken
from ddnsd.registry.inputs import COMMENT_LENGTH
from ddnsd.registry.rows import Page, page_of

SECONDS = 2.0
"""How often a process reads the lists."""

KINDS = ("network", "agent", "name")

WIDEST = {4: 8, 6: 16}
"""Shortest prefixes allowed, because a larger network is probably a mistake."""

_COMMENT = re.compile(rf"[^\x00-\x1f\x7f-\x9f]{{0,{COMMENT_LENGTH}}}")
_NAME = re.compile(r"(?=.*[a-z0-9])[a-z0-9.*-]{1,253}")
STARS = 4


class StoredDenyList:
    """The lists in the database, and the copy in this process."""

    def __init__(self, store: Store, current: DenyList) -> None:
        self._store, self._current = store, current
        self._held: list[Denial] | None = None
        self._turn = asyncio.Lock()  # an older read must not replace a newer one

    async def add(self, kind: str, value: str, comment: str | None, *, actor: str, client_ip: str | None) -> Denial:
        """Deny a network, a user agent or a name, at once in this process. Raises Invalid, Taken, StoreDown."""
        made = await self._store.transact(lambda c: add(c, kind, value, comment, actor=actor, client_ip=client_ip))
        await self.refresh()
        return made

    async def remove(self, denial_id: int, *, actor: str, client_ip: str | None) -> None:
        """Remove an entry, at once in this process. Raises NoDenial, StoreDown."""
        await self._store.transact(lambda c: remove(c, denylist.find(c, denial_id), actor=actor, client_ip=client_ip))
        await self.refresh()

    async def get(self, denial_id: int) -> Denial:
        """The entry of that id. Raises NoDenial, StoreDown."""
        found = await self._store.read(lambda c: denylist.find(c, denial_id))
        if found is None:
            raise NoDenial
        return found

    async def page(self, after: int, limit: int, kind: str | None = None) -> Page[Denial]:
        """Entries with an id above `after`, of one kind or of all. Raises StoreDown."""
        return page_of(await self._store.read(lambda c: denylist.page(c, after, limit + 1, kind)), limit)

    async def refresh(self) -> None:
        """Load the lists from the database if they have changed. Raises StoreDown."""
        async with self._turn:
            found = await self._store.read(denylist.everything)
            if found != self._held:
                await asyncio.to_thread(_use, self._current, found)  # slow with thousands of networks
                self._held = found


def add(
    connection: Connection, kind: str, value: str, comment: str | None, *, actor: str, client_ip: str | None = None
) -> Denial:
    """Deny a network, a user agent or a name. Processes load it within seconds. Raises Invalid, Taken."""
    canonical = _canonical(kind, value)
    if comment is not None and not _COMMENT.fullmatch(comment):
        raise Invalid(comment=Reason(Code.DENIAL_COMMENT_INVALID, limit=COMMENT_LENGTH))
    if denylist.named(connection, kind, canonical):
        raise Taken(value=Reason(Code.DENIAL_EXISTS, value=canonical))
    made = denylist.add(connection, kind=kind, value=canonical, comment=comment, created_by=actor)
    queries.add_event(connection, actor, "deny.add", canonical, client_ip, f"{kind}: {comment or ''}".rstrip(": "))
    return made


def named(connection: Connection, kind: str, value: str) -> Denial:
    """The entry of that kind and value. Raises Invalid, NoDenial."""
    canonical = _canonical(kind, value)
    if found := denylist.named(connection, kind, canonical):
        return found
    raise NoDenial(Code.DENIAL_MISSING, value=canonical)


def remove(connection: Connection, found: Denial | None, *, actor: str, client_ip: str | None = None) -> None:
    """Remove an entry. Processes load the change within seconds. Raises NoDenial."""
    if found is None or not denylist.remove(connection, found.id):
        raise NoDenial
    queries.add_event(connection, actor, "deny.remove", found.value, client_ip, found.kind)


def _use(current: DenyList, found: Iterable[Denial]) -> None:
    by_kind: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for denial in found:
        by_kind[denial.kind].append(denial.value)
    networks = [ipaddress.ip_network(text) for text in by_kind["network"]]
    current.use(networks, by_kind["agent"], by_kind["name"])


def _canonical(kind: str, value: str) -> str:
    """The value as it is stored. Raises Invalid."""
    text = value.strip()
    if kind == "network":
        return _network(text)
    if kind == "agent":
        if not (3 <= len(text) <= 120 and text.isprintable()):
            raise Invalid(value=Reason(Code.AGENT_INVALID))
        return text.lower()
    folded = text.lower().removesuffix(".")
    if not _NAME.fullmatch(folded) or folded.count("*") > STARS or ".." in folded:
        raise Invalid(value=Reason(Code.PATTERN_INVALID, limit=STARS))
    return folded


def _network(text: str) -> str:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Invalid(value=Reason(Code.NETWORK_INVALID, network=text)) from None
    if network.prefixlen < WIDEST[network.version]:
        raise Invalid(value=Reason(Code.NETWORK_TOO_WIDE, network=str(network), limit=WIDEST[network.version]))
    return str(network)
