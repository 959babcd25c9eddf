# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit log: filtered, and as CSV for other programs."""

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime

from starlette.responses import Response

from ddnsd.registry.rows import Happened
from ddnsd.web.portal.paging import paginate
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.portal.routing import Access, get

SIZE = 50
EXPORTED = 10_000
FILTERS = ("object", "actor", "action")
TEXT_LENGTH = 255


async def show(page: PageRequest) -> Response:
    """A page of events, newest first."""
    filters, before = _filters(page), page.cursor("before") or None
    found = await page.portal.audit_log.page(page.caller_with_rights, filters, before, SIZE)
    return page.render(
        "admin/events.html",
        events=found.items,
        pages=paginate(page, found.next, "before"),
        wanted=filters,
        exported=EXPORTED,
    )


async def export(page: PageRequest) -> Response:
    """The newest events that match, as CSV."""
    found = await page.portal.audit_log.page(page.caller_with_rights, _filters(page), None, EXPORTED)
    headers = {"Content-Disposition": 'attachment; filename="events.csv"'}
    return Response(_csv(found.items), media_type="text/csv", headers=headers)


def _filters(page: PageRequest) -> dict[str, str]:
    texts = {name: page.search_text(name, TEXT_LENGTH) for name in FILTERS}
    return {name: text for name, text in texts.items() if text}


def _csv(events: Iterable[Happened]) -> str:
    """The events as CSV (RFC 4180). Spreadsheets do not read any cell as a formula."""
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(Happened._fields)
    for event in events:
        at = datetime.fromtimestamp(event.at / 1e6, UTC).isoformat(timespec="seconds")
        writer.writerow([event.id, at, *(_harmless(text or "") for text in event[2:])])
    return table.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


ROUTES = [
    get("/admin/events", show, Access.ADMINISTRATOR),
    get("/admin/events.csv", export, Access.ADMINISTRATOR),
]
