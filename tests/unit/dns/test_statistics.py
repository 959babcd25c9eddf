# SPDX-License-Identifier: GPL-3.0-or-later
"""The serials that a statistics channel shows, and channels that are of no use."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ddnsd.dns.bind import statistics
from ddnsd.dns.bind.statistics import StatisticsChannel
from ddnsd.dns.endpoint import Endpoint

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


def zone(name: str, serial: object = 7, **others: str) -> dict[str, object]:
    return {"name": name, "class": "IN", "type": "primary", "serial": serial, "loaded": "2026-11-29T22:43:43Z"} | others


def answer(time: int = 0, **views: list[dict[str, object]]) -> bytes:
    content: dict[str, Any] = {"json-stats-version": "1.7", "current-time": str(time)}
    return HEAD + json.dumps(content | {"views": {name: {"zones": zones} for name, zones in views.items()}}).encode()


class Channel:
    """Answers with `text`; None: never."""

    def __init__(self) -> None:
        self.text: bytes | None = b""
        self.reads = 0
        self.channel: StatisticsChannel

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reads += 1
        request = await reader.readuntil(b"\r\n\r\n")
        assert request.startswith(b"GET /json/v1/zones HTTP/1.1\r\n")
        if self.text is None:
            await reader.read()
        else:
            writer.write(self.text)
        writer.close()

    async def says(self, text: bytes | None, zones: int = 10) -> dict[str, int]:
        self.text = text
        return dict(await self.channel.serials(zones))


@asynccontextmanager
async def running() -> AsyncIterator[Channel]:
    one = Channel()
    async with await asyncio.start_server(one.serve, "127.0.0.1", 0) as server:
        one.channel = StatisticsChannel(Endpoint("127.0.0.1", server.sockets[0].getsockname()[1]))
        yield one


async def test_serials_by_name() -> None:
    async with running() as channel:
        shown: list[dict[str, object]] = [
            zone("a.test"),
            zone("B.Test", 2**32 - 1),
            {"name": "not-loaded.test", "class": "IN", "type": "primary"},
            zone("text.test", "-"),
            zone("c.test", type="secondary"),
            zone("older.test", type="master"),
            zone("version.bind", **{"class": "CH"}),
        ]
        assert await channel.says(answer(_default=shown)) == {"a.test": 7, "b.test": 2**32 - 1, "older.test": 7}


async def test_views_with_different_serials() -> None:
    async with running() as channel:
        inside, outside = [zone("a.test"), zone("b.test")], [zone("A.test", 8), zone("b.test"), zone("c.test")]
        assert await channel.says(answer(inside=inside, outside=outside)) == {"b.test": 7, "c.test": 7}


async def test_an_answer_that_differs_only_in_its_time() -> None:
    async with running() as channel:
        found = [
            await channel.says(answer(time, _default=[zone("a.test", serial)])) for time, serial in enumerate((1, 1, 2))
        ]
        assert found == [{"a.test": 1}, {"a.test": 1}, {"a.test": 2}]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        HEAD + b"{",
        HEAD + b"[]",
        HEAD + b"{}",
        HEAD + b'{"views": {"x": 7}}',
        HEAD + b'{"views": {"x": {"zones": [{"name": 7, "class": "IN", "type": "primary", "serial": 1}]}}}',
        HEAD + b"[" * 60_000,
        HEAD + b"\xff",
        answer(_default=[zone("a.test")])[:-3],
        HEAD + b" " * (statistics.LEAST_OCTETS + 10 * statistics.ZONE_OCTETS),
    ],
    ids=lambda text: text[-20:].decode(errors="replace").strip() or "empty",
)
async def test_a_useless_answer_is_not_read_again_at_once(text: bytes) -> None:
    async with running() as channel:
        assert await channel.says(text) == {}
        assert await channel.says(answer(_default=[zone("a.test")])) == {}
        assert channel.reads == 1


async def test_a_silent_channel_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "SECONDS", 0.05)
    async with running() as channel:
        assert await channel.says(answer(_default=[zone("a.test")])) != {}
        assert await channel.says(None) == {}
        monkeypatch.setattr(statistics, "SECONDS", 5)
        assert await channel.says(answer(_default=[zone("a.test")])) == {"a.test": 7}


async def test_no_channel() -> None:
    async with running() as channel:
        pass
    assert await channel.channel.serials(10) == {}
