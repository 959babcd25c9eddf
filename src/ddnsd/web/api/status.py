# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/status`: how the service is, for everybody."""

from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from ddnsd.registry.status import NameServer, Snapshot, ZoneStatus
from ddnsd.web.api import serializers
from ddnsd.web.api.context import Context
from ddnsd.web.api.error_responses import success
from ddnsd.web.api.schemas import Moment, Shown


class ServerOut(Shown):
    """A name server of a zone."""

    reachable: bool
    serial: int | None


class ZoneOut(Shown):
    """A public domain's zone."""

    name: str
    primary: ServerOut
    secondaries: list[ServerOut]


class PrivateOut(Shown):
    """The zones of private domains."""

    zones: int
    reachable: int = Field(description="Of how many the primary answers.")


class StatusOut(Shown):
    """How the service is."""

    at: Moment
    database: bool = Field(description="Whether it answers.")
    waiting: int = Field(description="Hosts that are not known to be in DNS yet.")
    updates_per_minute: int = Field(description="Update requests that this node has answered.")
    words: dict[str, int] = Field(description="With which words.")
    zones: list[ZoneOut]
    private: PrivateOut


def router(context: Context) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["service"])

    @routes.get("/api/status", responses={200: success(StatusOut)})
    async def read_status() -> Response:
        """Database, name servers, what waits, and how much there is to do. Needs no token."""
        return serializers.answer(_status(context.status.current()))

    return routes


def _status(now: Snapshot) -> dict[str, Any]:
    private = [zone for zone in now.zones if not zone.public]
    return {
        "at": serializers.moment(now.at),
        "database": now.store is None,
        "waiting": now.pending,
        "updates_per_minute": sum(now.per_minute.values()),
        "words": dict(now.per_minute),
        "zones": [_zone(zone) for zone in now.zones if zone.public],
        "private": {"zones": len(private), "reachable": sum(zone.primary.problem is None for zone in private)},
    }


def _zone(zone: ZoneStatus) -> dict[str, Any]:
    servers = [_server(server) for server in zone.secondaries]
    return {"name": zone.name, "primary": _server(zone.primary), "secondaries": servers}


def _server(server: NameServer) -> dict[str, Any]:
    return {"reachable": server.problem is None, "serial": server.serial}
