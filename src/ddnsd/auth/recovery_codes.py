# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovery codes: each replaces a second factor once. They are random and long, so a fast hash is stored."""

import secrets

from ddnsd.auth.secrets import digest

COUNT = 10
_ALPHABET = "23456789abcdefghijkmnpqrstuvwxyz"
_GROUPS, _GROUP_LENGTH = 4, 4  # 80 random bits
LENGTH = _GROUPS * _GROUP_LENGTH


def new_codes() -> list[str]:
    """New codes, such as `k7dq-3vzt-9x2m-hcw4`."""
    return ["-".join(_group() for _ in range(_GROUPS)) for _ in range(COUNT)]


def code_digest(text: str) -> bytes | None:
    """The stored hash of a typed code; None if it cannot be one. Hyphens, blanks and capitals do not matter."""
    letters = "".join(character for character in text.lower() if character.isalnum())
    return digest(letters) if len(letters) == LENGTH and letters.isascii() else None


def _group() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH))
