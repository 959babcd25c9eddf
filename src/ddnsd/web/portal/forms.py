# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of form fields, parsed as the registry takes them."""

import re

from ddnsd.registry import host_columns
from ddnsd.registry.errors import Code, Invalid, Reason
from ddnsd.registry.inputs import COMMENT_LENGTH, CREDENTIAL_NAME_LENGTH, TTL_LEAST, TTL_MOST

TTL_RANGE = range(TTL_LEAST, TTL_MOST + 1)
_DIGITS = re.compile(r"[0-9]{1,6}")


def address(field: str, text: str) -> str | None:
    """An address of the family `ipv4` or `ipv6`; None for "". Raises Invalid."""
    return host_columns.address(field, text) if text else None


def comment(text: str) -> str | None:
    """A comment of one line; None for "". Raises Invalid."""
    if len(text) > COMMENT_LENGTH:
        raise Invalid(comment=Reason(Code.TEXT_TOO_LONG, limit=COMMENT_LENGTH))
    if not text.isprintable():
        raise Invalid(comment=Reason(Code.NOT_PRINTABLE))
    return text or None


def ttl(text: str) -> int | None:
    """Seconds; None for "". Raises Invalid."""
    if not text:
        return None
    if not _DIGITS.fullmatch(text) or int(text) not in TTL_RANGE:
        raise Invalid(ttl=Reason(Code.TTL_OUT_OF_RANGE, least=TTL_LEAST, most=TTL_MOST))
    return int(text)


def is_name(text: str) -> bool:
    """Whether this may be the name of a token or a key."""
    return 0 < len(text) <= CREDENTIAL_NAME_LENGTH and text.isprintable()
