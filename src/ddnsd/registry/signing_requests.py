# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests for certificates (PKCS #10, RFC 2986), and whether a chain answers one."""

import hashlib
from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ddnsd.db.certificates import Issued
from ddnsd.db.rows import Host
from ddnsd.registry import names
from ddnsd.registry.errors import Code, Invalid, Reason

LENGTH = 16_384
"""Maximum characters of a request: that of an RSA key of 4096 bits has about 1700."""

RSA_BITS = range(2048, 4097)
CURVES = (ec.SECP256R1, ec.SECP384R1)


class SigningRequest(NamedTuple):
    """A request that the host may make: its PEM text, the SHA-256 of its DER form, its names, sorted, and its key."""

    pem: bytes
    hash: bytes
    names: tuple[str, ...]
    public_key: bytes


def parse(text: str, host: Host) -> SigningRequest:
    """Check a request in PEM for a certificate of the host. Raises Invalid for `csr`."""
    try:
        if len(text) > LENGTH:
            raise ValueError
        request = x509.load_pem_x509_csr(text.encode("ascii"))
        der = request.public_bytes(Encoding.DER)
        key, signed = request.public_key(), request.is_signature_valid
        found = _names(request)
    except (ValueError, UnsupportedAlgorithm, InvalidSignature, x509.DuplicateExtension):
        raise Invalid(csr=Reason(Code.CSR_INVALID)) from None
    if not signed:
        raise Invalid(csr=Reason(Code.CSR_INVALID))
    if not _is_strong(key):
        raise Invalid(csr=Reason(Code.CSR_KEY))
    wildcard = f"*.{host.fqdn}"
    if not found or not found <= {host.fqdn, wildcard}:
        raise Invalid(csr=Reason(Code.CSR_NAMES, host=host.fqdn))
    if wildcard in found and not host.wildcard:
        raise Invalid(csr=Reason(Code.CSR_WILDCARD, host=host.fqdn))
    pem = request.public_bytes(Encoding.PEM)
    return SigningRequest(pem, hashlib.sha256(der).digest(), tuple(sorted(found)), _octets(key))


def issued(chain: str, request: SigningRequest) -> Issued | None:
    """The chain, if its first certificate is for this key; None otherwise."""
    try:
        first = x509.load_pem_x509_certificates(chain.encode("ascii"))[0]
        if _octets(first.public_key()) != request.public_key:
            return None
        return Issued(chain, _moment(first.not_valid_before_utc), _moment(first.not_valid_after_utc))
    except (ValueError, UnsupportedAlgorithm):
        return None


def _names(request: x509.CertificateSigningRequest) -> set[str]:
    """All names, folded: those of subjectAltName, and the common name. Raises ValueError for other kinds."""
    common = request.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    found = [str(one.value) for one in common]
    try:
        others = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set(map(names.fold, found))
    dns_names = others.get_values_for_type(x509.DNSName)
    if len(dns_names) != len(others):
        raise ValueError
    return set(map(names.fold, [*found, *dns_names]))


def _is_strong(key: object) -> bool:
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size in RSA_BITS
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, CURVES)


def _octets(key: object) -> bytes:
    octets: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return octets


def _moment(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000)
