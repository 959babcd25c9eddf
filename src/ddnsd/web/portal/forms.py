# SPDX-License-Identifier: GPL-3.0-or-later
"""What people type into the fields of a form, as the registry takes it; "" leaves open. Each raises Invalid."""

import re

from ddnsd.registry import host_columns
from ddnsd.registry.errors import Code, Invalid, Reason
from ddnsd.registry.hosts import COMMENT_LENGTH

TTL_RANGE = range(1, 86_401)
_DIGITS = re.compile(r"[0-9]{1,6}")


def address(field: str, text: str) -> str | None:
    """An address of the family `ipv4` or `ipv6`."""
    return host_columns.address(field, text) if text else None


def comment(text: str) -> str | None:
    """One line for people."""
    if len(text) > COMMENT_LENGTH:
        raise Invalid(comment=Reason(Code.TEXT_TOO_LONG, limit=COMMENT_LENGTH))
    if not text.isprintable():
        raise Invalid(comment=Reason(Code.NOT_PRINTABLE))
    return text or None


def ttl(text: str) -> int | None:
    """Seconds."""
    if not text:
        return None
    if not _DIGITS.fullmatch(text) or int(text) not in TTL_RANGE:
        raise Invalid(ttl=Reason(Code.TTL_OUT_OF_RANGE, least=TTL_RANGE[0], most=TTL_RANGE[-1]))
    return int(text)
