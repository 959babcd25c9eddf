# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate of the TLS front: the one that clients get, and the files that the front reads at its next start."""

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ddnsd.checks.findings import Check, Finding
from ddnsd.dns.endpoint import Endpoint

if TYPE_CHECKING:
    from cryptography import x509

SECONDS = 5.0

WARNING = timedelta(days=14)
"""A certificate that ends earlier than this should have been renewed. For short ones it is a quarter of their time."""

_EXPIRED, _NOT_YET_VALID, _OTHER_NAME = 10, 9, 62
_UNKNOWN_ISSUER = (2, 20, 21)
"""Codes of OpenSSL (X509_V_ERR_…)."""

RENEW = "Renew it (`certbot renew`, or new files), and reload the front"


@dataclass(frozen=True)
class Front:
    """The front that clients use by the name `host`.

    `address` is where it is asked, `authority` a PEM file with the root of its certificate if this is not one of the
    operating system's. `certificate` and `key` are its files. What is None is not checked.
    """

    host: str
    address: Endpoint | None = None
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


class Certificate(NamedTuple):
    """The findings, and when the certificate ends that clients get, or else the one in the file; None if unknown."""

    findings: Sequence[Finding]
    expires: datetime | None


class _Problem(Exception):
    """the certificate cannot be used; the text says why, and what to do"""


def examine(front: Front) -> Certificate:
    """Check what is configured. Blocks for some seconds while the front does not answer."""
    findings: list[Finding] = []
    served = stored = None
    if front.address is not None:
        served, finding = _examine_served(front, front.address)
        findings.append(finding)
    if front.certificate is not None:
        subject = f"certificate in {front.certificate}"
        try:
            stored = _stored(front.certificate, front.key)
            if served is not None and served != stored:
                raise _Problem("the front serves another certificate than this one. Reload the front")
            findings.append(Finding(Check.CERTIFICATE, subject))
        except _Problem as problem:
            findings.append(Finding(Check.CERTIFICATE, subject, str(problem)))
    either = served or stored
    return Certificate(findings, None if either is None else _dates(either)[1])


# ---- what clients get


def _examine_served(front: Front, address: Endpoint) -> tuple[bytes | None, Finding]:
    """The certificate that clients get, whatever it is worth, and the finding."""
    subject = f"certificate of {front.host} at {address}"
    try:
        served = _connect(_unverified(), front.host, address)
    except OSError as error:
        what = "the TLS handshake fails" if isinstance(error, ssl.SSLError) else "the front does not answer"
        reason = getattr(error, "reason", None) or error.strerror or error
        return None, Finding(Check.CERTIFICATE, subject, f"{what}: {reason}. {_CHECK_FRONT}")
    try:
        return served, Finding(Check.CERTIFICATE, subject, note=_check_served(front, address, served))
    except _Problem as problem:
        return served, Finding(Check.CERTIFICATE, subject, str(problem))


def _check_served(front: Front, address: Endpoint, served: bytes) -> str | None:
    """Check it as a client does. Returns a note. Raises _Problem."""
    _check_dates(served)
    own = front.authority is None and _is_self_signed(served)
    try:
        if own:
            context = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(served))
        else:
            context = ssl.create_default_context(cafile=front.authority)
        _connect(context, front.host, address)
    except ssl.SSLCertVerificationError as error:
        raise _Problem(_explained(error, front)) from None
    except OSError as error:
        raise _Problem(f"{front.authority or address}: {error.strerror or error}") from None
    return "it is self-signed, so clients must be told to accept it" if own else None


_CHECK_FRONT = (
    "Start it; `nginx -t` and `journalctl -u nginx` (or those of your front) show whether it can use its certificate "
    "and key"
)


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _connect(context: ssl.SSLContext, host: str, address: Endpoint) -> bytes:
    """The certificate after a handshake, which proves that the front has its key. Raises OSError, also of TLS."""
    with (
        socket.create_connection((address.host, address.port), SECONDS) as tcp,
        context.wrap_socket(tcp, server_hostname=host) as tls,
    ):
        found = tls.getpeercert(binary_form=True)
        assert found is not None
        return found


def _explained(error: ssl.SSLCertVerificationError, front: Front) -> str:
    if error.verify_code == _OTHER_NAME:
        return f"it is for another name: {error.verify_message}. Get one for {front.host}"
    if error.verify_code in (_EXPIRED, _NOT_YET_VALID):  # of the authority: the certificate's own dates are known
        return f"a certificate of its chain is not valid now: {error.verify_message}. Use a current chain"
    if error.verify_code in _UNKNOWN_ISSUER:
        return (
            f"its chain ends at an unknown authority: {error.verify_message}. Let the front send the intermediate "
            "certificates (the full chain); for an authority of your own, set DDNSD_TLS_CA to its certificate"
        )
    return f"clients do not accept it: {error.verify_message}"


# ---- files


def _stored(file: Path, key: Path | None) -> bytes:
    """The certificate in the file, once it is current, its chain is in order, and the key fits. Raises _Problem."""
    from cryptography import x509  # here: most services check no files
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

    try:
        chain = x509.load_pem_x509_certificates(_read(file))
    except ValueError as error:
        raise _Problem(f"it is no PEM file with certificates: {error}") from None
    leaf = chain[0].public_bytes(Encoding.DER)
    _check_dates(leaf)
    for certificate, issuer in pairwise(chain):
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            raise _Problem(
                f"{_name(certificate)} is not issued by the next certificate in the file, {_name(issuer)}. Write the "
                "server's certificate first, then each issuer"
            ) from None
    if key is not None:
        try:
            own = load_pem_private_key(_read(key), None).public_key()
        except (ValueError, TypeError) as error:
            raise _Problem(f"the key {key} cannot be used: {error}") from None
        if own != chain[0].public_key():
            raise _Problem(
                f"the key {key} does not belong to the certificate: the front will not start with them. Put the "
                "matching pair there"
            )
    return leaf


def _name(certificate: "x509.Certificate") -> str:
    return certificate.subject.rfc4514_string()


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise _Problem(f"{file} cannot be read: {error.strerror}") from None


# ---- dates


def _check_dates(certificate: bytes) -> None:
    """Check that it is valid now, and for a while. Raises _Problem."""
    begin, end = _dates(certificate)
    now = datetime.now(UTC)
    if now < begin:
        raise _Problem(f"it is valid only from {begin:%Y-%m-%d %H:%M} UTC on. Check the clock of this machine")
    if end <= now:
        raise _Problem(f"it expired on {end:%Y-%m-%d}. {RENEW}")
    if end - now < min(WARNING, (end - begin) / 4):
        raise _Problem(f"it expires in {(end - now).days} days, on {end:%Y-%m-%d}, and was not renewed. {RENEW}")


def _dates(certificate: bytes) -> tuple[datetime, datetime]:
    from cryptography import x509

    found = x509.load_der_x509_certificate(certificate)
    return found.not_valid_before_utc, found.not_valid_after_utc


def _is_self_signed(certificate: bytes) -> bool:
    from cryptography import x509

    found = x509.load_der_x509_certificate(certificate)
    return found.issuer == found.subject
