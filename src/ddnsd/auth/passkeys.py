# SPDX-License-Identifier: GPL-3.0-or-later
"""Passkeys (WebAuthn): what a browser is asked, and whether its answer is right.

The library checks type, challenge, origin, RP ID, flags, counter and signature. Challenges are made of a secret of the
browser and a key of the service, so nothing is stored for sign-ins that never end.
"""

import hmac
import ipaddress
import json
import time
from collections.abc import Iterable
from enum import StrEnum, unique
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ddnsd.auth import cbor
from ddnsd.auth.secrets import digest

if TYPE_CHECKING:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

SECONDS = 600
"""Maximum age of a challenge, as of a sign-in."""

BROWSER_MILLISECONDS = 300_000
"""How long the browser waits for the user."""

LONGEST_ID, LONGEST_KEY = 1023, 4096
"""Maximum octets of a credential ID, which is the standard's, and of a public key."""

FLAGS, ATTESTED, AFTER_HEADER, ID_LENGTH, ID = 32, 0x40, 37, 53, 55
"""In the octets of an authenticator: where the flags are, the flag of a new passkey, and where its parts begin."""

DEFAULT_PORTS = {"http": 80, "https": 443}


class BadPasskey(Exception):
    """the browser's answer is wrong; the text says why"""


@unique
class Purpose(StrEnum):
    """What a challenge is for."""

    SIGN_IN = "sign in with a passkey"
    SECOND_FACTOR = "passkey after the password"
    NEW = "new passkey"


class Site(NamedTuple):
    """The site that passkeys belong to: its host is the RP ID, `origin` is that of its pages."""

    host: str
    origin: str

    @classmethod
    def of_url(cls, url: str) -> "Site | None":
        """The site of a URL; None where browsers offer no passkeys: on IP addresses, and without https."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if not host or not host.isascii() or _is_address(host):
            return None
        if parts.scheme != "https" and host != "localhost" and not host.endswith(".localhost"):
            return None
        port = "" if parts.port in (None, DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
        return cls(host, f"{parts.scheme}://{host}{port}")


class Asked(NamedTuple):
    """What a challenge is made of: a secret of the browser, the time in seconds, and the user if they are known."""

    purpose: Purpose
    seed: str
    began: int
    user_id: int = 0

    @property
    def is_current(self) -> bool:
        """Whether the browser may still answer."""
        return 0 <= time.time() - self.began <= SECONDS

    def challenge(self, key: bytes) -> bytes:
        """The octets that the passkey signs."""
        return hmac.digest(key, json.dumps([self.purpose, self.seed, self.began, self.user_id]).encode(), "sha256")


class NewCredential(NamedTuple):
    """A passkey that a browser has made."""

    credential_id: bytes
    public_key: bytes
    sign_count: int


class Assertion(NamedTuple):
    """The unverified answer of a passkey: which one it claims to be, and whose if it says so."""

    credential_id: bytes
    user_handle: bytes | None
    text: str


def preload() -> None:
    """Load the library, which takes a tenth of a second: requests would wait for it. Commands do not need it."""
    import_module("webauthn")


def user_handle(user_id: int, created: int) -> bytes:
    """The user's id in their passkeys. It says nothing, and no later user has the same."""
    return digest(f"passkeys of {user_id} {created}")


def creation_options(
    site: Site, challenge: bytes, user: str, handle: bytes, known: Iterable[bytes], *, title: str
) -> str:
    """The JSON for `navigator.credentials.create`. Authenticators that have one of the `known` passkeys refuse."""
    import webauthn  # here, as below: see `preload`
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    return webauthn.options_to_json(
        webauthn.generate_registration_options(
            rp_id=site.host,
            rp_name=title,
            user_name=user,
            user_id=handle,
            challenge=challenge,
            timeout=BROWSER_MILLISECONDS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED,
                user_verification=UserVerificationRequirement.PREFERRED,
            ),
            exclude_credentials=_descriptors(known),
        )
    )


def request_options(site: Site, challenge: bytes, allowed: Iterable[bytes] = (), *, verify_user: bool) -> str:
    """The JSON for `navigator.credentials.get`. `allowed` are the credential IDs; without any the user chooses."""
    import webauthn
    from webauthn.helpers.structs import UserVerificationRequirement

    wanted = UserVerificationRequirement.REQUIRED if verify_user else UserVerificationRequirement.PREFERRED
    return webauthn.options_to_json(
        webauthn.generate_authentication_options(
            rp_id=site.host,
            challenge=challenge,
            timeout=BROWSER_MILLISECONDS,
            allow_credentials=_descriptors(allowed),
            user_verification=wanted,
        )
    )


def verified_creation(site: Site, challenge: bytes, text: str) -> NewCredential:
    """The new passkey. Raises BadPasskey."""
    import webauthn
    from webauthn.helpers import parse_cbor, parse_registration_credential_json

    try:
        answer = parse_registration_credential_json(text)
        attestation = answer.response.attestation_object
        cbor.check(attestation)
        _check_authenticator_data(parse_cbor(attestation)["authData"])
        made = webauthn.verify_registration_response(
            credential=answer, expected_challenge=challenge, expected_rp_id=site.host, expected_origin=site.origin
        )
    except Exception as error:  # parsers of strangers' octets raise many
        raise BadPasskey(str(error)) from None
    if len(made.credential_id) > LONGEST_ID or len(made.credential_public_key) > LONGEST_KEY:
        raise BadPasskey("the passkey is too large")
    return NewCredential(made.credential_id, made.credential_public_key, made.sign_count)


def read_assertion(text: str) -> Assertion:
    """Read an answer. Raises BadPasskey."""
    from webauthn.helpers import parse_authentication_credential_json

    try:
        read = parse_authentication_credential_json(text)
        _check_authenticator_data(read.response.authenticator_data)
        return Assertion(bytes(read.raw_id)[: LONGEST_ID + 1], read.response.user_handle, text)
    except Exception as error:
        raise BadPasskey(str(error)) from None


def verified_count(
    site: Site, challenge: bytes, assertion: Assertion, public_key: bytes, sign_count: int, *, verify_user: bool
) -> int:
    """The passkey's counter after this answer. Raises BadPasskey, also if the counter is not above `sign_count`.

    Passkeys that do not count have 0 always.
    """
    import webauthn

    try:
        return webauthn.verify_authentication_response(
            credential=assertion.text,
            expected_challenge=challenge,
            expected_rp_id=site.host,
            expected_origin=site.origin,
            credential_public_key=public_key,
            credential_current_sign_count=sign_count,
            require_user_verification=verify_user,
        ).new_sign_count
    except Exception as error:
        raise BadPasskey(str(error)) from None


def _check_authenticator_data(octets: bytes) -> None:
    """Check the CBOR in what an authenticator has signed: the key of a new passkey, and extensions. Raises BadCbor."""
    begin = AFTER_HEADER
    if len(octets) > ID and octets[FLAGS] & ATTESTED:
        begin = ID + int.from_bytes(octets[ID_LENGTH:ID], "big")
    cbor.check(octets[begin:])


def _descriptors(ids: Iterable[bytes]) -> "list[PublicKeyCredentialDescriptor]":
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

    return [PublicKeyCredentialDescriptor(id=one) for one in ids]


def _is_address(host: str) -> bool:
    """Whether browsers take the host for an IP address: also `127.1`, since its last label is a number."""
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return host.rstrip(".").rpartition(".")[2].isdigit()
