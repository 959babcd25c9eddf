# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests for certificates, and what openssl says about a chain."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def new_key() -> Key:
    """A key of P-256, which is quick to make."""
    return ec.generate_private_key(ec.SECP256R1())


def csr(
    *names: str, key: Key | None = None, common: str | None = None, others: tuple[x509.GeneralName, ...] = ()
) -> str:
    """A request in PEM for these names."""
    subject = [] if common is None else [x509.NameAttribute(x509.NameOID.COMMON_NAME, common)]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names or others:
        alternatives = x509.SubjectAlternativeName([*(x509.DNSName(name) for name in names), *others])
        builder = builder.add_extension(alternatives, critical=False)
    chosen = key or new_key()
    digest = None if isinstance(chosen, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(chosen, digest).public_bytes(Encoding.PEM).decode()


def verified(chain: str, root: bytes, folder: Path) -> set[str]:
    """The names of the first certificate, which `openssl verify` has accepted with this root."""
    (folder / "chain.pem").write_text(chain)
    (folder / "root.pem").write_bytes(root)
    command: list[str | Path] = ["openssl", "verify", "-CAfile", folder / "root.pem"]
    command += ["-untrusted", folder / "chain.pem", folder / "chain.pem"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    first = x509.load_pem_x509_certificate(chain.encode())
    found = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(found.get_values_for_type(x509.DNSName))


def signed(request: str, *, since: float, until: float, key: Key | None = None, names: tuple[str, ...] = ()) -> str:
    """A self-made certificate in PEM from and until these moments, for names and key of a request, or for others."""
    asked = x509.load_pem_x509_csr(request.encode())
    same = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    builder = (
        x509.CertificateBuilder()
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, names)) if names else same, critical=False)
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority of a test")]))
        .public_key(key.public_key() if key else asked.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(since, UTC))
        .not_valid_after(datetime.fromtimestamp(until, UTC))
    )
    return builder.sign(new_key(), hashes.SHA256()).public_bytes(Encoding.PEM).decode()
