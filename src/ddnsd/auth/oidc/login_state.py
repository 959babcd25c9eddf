# SPDX-License-Identifier: GPL-3.0-or-later
"""One sign-in of one browser, in a cookie until the browser comes back from the provider.

All values for the provider are derived from a random seed that only the browser has. So any process can finish the
sign-in, and nothing is stored for browsers that never return.
"""

import hashlib
import hmac
import json
import re
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import asdict, dataclass, fields

COOKIE = "__Host-ddns-signin"
SECONDS = 600
"""Maximum duration of a sign-in."""

LINK_FIELD = "link"
"""In the query of a path to a provider: add the identity to the user who has signed in."""

LONGEST = 2048
HOME = "/"

_LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]*")


def local_path(text: str | None) -> str:
    """`text` if it is certainly a path of this site, else `/`."""
    return text if text and len(text) <= 1000 and _LOCAL.fullmatch(text) else HOME


@dataclass(frozen=True)
class LoginState:
    """`provider` is its name, "" for a password; `next` a path; `link` the session whose user gets a new identity."""

    seed: str
    began: int
    provider: str = ""
    next: str = HOME
    link: int | None = None

    @classmethod
    def new(cls, provider: str = "", next_path: str | None = None, link: int | None = None) -> "LoginState":
        """A new sign-in."""
        return cls(secrets.token_urlsafe(32), int(time.time()), provider, local_path(next_path), link)

    @classmethod
    def from_cookie(cls, value: str | None) -> "LoginState | None":
        """The sign-in in a cookie; None if it is missing, expired, or not ours."""
        try:
            text = (value or "")[:LONGEST]
            content = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            attempt = cls(**{field.name: content[field.name] for field in fields(cls)})
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        given = (attempt.seed, str), (attempt.began, int), (attempt.provider, str), (attempt.next, str)
        if not all(type(value) is kind for value, kind in given) or type(attempt.link) not in (int, type(None)):
            return None
        if len(attempt.seed) < 43 or not attempt.seed.isascii() or not 0 <= int(time.time()) - attempt.began <= SECONDS:
            return None
        return attempt if attempt.next == local_path(attempt.next) else None

    def to_cookie(self) -> str:
        """The cookie's value."""
        return urlsafe_b64encode(json.dumps(asdict(self)).encode()).decode().rstrip("=")

    @property
    def state(self) -> str:
        """The value that the provider returns with the browser."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """The nonce that the ID token must contain."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """The PKCE verifier, which only we can send with the code (RFC 7636)."""
        return self._derived("verifier")

    @property
    def csrf(self) -> str:
        """The proof that the sign-in form is from a page of this browser."""
        return self._derived("form")

    def _derived(self, purpose: str) -> str:
        octets = hmac.new(self.seed.encode(), purpose.encode(), hashlib.sha256).digest()
        return urlsafe_b64encode(octets).decode().rstrip("=")
