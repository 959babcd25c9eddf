# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit trail: filtered, and as a table for other programs."""

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.db import paging
from ddnsd.db.paging import Happened
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.request import Access, PageRequest, get

PAGE = 50
EXPORTED = 10_000
FILTERS = ("object", "actor", "action")
TEXT_LENGTH = 255


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def show(page: PageRequest) -> Response:
        before, wanted = _number(page.query.get("before", "")), _wanted(page)
        found = await portal.store.read(
            lambda c: paging.page_of_events(c, reader_id=None, wanted=wanted, before=before, limit=PAGE + 1)
        )
        return page.render(
            "admin/events.html",
            events=found[:PAGE],
            wanted=wanted,
            exported=EXPORTED,
            first=page.url(before=None) if before else None,
            following=page.url(before=found[PAGE - 1].id) if len(found) > PAGE else None,
        )

    async def export(page: PageRequest) -> Response:
        wanted = _wanted(page)
        found = await portal.store.read(
            lambda c: paging.page_of_events(c, reader_id=None, wanted=wanted, before=None, limit=EXPORTED)
        )
        headers = {"Content-Disposition": 'attachment; filename="events.csv"'}
        return Response(_csv(found), media_type="text/csv", headers=headers)

    return [
        get("/admin/events", show, Access.ADMINISTRATOR),
        get("/admin/events.csv", export, Access.ADMINISTRATOR),
    ]


def _wanted(page: PageRequest) -> dict[str, str]:
    cleaned = {name: page.query.get(name, "").strip()[:TEXT_LENGTH].replace("\0", "") for name in FILTERS}
    return {name: value for name, value in cleaned.items() if value}


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _csv(found: Iterable[Happened]) -> str:
    """RFC 4180; no cell is a formula to a spreadsheet."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(Happened._fields)
    for event in found:
        at = datetime.fromtimestamp(event.at / 1e6, UTC).isoformat(timespec="seconds")
        writer.writerow([event.id, at, *(_harmless(text or "") for text in event[2:])])
    return table.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
