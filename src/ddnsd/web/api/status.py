# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api` and `/api/status`: the service and its state, without a token. Administrators see more of the state."""

import importlib.metadata
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from ddnsd.registry.moves import Move
from ddnsd.registry.rows import QUEUE_STATES, QueueCounts
from ddnsd.registry.status import NameServer, PrimaryStatus, Snapshot, ZoneStatus
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import Ctx, is_administrator
from ddnsd.web.api.errors import success
from ddnsd.web.api.schemas import Moment, Shown

VERSION = importlib.metadata.version("fedcloud-ddns")
CERTIFICATES = "certificates"
"""The feature of a service that issues them."""
FEATURES = [
    "alias",
    "changes",
    "domains",
    "dry-run",
    "enrol",
    "protect",
    "ptr",
    "records",
    "rename",
    "rotate",
    "stacks",
    "verify-secret",
    "verify-secrets",
]


class Root(Shown):
    """The service."""

    service: str
    version: str
    features: list[str]


class ServerOut(Shown):
    """A name server of a zone."""

    reachable: bool
    serial: int | None


class QueueOut(Shown):
    """Numbers of hosts, RRsets and removals that DNS does not have yet."""

    refused: int = Field(description="Refused by the name server.")
    held: int = Field(description="A foreign record has the name.")
    skipped: int = Field(description="Given up by an operator.")
    waiting: int = Field(description="Not sent yet.")


class MoveOut(Shown):
    """The move of a domain to another primary."""

    primary: str = Field(description="Address of the second primary.")
    role: str = Field(description="`new` before the switch, `old` after it: it still gets every change.")
    since: Moment = Field(description="When the move began; after the switch, when that was.")
    waiting: int | None = Field(description="Hosts that it does not have; null before the first comparison.")
    problem: str | None = Field(description="Why it is not up to date, or null.")


class ZoneOut(Shown):
    """A public domain's zone. Administrators also see private zones, and all after `secondaries`."""

    name: str
    primary: ServerOut
    secondaries: list[ServerOut]
    problem: str | None = Field(None, description="Why the zone is not up to date; null if it is.")
    queue: QueueOut | None = None
    frozen: str | None = Field(
        None, description="The text about a freeze for maintenance, with its reason; null if it is not frozen."
    )
    move: MoveOut | None = Field(None, description="The move to another primary, or null.")


class PrimaryOut(Shown):
    """A primary name server, as this node sees it."""

    address: str
    reachable: bool
    last_error: str | None = Field(
        description="The error of the last message that failed since the start of this node."
    )
    last_error_at: Moment | None
    zones: int
    messages: int = Field(description="Messages that it has answered since the start of this node.")


class PrivateOut(Shown):
    """The zones of private domains."""

    zones: int
    reachable: int = Field(description="The number of zones whose primary answers.")


class StatusOut(Shown):
    """The state of the service."""

    at: Moment
    database: bool = Field(description="Whether the database answers.")
    waiting: int = Field(description="Hosts whose values DNS has not confirmed yet.")
    updates_per_minute: int = Field(description="Update requests that this node answered in the last minute.")
    words: dict[str, int] = Field(description="Their number by return code.")
    zones: list[ZoneOut]
    private: PrivateOut
    primaries: list[PrimaryOut] | None = Field(None, description="Only for administrators.")


router = APIRouter(tags=["service"])


@router.get("/api", responses={200: success(Root)})
async def read_service(context: Ctx) -> Response:
    """Read the name, version and features of this service. Needs no token."""
    features = sorted([*FEATURES, *([CERTIFICATES] if context.certificates.enabled else [])])
    return serializers.answer({"service": "ddnsd", "version": VERSION, "features": features})


@router.get("/api/status", responses={200: success(StatusOut)})
async def read_status(request: Request, context: Ctx) -> Response:
    """Read the state of database and name servers, and the numbers of pending hosts and updates. Needs no token.

    With an administrator's token also private zones, the queue of each zone, and the primaries.
    """
    return serializers.answer(_status(context.status.current(), everything=await is_administrator(request)))


def _status(now: Snapshot, *, everything: bool) -> dict[str, Any]:
    private = [zone for zone in now.zones if not zone.public]
    return {
        "at": serializers.moment(now.at),
        "database": now.store is None,
        "waiting": now.pending,
        "updates_per_minute": sum(now.per_minute.values()),
        "words": dict(now.per_minute),
        "zones": [_zone(zone, everything=everything) for zone in now.zones if zone.public or everything],
        "private": {"zones": len(private), "reachable": sum(zone.primary.problem is None for zone in private)},
    } | ({"primaries": [_primary(primary) for primary in now.primaries]} if everything else {})


def _zone(zone: ZoneStatus, *, everything: bool) -> dict[str, Any]:
    servers = [_server(server) for server in zone.secondaries]
    found: dict[str, Any] = {"name": zone.name, "primary": _server(zone.primary), "secondaries": servers}
    if everything:
        found |= {"problem": zone.primary.problem or zone.problem, "queue": _queue(zone.queue), "frozen": zone.frozen}
        found["move"] = _move(zone.move) if zone.move else None
    return found


def _move(move: Move) -> dict[str, Any]:
    return move._asdict() | {"since": serializers.moment(move.since)}


def _queue(numbers: QueueCounts) -> dict[str, int]:
    return {state: getattr(numbers, state) for state in QUEUE_STATES}


def _primary(primary: PrimaryStatus) -> dict[str, Any]:
    return {
        "address": primary.name,
        "reachable": primary.problem is None,
        "last_error": primary.error,
        "last_error_at": serializers.moment(primary.error_at),
        "zones": primary.zones,
        "messages": primary.messages,
    }


def _server(server: NameServer) -> dict[str, Any]:
    return {"reachable": server.problem is None, "serial": server.serial}
