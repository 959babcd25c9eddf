# SPDX-License-Identifier: GPL-3.0-or-later
"""A cookie by which a browser shows that somebody has signed in there with the password of a user.

Its proof is keyed with the stored hash of the password, which only the service knows. So it needs no table, all nodes
accept it, and it ends with the password. It only gives precedence: the password is still needed.
"""

import base64
import hmac
import secrets

COOKIE = "__Host-ddns-browser"
DAYS = 180

LENGTH = 22
"""Characters of the browser's random id."""


def new_cookie(name: str, stored_hash: str) -> str:
    """The cookie for a browser in which the user of that name has signed in."""
    browser = secrets.token_urlsafe(16)
    return f"{browser}.{_proof(browser, name, stored_hash)}"


def browser_of(cookie: str) -> str | None:
    """The random id that the cookie states, or None."""
    browser, dot, _ = cookie.partition(".")
    return browser if dot and len(browser) == LENGTH and browser.isascii() and ":" not in browser else None


def is_valid(cookie: str, name: str, stored_hash: str) -> bool:
    """Whether the cookie was made for the user of that name, who still has this password."""
    browser, _, proof = cookie.partition(".")
    return hmac.compare_digest(proof.encode(), _proof(browser, name, stored_hash).encode())


def _proof(browser: str, name: str, stored_hash: str) -> str:
    mac = hmac.digest(stored_hash.encode(), f"ddns-browser|{browser}|{name}".encode(), "sha256")
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
