# SPDX-License-Identifier: GPL-3.0-or-later
"""A further BIND beside the one of `ddnsd dev`, as an operator's own primary, for tests that are not asynchronous."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import dns.update

from ddnsd.dns.tsig import TsigKey
from support.servers.bind import Server


@dataclass
class SecondBind:
    """A running BIND; the keys of its zones are in files that `ddnsd domain … --key-file` takes."""

    server: Server

    @property
    def address(self) -> str:
        return str(self.server.endpoint)

    @property
    def pid(self) -> int:
        return int(self.server.pid_file.read_text())

    def make_zone(self, name: str, key: TsigKey | None = None) -> Path:
        """An empty zone, with a new key unless one is given; answers the file of its key."""
        if key is None:
            key = self.server.bind().provision(name)
        else:
            self.server.bind().ensure(name, key)
        file = self.server.folder / f"{name}.tsig"
        file.write_text(key.to_text())
        return file

    def key(self, zone: str) -> TsigKey:
        return TsigKey.from_text((self.server.folder / f"{zone}.tsig").read_text())

    def rndc(self, *command: str) -> str:
        rndc = ["rndc", "-c", str(self.server.rndc_key)]
        return subprocess.run([*rndc, *command], check=True, capture_output=True, text=True).stdout

    def set_policy(self, zone: str, *grants: str) -> None:
        """Replace the zone's update-policy; `{key}` in it is the key's name."""
        policy = " ".join(f"{grant.format(key=self.key(zone).name)};" for grant in grants)
        shown = self.rndc("showzone", zone)
        body = re.sub(r"update-policy \{[^}]*\}", f"update-policy {{ {policy} }}", shown[shown.index("{") :])
        self.rndc("modzone", zone, body.strip())

    def forbid_transfers(self, zone: str) -> None:
        """Let nobody transfer the zone."""
        shown = self.rndc("showzone", zone)
        body = re.sub(r"allow-transfer\s*\{[^}]*\}", "allow-transfer { none; }", shown[shown.index("{") :])
        self.rndc("modzone", zone, body.strip())

    def rejected_updates(self) -> int:
        """How many UPDATE messages it has refused."""
        statistics = self.server.folder / "named.stats"
        statistics.unlink(missing_ok=True)
        self.rndc("stats")
        found = re.search(r"(\d+) update requests rejected", statistics.read_text())
        return int(found[1]) if found else 0

    def dig(self, name: str, rtype: str = "A") -> list[str]:
        """The records of that type, sorted."""
        query = dns.message.make_query(name, rtype)
        answer = dns.query.udp(query, self.server.endpoint.host, port=self.server.endpoint.port, timeout=3)
        return sorted(rdata.to_text() for rrset in answer.answer for rdata in rrset)

    def add(self, zone: str, name: str, rtype: str, *values: str) -> None:
        """Somebody adds records."""
        message = dns.update.UpdateMessage(zone, keyring=self.key(zone).dnspython)
        for value in values:
            message.add(f"{name}.", 60, rtype, value)
        answer = dns.query.tcp(message, self.server.endpoint.host, port=self.server.endpoint.port, timeout=5)
        assert answer.rcode() == dns.rcode.NOERROR


@contextmanager
def second_bind(folder: Path) -> Iterator[SecondBind]:
    """A BIND on a free port without zones."""
    server = Server(folder)
    with asyncio.Runner() as runner:
        runner.run(server.start())
        try:
            yield SecondBind(server)
        finally:
            runner.run(server.stop())
