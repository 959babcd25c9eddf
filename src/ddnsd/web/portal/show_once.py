# SPDX-License-Identifier: GPL-3.0-or-later
"""Post, redirect, show once: the answer to a form that creates a secret.

    POST form ─► secret stored, encrypted ─► secret active ─► 303 to PAGE?made=NUMBER ─► GET shows it, once

The number is a hash of the form, which has a random field (`once`). A form that is sent twice by a double click has
the same number. The second one creates nothing, and redirects to the page of the first one. See docs/adr/0016.
"""

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from ddnsd.web.portal.request import PageRequest

FIELD = "once"
PARAMETER = "made"


async def create_and_redirect(
    page: PageRequest, path: str, content: Mapping[str, str], create: Callable[[], Awaitable[object]]
) -> Response:
    """Call `create`, and redirect to a local path that shows `content` once. Raises what `create` raises."""
    assert page.session is not None
    one_time, number = page.portal.one_time_secrets, _number(page)
    if await one_time.begin(page.session, number, content):
        try:
            if secret := content.get("secret"):
                await page.portal.keep_tsig(secret)
            await create()
        except Exception:
            await one_time.cancel(page.session, number)
            raise
        await one_time.finish(page.session, number)
    return RedirectResponse(f"{path}?{urlencode({PARAMETER: number})}", 303)


async def take_content(page: PageRequest) -> dict[str, str] | None:
    """The content that this page shows once; None if it was already shown. Raises NotReady, StoreDown."""
    number = page.query.get(PARAMETER, "")
    if page.session is None or page.request.method != "GET" or not _is_number(number):
        return None
    return await page.portal.one_time_secrets.take(page.session, number)


def _number(page: PageRequest) -> str:
    once = page.form.get(FIELD) or secrets.token_urlsafe(16)
    sent = urlencode([("path", page.path), *page.form.multi_items(), (FIELD, once)])
    return hashlib.sha256(sent.encode(errors="surrogatepass")).hexdigest()


def _is_number(text: str) -> bool:
    return len(text) == hashlib.sha256().digest_size * 2 and text.isascii() and text.isalnum()
