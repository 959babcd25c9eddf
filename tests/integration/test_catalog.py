# SPDX-License-Identifier: GPL-3.0-or-later
"""A secondary that follows the catalog zone: zones come, change and go there with nobody configuring it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.ports import until
from support.servers.bind import CATALOG, Server, pair, transfer_key

from ddnsd.dns.bind.catalog import label
from ddnsd.dns.bind.control import Bind
from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.tsig import TsigKey

ZONE = "dyn.example.org"


@pytest.fixture
async def servers(tmp_path: Path) -> AsyncIterator[tuple[Server, Server]]:
    """The primary runs; the secondary is to be started once there is a catalog."""
    primary, secondary = pair(tmp_path)
    await primary.start()
    yield primary, secondary
    await secondary.stop()
    await primary.stop()


@pytest.fixture
def bind(servers: tuple[Server, Server]) -> Bind:
    return servers[0].bind(catalog=CATALOG, transfer_key=transfer_key(servers[0]).name)


async def test_a_secondary_follows(servers: tuple[Server, Server], bind: Bind) -> None:
    primary, secondary = servers
    await asyncio.to_thread(bind.ensure_catalog)
    await secondary.start()
    key = await asyncio.to_thread(bind.provision, ZONE)
    for name in ("www", *(f"h{n}" for n in range(20))):  # differences alone are sent where they are the smaller part
        assert await primary.replace(ZONE, name, "192.0.2.1", key) == "NOERROR"

    async def at(*addresses: str) -> None:
        async def answers() -> bool:
            return await secondary.ask(f"www.{ZONE}") == list(addresses)

        await until(answers, f"the secondary answers {addresses}")

    await at("192.0.2.1")

    async def is_complete() -> bool:
        return await secondary.ask(ZONE, "SOA") == await primary.ask(ZONE, "SOA")

    await until(is_complete, "the secondary has every name")
    assert await primary.replace(ZONE, "www", "192.0.2.2", key) == "NOERROR"
    await at("192.0.2.2")
    assert f"transfer of '{ZONE}/IN': IXFR started: TSIG {transfer_key(primary).name}" in primary.said

    for _ in range(2):
        await asyncio.to_thread(bind.withdraw, ZONE)
        await at("REFUSED")


async def test_members_are_listed_once(servers: tuple[Server, Server], bind: Bind) -> None:
    primary, _ = servers
    for zone in (ZONE, "lab.example.org"):
        for _ in range(2):
            await asyncio.to_thread(bind.provision, zone)
    transfer = transfer_key(primary)
    assert await primary.ask(f"version.{CATALOG}", "TXT", transfer) == ['"2"']
    assert await primary.ask(f"{label(ZONE)}.zones.{CATALOG}", "PTR", transfer) == [f"{ZONE}."]
    assert await primary.ask(CATALOG, "SOA") == ["REFUSED"]  # who hosts what is nobody else's business
    await asyncio.to_thread(bind.withdraw, ZONE)
    assert await primary.ask(f"{label(ZONE)}.zones.{CATALOG}", "PTR", transfer) == ["NXDOMAIN"]
    assert await primary.ask(f"{label('lab.example.org')}.zones.{CATALOG}", "PTR", transfer) == ["lab.example.org."]


async def test_a_catalog_that_comes_later_lists_what_there_is(servers: tuple[Server, Server], bind: Bind) -> None:
    primary, secondary = servers
    key = await asyncio.to_thread(primary.bind().provision, ZONE)
    done = [await asyncio.to_thread(bind.ensure, ZONE, key, check=check) for check in (True, False, True, False)]
    assert done == [["configuration", "catalog"], ["configuration", "catalog"], [], []]

    await secondary.start()

    async def follows() -> bool:
        return await secondary.ask(ZONE, "NS") == ["localhost."]

    await until(follows, "the secondary serves the zone")


async def test_a_catalog_without_members_is_served(servers: tuple[Server, Server], bind: Bind) -> None:
    primary, secondary = servers
    done = [await asyncio.to_thread(bind.ensure_catalog, check=check) for check in (True, False, True, False)]
    assert done == [["key", "zone"], ["key", "zone"], [], []]
    transfer = transfer_key(primary)
    await secondary.start()

    async def follows() -> bool:
        return await secondary.ask(f"version.{CATALOG}", "TXT", transfer) == ['"2"']

    await until(follows, "the secondary has the catalog")


async def test_nobody_registers_in_the_catalog(bind: Bind) -> None:
    with pytest.raises(BindError, match="is the catalog zone"):
        await asyncio.to_thread(bind.provision, CATALOG)


async def test_a_catalog_that_cannot_be_changed_keeps_the_zone(servers: tuple[Server, Server], bind: Bind) -> None:
    primary, _ = servers
    await asyncio.to_thread(bind.provision, ZONE)
    file = bind.folder / "keys" / f"{CATALOG}.key"
    file.write_text(TsigKey.generate(f"ddnsd.{CATALOG}").to_text())  # not the one that named has read
    with pytest.raises(BindError, match=f"catalog zone {CATALOG}"):
        await asyncio.to_thread(bind.withdraw, ZONE)
    assert await primary.ask(ZONE, "NS") == ["localhost."]
