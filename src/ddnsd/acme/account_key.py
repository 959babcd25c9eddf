# SPDX-License-Identifier: GPL-3.0-or-later
"""The key of the account at the authority, in a file that only the service can read."""

import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.jwk import JWKEC

from ddnsd.acme.errors import BadAccountKey

ANY_READER = 0o077
"""Permissions of others than the owner."""


def load(file: Path) -> JWKEC:
    """The key in the file. A missing file is created with a new key (P-256) and mode 0600. Raises BadAccountKey."""
    try:
        try:
            return _read(file)
        except FileNotFoundError:
            _create(file)
            return _read(file)
    except OSError as error:
        raise BadAccountKey(f"the account key {file} cannot be used: {error.strerror}") from None


def _create(file: Path) -> None:
    """Write a new key, complete or not at all. If another process was faster, its key stays."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as written:
            written.write(pem)
            written.flush()
            os.fsync(written.fileno())
        try:
            os.link(new, file)
        except FileExistsError:
            return
    finally:
        new.unlink(missing_ok=True)


def _read(file: Path) -> JWKEC:
    if file.stat().st_mode & ANY_READER:
        raise BadAccountKey(f"others can read the account key {file}. Run: chmod 600 {file}")
    try:
        key = serialization.load_pem_private_key(file.read_bytes(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadAccountKey(f"{file} has no account key: a private key of the curve P-256, in PEM, without a password")
    return JWKEC(key=key)
