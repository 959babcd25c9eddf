# SPDX-License-Identifier: GPL-3.0-or-later
"""Encrypt secrets that the database stores, and the key file for those that the service must read again itself.

The key file is not in the database, nor in its backups: a copy of the database alone reveals no seed.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

KEY_OCTETS = 32

_HEADER = {"alg": "dir", "enc": "A256GCM"}


class BadKeyFile(ValueError):
    """a key file that cannot be used; the text says why"""


def seal(key: bytes, content: Mapping[str, str]) -> str:
    """Encrypt texts with a key of 256 bits."""
    from joserfc import jwe  # here: commands start faster without it
    from joserfc.jwk import OctKey

    return jwe.encrypt_compact(_HEADER, json.dumps(dict(content)).encode(), OctKey.import_key(key))


def unseal(key: bytes, sealed: str) -> dict[str, str]:
    """Decrypt what `seal` has returned. Raises JoseError, ValueError for another text or another key."""
    from joserfc import jwe
    from joserfc.jwk import OctKey

    content: dict[str, str] = json.loads(jwe.decrypt_compact(sealed, OctKey.import_key(key)).plaintext or b"")
    return content


class SealingKeys:
    """The keys of the service: the first one encrypts, all of them decrypt."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    @classmethod
    def from_file(cls, file: Path) -> "SealingKeys":
        """The keys of a file: 64 hexadecimal digits per line, the newest key first. Raises BadKeyFile, OSError."""
        try:
            keys = [bytes.fromhex(line) for line in file.read_text().split()]
        except ValueError:
            keys = []
        if not keys or any(len(key) != KEY_OCTETS for key in keys):
            raise BadKeyFile(f"{file} must contain 64 hexadecimal digits, or several keys, one per line")
        return cls(keys)

    def seal(self, purpose: str, owner: int | str, secret: str) -> str:
        """Encrypt a secret of its owner, such as a user's id, for one purpose."""
        return seal(self._keys[0], {"purpose": purpose, "user": str(owner), "secret": secret})

    def unseal(self, purpose: str, owner: int | str, sealed: str) -> str | None:
        """The secret; None if it was sealed for another purpose, another owner, or with another key."""
        from joserfc.errors import JoseError

        for key in self._keys:
            try:
                content = unseal(key, sealed)
            except (JoseError, ValueError):
                continue
            return (
                content.get("secret")
                if (content.get("purpose"), content.get("user")) == (purpose, str(owner))
                else None
            )
        return None

    def mac_key(self, purpose: str) -> bytes:
        """A key derived from the first one, for one purpose."""
        return hmac.digest(self._keys[0], purpose.encode(), hashlib.sha256)
