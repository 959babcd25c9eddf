# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures of Standard Webhooks (https://www.standardwebhooks.com), with symmetric secrets."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"
OCTETS = 32


def new_secret() -> str:
    """A new secret: 256 random bits."""
    return PREFIX + base64.b64encode(secrets.token_bytes(OCTETS)).decode()


def new_message_id() -> str:
    """The id of a new message, by which receivers drop repeats."""
    return f"msg_{secrets.token_hex(16)}"


def headers(keys: Iterable[str], message_id: str, seconds: int, body: str) -> dict[str, str]:
    """The headers of a message that is sent then (seconds since the epoch), with a signature by each of the secrets."""
    signed = f"{message_id}.{seconds}.{body}".encode()
    macs = (hmac.digest(base64.b64decode(key.removeprefix(PREFIX)), signed, hashlib.sha256) for key in keys)
    signatures = " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs)
    return {"webhook-id": message_id, "webhook-timestamp": str(seconds), "webhook-signature": signatures}
