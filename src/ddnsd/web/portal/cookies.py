# SPDX-License-Identifier: GPL-3.0-or-later
"""Read our own cookies.

Starlette parses all cookies of a request with the standard library, whose time grows with the square of a quoted value
in many versions of Python (CVE-2024-7592). Our values need no escapes.
"""

from starlette.requests import Request


def value(request: Request, name: str) -> str:
    """The value of the request's cookie; "" if it is missing or has escapes. The last one of that name counts."""
    for part in reversed(request.headers.get("cookie", "").split(";")):
        key, _, found = part.partition("=")
        if key.strip() == name:
            text = found.strip()
            quoted = len(text) > 1 and text[0] == text[-1] == '"'
            return "" if "\\" in text else text[1:-1] if quoted else text
    return ""
