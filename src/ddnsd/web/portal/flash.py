# SPDX-License-Identifier: GPL-3.0-or-later
"""A message that the next page shows once. It travels in a signed cookie, so no other site can forge it."""

import base64
import binascii
import hashlib
import hmac
import json
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from ddnsd.web.portal import cookies

COOKIE = "ddns-said"
LIFETIME_SECONDS = 60


class Flash(NamedTuple):
    """A message; `kind` is `done` or `warning`."""

    text: str
    kind: str


def write(response: Response, key: str, flash_message: Flash) -> None:
    """Store the message in a cookie; `key`, which signs it, is the CSRF token of the session."""
    content = base64.urlsafe_b64encode(json.dumps(flash_message).encode()).decode()
    response.set_cookie(
        COOKIE, f"{content}.{_mac(key, content)}", max_age=LIFETIME_SECONDS, httponly=True, samesite="lax"
    )


def read(request: Request, key: str) -> Flash | None:
    """The message of the request's cookie; None if there is none, or if its signature is wrong."""
    content, _, mac = cookies.value(request, COOKIE).partition(".")
    if not content or not key or not hmac.compare_digest(mac.encode(), _mac(key, content).encode()):
        return None
    try:
        text, kind = json.loads(base64.urlsafe_b64decode(content))
    except (ValueError, binascii.Error):
        return None
    return Flash(text, kind)


def forget(response: Response) -> None:
    """Delete the cookie."""
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")


def _mac(key: str, content: str) -> str:
    return hmac.new(key.encode(), content.encode(), hashlib.sha256).hexdigest()
