# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's pebble: a certificate authority that asks a name server of ours for its challenges."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from support.certificates import certificate
from support.ports import free_port, listens, wait_until


@dataclass(frozen=True)
class Pebble:
    """A running authority: the URL of its directory, the certificate of its front, its manager's port, its process."""

    directory: str
    front: Path
    management: int
    process: "subprocess.Popen[bytes]"

    def root(self) -> bytes:
        """The root certificate of what it issues, in PEM."""
        url = f"https://127.0.0.1:{self.management}/roots/0"
        return requests.get(url, verify=str(self.front), timeout=10).content


@contextmanager
def pebble(
    folder: Path, dns_port: int, *, nonce_reject: int = 0, binding: tuple[str, str] | None = None
) -> Iterator[Pebble]:
    """An authority that resolves names at the name server on this port of 127.0.0.1.

    It refuses `nonce_reject` percent of all nonces. With `binding` it demands an account with this id and HMAC key.
    """
    front, pem = certificate(folder)
    port, management = free_port(), free_port()
    settings: dict[str, object] = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(front),
        "privateKey": str(pem),
        "httpPort": free_port(),
        "tlsPort": free_port(),
    } | ({} if binding is None else {"externalAccountBindingRequired": True, "externalAccountMACKeys": dict([binding])})
    file = folder / "pebble.json"
    file.write_text(json.dumps({"pebble": settings}))
    with (folder / "pebble.log").open("wb") as log:
        process = subprocess.Popen(
            ["pebble", "-config", file, "-dnsserver", f"127.0.0.1:{dns_port}"],
            env={
                **os.environ,
                "PEBBLE_VA_NOSLEEP": "1",
                "PEBBLE_WFE_NONCEREJECT": str(nonce_reject),
                "PEBBLE_AUTHZREUSE": "0",
            },
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: listens(port), 20, "pebble listens")
        yield Pebble(f"https://127.0.0.1:{port}/dir", front, management, process)
    finally:
        process.terminate()
        process.wait(10)
