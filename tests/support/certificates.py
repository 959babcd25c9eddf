# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates for stand-ins."""

import subprocess
from pathlib import Path


def certificate(folder: Path, name: str = "IP:127.0.0.1") -> tuple[Path, Path]:
    """A self-signed certificate for this name, and a file with its key and the certificate."""
    authority, pem = folder / "ca.pem", folder / "server.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "1", "-subj", "/CN=stand-in", "-addext", f"subjectAltName={name}"]
    subprocess.run([*command, "-keyout", pem, "-out", authority], check=True, capture_output=True)
    pem.write_bytes(pem.read_bytes() + authority.read_bytes())
    return authority, pem
