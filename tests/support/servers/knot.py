# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Knot DNS on a free port in a temporary folder, serving one zone that a TSIG key updates and transfers."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ddnsd.dns.tsig import TsigKey
from support.ports import free_port, listens, wait_until

_CONFIG = """\
server:
    listen: 127.0.0.1@{port}
    rundir: "{folder}"
database:
    storage: "{folder}"
log:
  - target: stderr
    any: info
key:
  - id: {key.name}
    algorithm: {key.algorithm}
    secret: {key.secret}
acl:
  - id: ours
    key: {key.name}
    action: [update, transfer]
zone:
  - domain: {zone}
    storage: "{folder}"
    file: zone
    acl: ours
"""


@dataclass(frozen=True)
class NameServer:
    """Where a primary listens, for TCP and UDP."""

    host: str
    port: int


@contextmanager
def knot(directory: Path, zone: str, key: TsigKey) -> Iterator[NameServer]:
    """A running `knotd`; its log is `directory/log`."""
    program = shutil.which("knotd", path="/usr/sbin:/usr/bin")
    assert program, "Knot is not installed (apt-get install knot)"
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    (directory / "zone").write_text("$TTL 3600\n@ SOA localhost. hostmaster 1 3600 600 1209600 60\n@ NS localhost.\n")
    config = directory / "knot.conf"
    config.write_text(_CONFIG.format(port=port, folder=directory, key=key, zone=zone))
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen([program, "-c", config], stdout=log, stderr=log)
    try:
        wait_until(lambda: listens(port), what="Knot")
        yield NameServer("127.0.0.1", port)
    finally:
        server.terminate()
        server.wait(20)
