# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's PowerDNS on a free port in a temporary folder, serving one zone that a TSIG key updates and transfers."""

import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ddnsd.dns.tsig import TsigKey
from support.ports import free_port, listens, wait_until
from support.servers.knot import NameServer

SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")

# Without the caches at zero an update is seen late; transfers are for loopback unless told otherwise.
_CONFIG = """\
launch=gsqlite3
gsqlite3-database={folder}/zones.db
gsqlite3-pragma-synchronous=0
local-address=127.0.0.1
local-port={port}
socket-dir={sockets}
daemon=no
guardian=no
dnsupdate=yes
allow-dnsupdate-from=127.0.0.0/8
allow-axfr-ips=
cache-ttl=0
negquery-cache-ttl=0
query-cache-ttl=0
zone-cache-refresh-interval=0
"""


@contextmanager
def powerdns(directory: Path, zone: str, key: TsigKey) -> Iterator[NameServer]:
    """A running `pdns_server` with the SQLite backend; its log is `directory/log`."""
    program = shutil.which("pdns_server", path="/usr/sbin:/usr/bin")
    assert program, "PowerDNS is not installed (apt-get install pdns-server pdns-backend-sqlite3)"
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    sockets = tempfile.mkdtemp(prefix="pdns-")  # the path of a socket has at most 107 octets
    (directory / "pdns.conf").write_text(_CONFIG.format(port=port, folder=directory, sockets=sockets))
    _create_zone(directory, zone, key)
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen([program, f"--config-dir={directory}"], stdout=log, stderr=log)
    try:
        wait_until(lambda: listens(port), what="PowerDNS")
        yield NameServer("127.0.0.1", port)
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(sockets)


def _create_zone(directory: Path, zone: str, key: TsigKey) -> None:
    with closing(sqlite3.connect(directory / "zones.db")) as database:
        database.executescript(SCHEMA.read_text())
    for words in (
        ["create-zone", zone, "localhost"],
        ["replace-rrset", zone, "@", "SOA", f"localhost hostmaster.{zone} 1 3600 600 1209600 60"],
        ["import-tsig-key", key.name, key.algorithm, key.secret],
        ["set-meta", zone, "TSIG-ALLOW-DNSUPDATE", key.name],
        ["set-meta", zone, "TSIG-ALLOW-AXFR", key.name],
    ):
        subprocess.run(["pdnsutil", f"--config-dir={directory}", *words], check=True, capture_output=True)
