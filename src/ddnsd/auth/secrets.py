# SPDX-License-Identifier: GPL-3.0-or-later
"""Random secrets: shown once, stored as a hash of their SHA-256 (a slow hash gains nothing against 128 random bits).

The SHA-256 itself is the TSIG secret of the same credentials at the port for DNS UPDATE, so it is not what is stored.
"""

import hashlib
import hmac
import secrets

# No characters that a URL, a shell or a configuration file treats specially, and none that look alike.
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
LENGTH = 24  # 57 ** 24 is 2 ** 140

TOKEN_PREFIX = "ddns_"  # noqa: S105
ENROLMENT_PREFIX = "ddnse_"
FLEET_PREFIX = "ddnsf_"
LOGIN_PREFIX = "k-"


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def new_secret() -> str:
    """A secret for a host or a key."""
    return _random(LENGTH)


def new_token() -> str:
    """A token for a person or a pipeline; the prefix lets secret scanners find it."""
    return TOKEN_PREFIX + _random(32)


def new_enrolment() -> str:
    """An enrolment token, with which a machine sets its host's secret once."""
    return ENROLMENT_PREFIX + _random(32)


def new_fleet_key() -> str:
    """A fleet key, from which the keys of all its devices follow."""
    return FLEET_PREFIX + _random(44)


def new_login() -> str:
    """A login for a key; never a host name, which has a dot."""
    return LOGIN_PREFIX + _random(8).lower()


def digest(secret: str) -> bytes:
    """The SHA-256 of a secret: 32 octets. It is the TSIG secret of a host, key or token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def verifier(secret: str) -> bytes:
    """The stored hash of the secret of a host, key or token: 32 octets."""
    return verifier_of(digest(secret))


def verifier_of(digested: bytes) -> bytes:
    """The same, of the secret's SHA-256."""
    return hashlib.sha256(digested).digest()


def matches(secret: str, stored: bytes) -> bool:
    """Compare a secret with its verifier, in constant time."""
    return hmac.compare_digest(verifier(secret), stored)


def are_equal(one: str, other: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))
