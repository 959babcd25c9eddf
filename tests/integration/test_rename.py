# SPDX-License-Identifier: GPL-3.0-or-later
"""A rename whose new name somebody takes in the zone after it was found free."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.ports import wait_until
from support.servers.service import Service, dev

from ddnsd.db import queries
from ddnsd.db.connect import open_store
from ddnsd.db.lookups import Lookups
from ddnsd.dns.conflicts import Obstacle
from ddnsd.dns.writer import Writer
from ddnsd.registry.errors import Taken
from ddnsd.registry.hosts import Edit, Edits
from ddnsd.registry.policy import Policy


class Hasty(Writer):
    """Finds every name free, as one does who looks a moment too early."""

    async def obstacles(self, domain_id: int, names: Sequence[str]) -> dict[str, Obstacle]:
        return {}


async def test_it_is_undone(tmp_path: Path, store_settings: Callable[[], dict[str, str]]) -> None:
    with dev(tmp_path / "service", **store_settings()) as service:
        secret = service.register("old", ip="192.0.2.1", wildcard="true")
        service.add_record("new", "TXT", "taken")
        for _ in range(2):
            await _rename(service, f"old.{service.domain}", f"new.{service.domain}")
        wait_until(lambda: service.dig(f"old.{service.domain}") == ["192.0.2.1"], 10, "the old name is back")
        assert service.dig(f"x.old.{service.domain}") == ["192.0.2.1"]
        assert (service.dig(f"new.{service.domain}"), service.dig(f"x.new.{service.domain}")) == ([], [])
        assert service.dig(f"new.{service.domain}", "TXT") == ['"taken"']
        update = service.get("/nic/update", auth=(f"old.{service.domain}", secret), params={"myip": "192.0.2.2"})
        assert update.text == "good 192.0.2.2"
        assert service.cli("reconcile", "--check").returncode == 0


async def _rename(service: Service, old: str, new: str) -> None:
    store = open_store(service.settings.get("DDNSD_DATABASE_URL", f"sqlite:///{service.dir}/ddnsd.db"))
    writer = Hasty(store, Lookups(store), deadline=2.5, default_ttl=60)
    await writer.start()
    try:
        host = await store.read(lambda c: queries.host(c, old))
        domain = await store.read(lambda c: queries.domain(c, service.domain))
        assert host is not None
        assert domain is not None
        edits = Edits(store, writer, Policy())
        edit = Edit({"comment": "new", "wildcard": False}, "admin", None, lambda _: None, rename=(new, domain))
        with pytest.raises(Taken):
            await edits.apply(host, edit)
        after = await store.read(lambda c: queries.host(c, old))
        assert after is not None
        assert after == host._replace(version=after.version, pending_since=after.pending_since)
        assert await store.read(lambda c: queries.host(c, new)) is None
    finally:
        await writer.stop()
        await store.close()
