# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions in memory, until there are those of the store."""

import hashlib
import secrets
from dataclasses import dataclass

from ddnsd.identity.caller import Caller, Kind
from ddnsd.registry.accounts import SCOPES
from ddnsd.store import listing, rows
from ddnsd.store.database import Store


@dataclass(frozen=True)
class MemorySession:
    """A session."""

    id: int
    user: Caller
    csrf: str


class MemorySessions:
    """As `context.Sessions`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sessions: dict[str, MemorySession] = {}

    async def find(self, cookie: str, _source: str | None) -> MemorySession | None:
        return self._sessions.get(cookie)

    async def begin(self, user_id: int, _method: str, _source: str | None, _agent: str) -> str:
        user = (await self._store.read(lambda c: listing.page_of_users(c, user_id - 1, 1)))[0]
        scopes = frozenset(SCOPES if user.admin else {"read", "write"})
        caller = Caller(Kind.USER, user.name, user.id, user.name, scopes=scopes)
        cookie = secrets.token_urlsafe(32)
        session = MemorySession(len(self._sessions), caller, hashlib.sha256(cookie.encode()).hexdigest())
        self._sessions[cookie] = session
        return cookie

    async def end(self, session_id: int) -> None:
        self._sessions = {c: s for c, s in self._sessions.items() if s.id != session_id}

    async def end_all(self, user_id: int, *, but: int | None = None) -> int:
        kept = {c: s for c, s in self._sessions.items() if s.user.user_id != user_id or s.id == but}
        ended, self._sessions = len(self._sessions) - len(kept), kept
        return ended

    async def list(self, user_id: int) -> list[rows.Session]:
        return []
