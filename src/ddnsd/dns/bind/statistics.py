# SPDX-License-Identifier: GPL-3.0-or-later
"""The statistics channel of a BIND: the serials of all its zones in one answer (HTTP, JSON).

The channel has no signature, and anybody could be at its address. So its answer is only a hint which zones have not
changed since the primary was asked with TSIG.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

import structlog

from ddnsd.dns.endpoint import Endpoint

SECONDS = 0.5
"""A channel that takes longer does not save anything."""

PAUSE_SECONDS = 60.0
"""The time until a channel with a useless answer is read again."""

LEAST_OCTETS, ZONE_OCTETS = 64 * 1024, 1024
"""The longest answer: a fixed part, and a part for each of our zones. BIND needs about 150 octets for a zone."""

REQUEST = b"GET /json/v1/zones HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
PRIMARY_TYPES = ("primary", "master")
VIEWS = b'"views"'

log = structlog.get_logger()


class Useless(Exception):
    """The answer cannot be used; the text says why."""


class StatisticsChannel:
    """The statistics channel at `endpoint`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._views = b""
        self._serials: Mapping[str, int] = {}
        self._problem: str | None = None
        self._pause_until = 0.0

    async def serials(self, zones: int) -> Mapping[str, int]:
        """The serials by lower-case zone name, for a service with so many `zones` there; empty without an answer.

        Zones that have different serials in several views are left out.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._pause_until:
            return {}
        try:
            async with asyncio.timeout(SECONDS):
                answer = await self._read(LEAST_OCTETS + ZONE_OCTETS * zones)
            self._take(answer)
        except (TimeoutError, OSError) as error:
            self._failed("it does not answer" if isinstance(error, TimeoutError) else error.strerror or str(error))
            return {}
        except Useless as error:
            self._pause_until = loop.time() + PAUSE_SECONDS
            self._failed(str(error))
            return {}
        self._problem = None
        return self._serials

    async def _read(self, longest: int) -> bytes:
        """The whole answer. Raises OSError, Useless."""
        reader, writer = await asyncio.open_connection(self.endpoint.host, self.endpoint.port, limit=longest)
        try:
            writer.write(REQUEST % str(self.endpoint).encode())
            answer = bytearray()
            while part := await reader.read(longest):
                answer += part
                if len(answer) > longest:
                    raise Useless(f"its answer is longer than {longest} octets: most of its zones are not ours")
        finally:
            writer.close()
        return bytes(answer)

    def _take(self, answer: bytes) -> None:
        """Parse the answer, unless no zone has changed since the last one. Raises Useless."""
        head, _, body = answer.partition(b"\r\n\r\n")
        status = head.split(b"\r\n", 1)[0].split(b" ")
        if len(status) < 2 or not status[0].startswith(b"HTTP/"):
            raise Useless("its answer is not HTTP")
        if status[1] != b"200":
            raise Useless(f"it answers {status[1].decode(errors='replace')[:20]}; BIND must be built with json-c")
        views = body[body.find(VIEWS) :]  # the time of the answer comes before it
        if views != self._views:
            self._serials, self._views = _serials(body), views

    def _failed(self, problem: str) -> None:
        self._views, self._serials = b"", {}
        if problem != self._problem:
            log.warning("statistics channel not used", channel=str(self.endpoint), reason=problem)
        self._problem = problem


def _serials(body: bytes) -> dict[str, int]:
    found: dict[str, int] = {}
    differ: set[str] = set()
    try:
        for name, serial in _zones(json.loads(body)):
            if found.setdefault(name, serial) != serial:
                differ.add(name)
    except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
        raise Useless("it does not answer with the zones of BIND as JSON") from None
    return {name: serial for name, serial in found.items() if name not in differ}


def _zones(content: Any) -> Iterator[tuple[str, int]]:
    """The primary zones with their serials. A zone that is not loaded has none."""
    for view in content["views"].values():
        for zone in view["zones"]:
            if zone["class"] == "IN" and zone["type"] in PRIMARY_TYPES and isinstance(zone.get("serial"), int):
                yield zone["name"].lower(), zone["serial"]
