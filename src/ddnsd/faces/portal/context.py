# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pages work with; one object for each process."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ddnsd.faces.rest.context import Context
from ddnsd.identity.caller import Caller
from ddnsd.store import rows
from ddnsd.zones.watch import Watch


class Session(Protocol):
    """Somebody who has signed in; times are microseconds since the epoch."""

    @property
    def id(self) -> int: ...

    @property
    def user(self) -> Caller: ...

    @property
    def csrf(self) -> str: ...


class Sessions(Protocol):
    """Who has signed in, by the value of their cookie."""

    async def find(self, cookie: str, source: str | None) -> Session | None:
        """The session of this cookie, unless it has ended. Raises StoreDown."""

    async def begin(self, user_id: int, method: str, source: str | None, agent: str) -> str:
        """Begin a session; answers the value of its cookie. Raises StoreDown."""

    async def end(self, session_id: int) -> None:
        """End a session. Raises StoreDown."""

    async def end_all(self, user_id: int, *, but: int | None = None) -> int:
        """End a user's sessions, but one; answers how many. Raises StoreDown."""

    async def list(self, user_id: int) -> list[rows.Session]:
        """A user's sessions that have not ended, the last one seen first. Raises StoreDown."""


@dataclass(frozen=True)
class Portal(Context):
    """The parts of `/api`, and what pages need beside them.

    `form_targets` are the origins that a form may lead to beside our own: those of the identity providers.
    """

    watch: Watch
    sessions: Sessions
    base_url: str
    form_targets: Sequence[str] = ()
