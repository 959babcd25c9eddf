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

from ddnsd.web.portal.request import PageRequest

FIELD = "once"
PARAMETER = "made"


async def hand_over(
    page: PageRequest, path: str, content: Mapping[str, str], make: Callable[[], Awaitable[object]]
) -> Response:
    """Carry out `make`, and go on at a local path, which shows the `content` once. Raises what `make` raises."""
    assert page.session is not None
    one_time, number = page.portal.one_time, _number(page)
    if await one_time.begin(page.session, number, content):
        try:
            await make()
        except Exception:
            await one_time.cancel(page.session, number)
            raise
        await one_time.finish(page.session, number)
    return RedirectResponse(f"{path}?{urlencode({PARAMETER: number})}", 303)


async def handed_over(page: PageRequest) -> dict[str, str] | None:
    """What this page shows, once: None where it has shown it before. Raises NotReady, StoreDown."""
    number = page.query.get(PARAMETER, "")
    if page.session is None or page.request.method != "GET" or not _well_formed(number):
        return None
    return await page.portal.one_time.take(page.session, number)


def _number(page: PageRequest) -> str:
    once = page.form.get(FIELD) or secrets.token_urlsafe(16)
    sent = urlencode([("path", page.path), *page.form.multi_items(), (FIELD, once)])
    return hashlib.sha256(sent.encode(errors="surrogatepass")).hexdigest()


def _well_formed(number: str) -> bool:
    return len(number) == hashlib.sha256().digest_size * 2 and number.isascii() and number.isalnum()
