# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api` and `/api/status`: what answers here and how it is, for everybody."""

import importlib.metadata
from typing import Any

from fastapi import APIRouter, Response
from pydantic import Field

from ddnsd.registry.status import NameServer, Snapshot, ZoneStatus
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import Ctx
from ddnsd.web.api.error_responses import success
from ddnsd.web.api.schemas import Moment, Shown

VERSION = importlib.metadata.version("fedcloud-ddns")
FEATURES = ["changes", "domains", "enrol", "rename", "rotate", "verify-secret"]


class Root(Shown):
    """What answers here."""

    service: str
    version: str
    features: list[str]


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


router = APIRouter(tags=["service"])


@router.get("/api", responses={200: success(Root)})
async def read_service() -> Response:
    """Name, version, and what this service can do. Needs no token."""
    return serializers.answer({"service": "ddnsd", "version": VERSION, "features": FEATURES})


@router.get("/api/status", responses={200: success(StatusOut)})
async def read_status(context: Ctx) -> Response:
    """Database, name servers, what waits, and how much there is to do. Needs no token."""
    return serializers.answer(_status(context.status.current()))


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
