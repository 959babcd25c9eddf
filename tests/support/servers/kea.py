# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's `kea-dhcp-ddns` on a free port: the part of Kea that updates DNS for its DHCP servers.

A DHCP server sends it a name change request for each lease: JSON in a UDP message, after two octets with the length.
"""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddnsd.dns.tsig import TsigKey
from support.ports import free_port, wait_until

CLIENT = "000101070102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"
"""The identity of the lease's owner, as in a DHCID record."""


@dataclass(frozen=True)
class Kea:
    """A running `kea-dhcp-ddns`."""

    port: int
    log: Path

    @property
    def said(self) -> list[str]:
        """The lines of its log."""
        return self.log.read_text().splitlines()

    def lease(self, fqdn: str, address: str, *, resolution: bool, reverse: bool = False) -> None:
        """A DHCP client got an address. With `resolution`, names that are not of this client are left alone.

        With `reverse`, the name of the address is changed as well.
        """
        self._change(0, fqdn, address, resolution=resolution, reverse=reverse)

    def expire(self, fqdn: str, address: str, *, resolution: bool, reverse: bool = False) -> None:
        """The lease ended."""
        self._change(1, fqdn, address, resolution=resolution, reverse=reverse)

    def _change(self, kind: int, fqdn: str, address: str, *, resolution: bool, reverse: bool) -> None:
        request = {
            "change-type": kind,
            "forward-change": True,
            "reverse-change": reverse,
            "fqdn": f"{fqdn}.",
            "ip-address": address,
            "dhcid": CLIENT,
            "lease-expires-on": "20380101000000",
            "lease-length": 3600,
            "use-conflict-resolution": resolution,
        }
        text = json.dumps(request).encode()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(len(text).to_bytes(2, "big") + text, ("127.0.0.1", self.port))


@contextmanager
def kea(directory: Path, zone: str, key: TsigKey, dns_port: int) -> Iterator[Kea]:
    """A `kea-dhcp-ddns` that updates the zone of a name server on this machine; its log is `directory/log`."""
    with configured(directory, _config(zone, key, dns_port)) as running:
        yield running


@contextmanager
def configured(directory: Path, config: dict[str, Any]) -> Iterator[Kea]:
    """A `kea-dhcp-ddns` with this configuration, but on a free port."""
    program = shutil.which("kea-dhcp-ddns", path="/usr/sbin:/usr/bin")
    assert program, "Kea is not installed (apt-get install kea-dhcp-ddns-server)"
    directory.mkdir(parents=True, exist_ok=True)
    port, file, log = free_port(), directory / "kea.conf", directory / "log"
    loggers = [{"name": "kea-dhcp-ddns", "severity": "INFO", "output_options": [{"output": "stdout"}]}]
    file.write_text(json.dumps({"DhcpDdns": config | {"port": port, "loggers": loggers}}))
    env = os.environ | {"KEA_PIDFILE_DIR": str(directory), "KEA_LOCKFILE_DIR": str(directory)}
    with log.open("wb") as out:
        server = subprocess.Popen([program, "-c", str(file)], env=env, stdout=out, stderr=out)
    try:
        wait_until(lambda: "DCTL_CONFIG_COMPLETE" in log.read_text(), what="Kea")
        yield Kea(port, log)
    finally:
        server.terminate()
        server.wait(20)


def _config(zone: str, key: TsigKey, dns_port: int) -> dict[str, Any]:
    servers = [{"ip-address": "127.0.0.1", "port": dns_port}]
    domain = {"name": f"{zone}.", "key-name": key.name, "dns-servers": servers}
    return {
        "ip-address": "127.0.0.1",
        "tsig-keys": [{"name": key.name, "algorithm": key.algorithm.upper(), "secret": key.secret}],
        "forward-ddns": {"ddns-domains": [domain]},
        "reverse-ddns": {},
    }
