# SPDX-License-Identifier: GPL-3.0-or-later
"""The play's probe refuses a certificate that clients would refuse."""

import datetime
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.ansible.playbooks import Ansible
from support.ports import free_port, listens, wait_until

NAME = "ddns.example.org"


def certificate(folder: Path, *, name: str = NAME, days: int = 1) -> tuple[Path, Path]:
    """A self-signed certificate that ends in so many days, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    title = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ddnsd")])
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    made = (
        x509.CertificateBuilder()
        .subject_name(title)
        .issuer_name(title)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - datetime.timedelta(days=90))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir()
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return folder / "cert.pem", folder / "key.pem"


@contextmanager
def served(files: tuple[Path, Path]) -> Iterator[int]:
    """A TLS server with this certificate; its port."""
    port = free_port()
    command = f"openssl s_server -accept 127.0.0.1:{port} -cert {files[0]} -key {files[1]} -quiet".split()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_until(lambda: listens(port), what="the TLS server")
            yield port
        finally:
            process.terminate()


PRIVATE = {"ddns_server_tls": "acme", "ddns_server_acme_directory": "https://ca.example.org/dir"}
CADDY = {"ddns_server_front": "caddy"}


class Case(NamedTuple):
    """Variables of the role, the certificate that is served, and the reason of a refusal."""

    variables: dict[str, str]
    name: str = NAME
    days: int = 1
    is_expected: bool = True
    reason: str = ""


CASES = [
    Case({}),
    Case(PRIVATE),
    Case(PRIVATE | CADDY),
    Case({}, days=-1, reason="certificate has expired"),
    Case(CADDY, days=-1, reason="certificate has expired"),
    Case(PRIVATE | CADDY, days=-1, reason="certificate has expired"),
    Case({}, name="old.example.org", reason="hostname mismatch"),
    Case({}, is_expected=False, reason="self-signed certificate"),
    Case({"ddns_server_tls": "acme"}, reason="self-signed certificate"),  # the system does not know its authority
]


def test_the_probe_refuses_what_clients_refuse(tmp_path: Path) -> None:
    """All in one run of Ansible."""
    tasks = []
    other = str(certificate(tmp_path / "other")[0])
    with ExitStack() as stack:
        for number, case in enumerate(CASES):
            files = certificate(tmp_path / str(number), name=case.name, days=case.days)
            port = stack.enter_context(served(files))
            expected = str(files[0]) if case.is_expected else other
            given = {
                "ddns_server_name": NAME,
                "ddns_server_https_port": port,
                "ddns_server_tls": "files",
                "ddns_server_certificate_tries": 1,
                "ddns_server_certificates": {"files": [expected], "acme": [expected]},
                **case.variables,
            }
            role = {"name": "fedcloud.ddns.ddns_server", "tasks_from": "verify_certificate"}
            told = {"ansible.builtin.debug": {"msg": "{{ ansible_failed_result.msg }}"}}
            block = [{"ansible.builtin.include_role": role, "vars": given}, {"ansible.builtin.debug": {"msg": ""}}]
            tasks.append({"block": block, "rescue": [told]})
        results = Ansible(tmp_path).play(tasks)
    reasons = [str(one["msg"]) for one in results if one["task"] == "ansible.builtin.debug"]
    assert len(reasons) == len(CASES)
    for case, reason in zip(CASES, reasons, strict=True):
        assert (case.reason in reason) if case.reason else reason == "", case
        if case.reason:
            assert reason.startswith(f"Clients refuse the certificate of https://{NAME}:")
            assert f"Verification error: {case.reason}" in reason
    assert "Set ddns_server_tls_certificate and ddns_server_tls_key" in reasons[3]
