# SPDX-License-Identifier: GPL-3.0-or-later
"""Post, redirect, show once: how a form that makes a secret is answered.

    POST form ─► secret kept, sealed ─► secret in force ─► 303 to PAGE?made=NUMBER ─► GET shows it, once

The number is made of the form, which has a random field (`once`). The same form sent twice, by a double click, has the
same number: the second one makes nothing, and leads to the page of the first. See docs/adr/0016.
"""

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from ddnsd.web.portal.request import Visit

FIELD = "once"
PARAMETER = "made"


async def hand_over(
    visit: Visit, path: str, content: Mapping[str, str], make: Callable[[], Awaitable[object]]
) -> Response:
    """Carry out `make`, and go on at a local path, which shows the `content` once. Raises what `make` raises."""
    assert visit.session is not None
    one_time, number = visit.portal.one_time, _number(visit)
    if await one_time.begin(visit.session, number, content):
        try:
            await make()
        except Exception:
            await one_time.cancel(visit.session, number)
            raise
        await one_time.finish(visit.session, number)
    return RedirectResponse(f"{path}?{urlencode({PARAMETER: number})}", 303)


async def handed_over(visit: Visit) -> dict[str, str] | None:
    """What this page shows, once: None where it has shown it before. Raises NotReady, StoreDown."""
    number = visit.query.get(PARAMETER, "")
    if visit.session is None or visit.request.method != "GET" or not _well_formed(number):
        return None
    return await visit.portal.one_time.take(visit.session, number)


def _number(visit: Visit) -> str:
    once = visit.form.get(FIELD) or secrets.token_urlsafe(16)
    sent = urlencode([("path", visit.path), *visit.form.multi_items(), (FIELD, once)])
    return hashlib.sha256(sent.encode(errors="surrogatepass")).hexdigest()


def _well_formed(number: str) -> bool:
    return len(number) == hashlib.sha256().digest_size * 2 and number.isascii() and number.isalnum()
