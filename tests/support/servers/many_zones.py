# SPDX-License-Identifier: GPL-3.0-or-later
"""Many zones on the BIND of `ddnsd dev`, quicker than `ddnsd domain add` makes them."""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing

from ddnsd.dns.bind.rndc import Rndc
from ddnsd.dns.bind.zone_config import zone_block
from ddnsd.dns.bind.zonefile import NameServer, zone_text
from ddnsd.dns.tsig import TsigKey
from support.ports import wait_until
from support.servers.service import FILE, Service

WATCHED_SECONDS = 180.0


def add_zones(service: Service, number: int, like: str) -> Sequence[str]:
    """Add zones to BIND and the service on SQLite, with the settings and the key of the domain `like`; their names."""
    folder = service.dir / "bind"
    key, rndc = TsigKey.from_text((folder / "keys" / f"{like}.key").read_text()), Rndc(folder / "rndc.conf")
    names = [f"zone{n}.test" for n in range(number)]
    for name in names:
        file = folder / "zones" / f"{name}.zone"
        file.write_text(zone_text(name, (NameServer("localhost"),), int(time.time())))
        rndc("addzone", name, zone_block(file, key))
    with closing(sqlite3.connect(service.dir / FILE, timeout=20)) as connection, connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(domains)")]
        copied = ", ".join(f'"{column}"' for column in columns if column not in ("id", "name"))
        connection.executemany(
            f"INSERT INTO domains (name, {copied}) SELECT ?, {copied} FROM domains WHERE name = ?",
            [(name, like) for name in names],
        )
    wait_until(lambda: watched(service).keys() >= set(names), WATCHED_SECONDS, "all zones known")
    wait_until(lambda: all_watched(service), WATCHED_SECONDS, "all zones watched")
    return names


def watched(service: Service) -> dict[str, str]:
    """The zones that the service watches, each with its problem or `ok`."""
    zones: dict[str, str] = service.get("/healthz/dns", service.admin_token).json()["zones"]
    return zones


def all_watched(service: Service) -> bool:
    """Whether no zone has a problem."""
    return service.get("/healthz/dns").status_code == 200
