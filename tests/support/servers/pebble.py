# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's pebble: a certificate authority that asks a name server of ours for its challenges."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.certificates import certificate
from support.ports import free_port, listens, wait_until


@dataclass(frozen=True)
class Pebble:
    """A running authority: the URL of its directory, and the certificate of its own front."""

    directory: str
    front: Path


@contextmanager
def pebble(folder: Path, dns_port: int) -> Iterator[Pebble]:
    """An authority that resolves names at the name server on this port of 127.0.0.1."""
    front, pem = certificate(folder)
    port, management = free_port(), free_port()
    settings = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(front),
        "privateKey": str(pem),
        "httpPort": free_port(),
        "tlsPort": free_port(),
    }
    file = folder / "pebble.json"
    file.write_text(json.dumps({"pebble": settings}))
    with (folder / "pebble.log").open("wb") as log:
        process = subprocess.Popen(
            ["pebble", "-config", file, "-dnsserver", f"127.0.0.1:{dns_port}"],
            env={**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"},
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: listens(port), 20, "pebble listens")
        yield Pebble(f"https://127.0.0.1:{port}/dir", front)
    finally:
        process.terminate()
        process.wait(10)
