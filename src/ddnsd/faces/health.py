# SPDX-License-Identifier: GPL-3.0-or-later
"""`/healthz`, `/readyz`, `/metrics`: for probes and Prometheus."""

import asyncio

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text

from ddnsd.faces.http import Reply, Request, json_reply, text_reply
from ddnsd.store.database import Store, StoreDown
from ddnsd.zones.watch import Watch

STORE_SECONDS = 2.0


class Probes:
    """Health of the process, of the store, and of every primary."""

    def __init__(self, store: Store, watch: Watch) -> None:
        self._store, self._watch = store, watch

    async def alive(self, _request: Request) -> Reply:
        """The process answers."""
        return text_reply(200, "ok")

    async def ready(self, _request: Request) -> Reply:
        """200 when store and every primary answer, else 503; the body names what fails."""
        store = await self._store_problem()
        zones = {zone: h.problem or "ok" for zone, h in sorted(self._watch.health.items())}
        ready = store is None and all(h.problem is None for h in self._watch.health.values())
        content = {"status": "ok" if ready else "error", "store": store or "ok", "zones": zones}
        return json_reply(200 if ready else 503, content)

    async def metrics(self, _request: Request) -> Reply:
        """Prometheus text."""
        return Reply(200, generate_latest(), CONTENT_TYPE_LATEST.encode())

    async def _store_problem(self) -> str | None:
        try:
            async with asyncio.timeout(STORE_SECONDS):
                await self._store.read(lambda c: c.execute(text("SELECT 1")))
        except TimeoutError:
            return "the database does not answer"
        except StoreDown as error:
            return str(error)
        return None
