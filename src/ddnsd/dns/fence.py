# SPDX-License-Identifier: GPL-3.0-or-later
"""A marker in the zone that stops late messages of a former owner, where several processes may own it.

A process that was paused between the check of its lease and the sending may send after another has taken over, and a
message may wait in a network or a queue. So every message that changes the zone requires the marker of its ownership,
and a new owner replaces the marker before its first change: then the name server refuses what comes late.

    _ddnsd.ZONE. TXT "EPOCH OWNER"
"""

import time
from collections.abc import Awaitable, Callable

import structlog

from ddnsd.dns import errors
from ddnsd.dns.message import Update

LABEL = "_ddnsd"
RTYPE = "TXT"
TTL_SECONDS = 60

TRIES = 3
"""How often the marker is read again because it has changed between reading and writing."""

REFUSED_SECONDS = 60.0
"""The time until a refused marker is written again."""

log = structlog.get_logger()


class Fence:
    """The marker of one zone; `send` sends a message, `ask` gives the records of a name and type as texts."""

    def __init__(
        self,
        zone: str,
        send: Callable[[Update], Awaitable[None]],
        ask: Callable[[str, str], Awaitable[list[str]]],
    ) -> None:
        self._zone, self._fqdn = zone, f"{LABEL}.{zone}"
        self._send, self._ask = send, ask
        self._marker: str | None = None  # that the zone has, as far as we know
        self._refused: tuple[str, float] | None = None  # a marker that the name server refuses, and when

    def forget(self) -> None:
        """Forget what the zone has: it is at another name server, or has changed."""
        self._marker = self._refused = None

    async def place(self, marker: str | None) -> None:
        """Write the marker of this ownership, if the zone does not have it; None: no marker is needed.

        A name server may refuse it. Then messages require nothing. Raises DnsError.
        """
        if marker == self._marker:
            return
        self._marker = None
        if marker is None or self._is_refused(marker):
            return
        try:
            await self._write(marker)
        except errors.Refusal as error:
            if not errors.may_be_about_items(error):
                raise
            if self._refused is None:
                log.warning(
                    "marker of the zone's owner refused by the name server",
                    zone=self._zone,
                    name=self._fqdn,
                    reason=str(error),
                )
            self._refused = marker, time.monotonic()
        else:
            self._marker, self._refused = marker, None

    def _is_refused(self, marker: str) -> bool:
        if self._refused is None:
            return False
        refused, moment = self._refused
        return refused == marker and time.monotonic() - moment < REFUSED_SECONDS

    async def _write(self, marker: str) -> None:
        """Replace exactly the marker that is there, so that a late message of another owner cannot replace ours."""
        for number in range(1, TRIES + 1):
            found = await self._read()
            update = Update(self._zone)
            if found:
                update.require_values(self._fqdn, RTYPE, found)
            else:
                update.require_free(self._fqdn, RTYPE)
            try:
                await self._send(update.replace_set(self._fqdn, RTYPE, TTL_SECONDS, [_quoted(marker)]))
            except errors.PrerequisiteFailed:
                if number == TRIES:
                    raise
            else:
                return

    async def _read(self) -> list[str]:
        try:
            return await self._ask(self._fqdn, RTYPE)
        except errors.PrerequisiteFailed:  # NXDOMAIN
            return []

    def require(self, update: Update) -> Update:
        """Prerequisite: the zone has our marker."""
        return update.require_values(self._fqdn, RTYPE, [_quoted(self._marker)]) if self._marker else update

    async def check(self) -> None:
        """Check that the marker is still there, after a prerequisite was not met. Raises FenceLost, DnsError."""
        if not self._marker:
            return
        try:
            await self._send(self.require(Update(self._zone)))
        except errors.PrerequisiteFailed:
            self.forget()
            raise errors.FenceLost from None


def _quoted(marker: str) -> str:
    return f'"{marker}"'
