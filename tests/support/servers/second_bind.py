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
import dns.rdatatype
import dns.update

from ddnsd.dns.tsig import TsigKey
from support.ports import wait_until
from support.servers.bind import Server


@dataclass
class SecondBind:
    """A running BIND; the keys of its zones are in files that `ddnsd domain … --key-file` takes."""

    server: Server
    runner: asyncio.Runner

    def restart(self) -> None:
        """Stop it, and start it again."""
        self.runner.run(self.server.stop())
        self.runner.run(self.server.start())

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

    def make_signed_zone(self, name: str, *, inline: bool) -> Path:
        """An empty zone that it signs, with or without a signed copy; answers the file of its key."""
        file, folder = self.make_zone(name), self.server.folder
        shown = self.rndc("showzone", name)
        self.rndc("delzone", name)
        options = f'dnssec-policy default; inline-signing {"yes" if inline else "no"}; key-directory "{folder}";'
        self.rndc("addzone", name, f"{{ {options} {shown[shown.index('{') + 1 :].strip()}")
        wait_until(lambda: self.dig(name, "DNSKEY") != [], 20, "the zone is signed")
        return file

    def end_inline_signing(self, zone: str) -> None:
        """Let it sign the zone in place."""
        shown = self.rndc("showzone", zone)
        body = re.sub(r"inline-signing \w+", "inline-signing no", shown[shown.index("{") :])
        self.rndc("modzone", zone, body.strip())

    def names(self, zone: str) -> set[str]:
        """All names of the zone."""
        return {name for name, _ in self.records(zone)}

    def records(self, zone: str) -> dict[tuple[str, str], list[str]]:
        """All records of the zone but its SOA, sorted, by name and type."""
        key = self.key(zone).dnspython
        where, port = self.server.endpoint.host, self.server.endpoint.port
        messages = dns.query.xfr(where, zone, port=port, keyring={key.name: key}, lifetime=10, relativize=False)
        return {
            (rrset.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(rrset.rdtype)): sorted(map(str, rrset))
            for message in messages
            for rrset in message.answer
            if rrset.rdtype != dns.rdatatype.SOA
        }

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
        self._send(message)

    def remove(self, zone: str, name: str, rtype: str) -> None:
        """Somebody removes records."""
        message = dns.update.UpdateMessage(zone, keyring=self.key(zone).dnspython)
        message.delete(f"{name}.", rtype)
        self._send(message)

    def _send(self, message: dns.update.UpdateMessage) -> None:
        answer = dns.query.tcp(message, self.server.endpoint.host, port=self.server.endpoint.port, timeout=5)
        assert answer.rcode() == dns.rcode.NOERROR


@contextmanager
def second_bind(folder: Path) -> Iterator[SecondBind]:
    """A BIND on a free port without zones."""
    server = Server(folder)
    with asyncio.Runner() as runner:
        runner.run(server.start())
        try:
            yield SecondBind(server, runner)
        finally:
            runner.run(server.stop())
