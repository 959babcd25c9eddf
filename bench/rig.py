# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured: `ddnsd dev` with hosts, and on its BIND zones that other parties write to."""

import base64
import hashlib
import itertools
import json
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from support.ports import wait_until
from support.servers.service import Service

from bench import httpwire
from bench.address import fresh
from bench.bind import Bind
from bench.dnswire import Key
from bench.load import ClosedLoop, Run

CONNECTIONS = 64
HOSTS = 1024
MAX_RATE = 16_000  # changes a second that are made ahead; a run that used them up ends early
PLAIN_ZONE = "plain.test"


@dataclass
class Rig:
    """A running service, the secrets of its hosts by name, and the addresses that they were given last."""

    service: Service
    hosts: dict[str, str] = field(default_factory=dict)
    current: dict[str, str] = field(default_factory=dict)

    @property
    def address(self) -> tuple[str, int]:
        """Where it answers HTTP."""
        return "127.0.0.1", self.service.http_port

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.service.dir / "ddnsd.db"

    def zone(self, name: str = PLAIN_ZONE) -> Bind:
        """Have a zone on the service's BIND, with a key of the zone's own name: upstream uses no other."""
        file = self.service.dir / "bind" / "keys" / f"{name}.key"
        if not file.exists():
            secret = base64.b64encode(secrets.token_bytes(32)).decode()
            file.write_text(f'key "{name}" {{ algorithm hmac-sha256; secret "{secret}"; }};\n')
            self.service.cli("domain", "add", name, "--owner", "admin", "--private")
        return Bind(self.service.dns_port, name, Key(name, file.read_text().split('"')[3]))

    # ---- hosts

    def register(self, number: int = HOSTS) -> None:
        """Register hosts as an administrator does, each with an address."""
        names = [f"h{n}.{self.service.domain}" for n in range(number)]
        self.current |= {name: fresh() for name in names}
        answers: list[bytes] = []

        def keep(answer: bytes) -> str:
            answers.append(httpwire.body(answer))
            return answer[9:12].decode()

        bearer = f"Bearer {self.service.admin_token}"
        requests = [httpwire.get(f"/nic/register?fqdn={name}&ip={self.current[name]}", bearer) for name in names]
        loop = ClosedLoop(self.address, [requests[i::CONNECTIONS] for i in range(CONNECTIONS)], httpwire.frame, keep)
        loop.run(120).only("200")
        for answer in answers:
            host = json.loads(answer)["host"]
            self.hosts[host["fqdn"]] = host["update_secret"]

    def insert(self, prefix: str, number: int, owner: str) -> None:
        """Write hosts straight into the SQLite file, and wait until the service has brought them into DNS."""
        domain = self.service.domain
        secret_of = {f"{prefix}{n}.{domain}": secrets.token_urlsafe(18) for n in range(number)}
        self.hosts |= secret_of
        self.current |= {name: fresh() for name in secret_of}
        with closing(sqlite3.connect(self.database, timeout=20)) as connection:
            rows = [
                (name, name.split(".")[0], _digest(secret), self.current[name], owner, domain)
                for name, secret in secret_of.items()
            ]
            for begin in range(0, number, 5000):
                with connection:
                    connection.executemany(_INSERT, rows[begin : begin + 5000])
                    connection.execute(
                        "INSERT OR IGNORE INTO pending SELECT id, version, 0 FROM hosts WHERE updated_ipv4 = 0"
                    )
            waiting = "SELECT count(*) FROM pending"
            wait_until(lambda: connection.execute(waiting).fetchone() == (0,), 120, "all hosts in DNS")

    # ---- load

    def changed(self, seconds: float) -> Run:
        """Every request moves a host to an address that it never had."""
        return self.changing(seconds).run(seconds).only("200 good")

    def changing(self, seconds: float) -> ClosedLoop:
        """The load of `changed`, ready to run."""
        number = int(MAX_RATE * seconds / CONNECTIONS)
        return self._loop(self._moves(names, number) for names in self._shares())

    def unchanged(self, seconds: float) -> Run:
        """Every request repeats the address that its host has."""
        supplies = [[self._update(name, self.current[name]) for name in names] for names in self._shares()]
        return self._loop(map(itertools.cycle, supplies)).run(seconds).only("200 nochg")

    def wrong(self, seconds: float) -> Run:
        """Wrong secrets of hosts that exist and of hosts that do not, in turn."""
        supplies = [
            [httpwire.update(n, httpwire.basic(user, "wrong"), "192.0.2.1") for n in names for user in (n, f"x{n}")]
            for names in self._shares()
        ]
        return self._loop(map(itertools.cycle, supplies)).run(seconds).only("401 badauth")

    def _shares(self) -> list[list[str]]:
        """The hosts of each connection: none is in flight twice."""
        return [list(self.hosts)[i::CONNECTIONS] for i in range(CONNECTIONS)]

    def _update(self, name: str, address: str) -> bytes:
        return httpwire.update(name, httpwire.basic(name, self.hosts[name]), address)

    def _moves(self, names: Sequence[str], number: int) -> Iterator[bytes]:
        """Made at once; what was sent is noted as the host's address."""
        addressed = [(name, fresh()) for name in itertools.islice(itertools.cycle(names), number)]
        return self._noting([(name, address, self._update(name, address)) for name, address in addressed])

    def _noting(self, moves: Iterable[tuple[str, str, bytes]]) -> Iterator[bytes]:
        for name, address, request in moves:
            self.current[name] = address
            yield request

    def _loop(self, supplies: Iterable[Iterable[bytes]]) -> ClosedLoop:
        return ClosedLoop(self.address, list(supplies), httpwire.frame, httpwire.word)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


_INSERT = """
INSERT INTO hosts (fqdn, name, secret_hash, ipv4, owner_id, domain_id, updated_ipv4, created)
SELECT ?, ?, ?, ?, users.id, domains.id, 0, 0 FROM users, domains WHERE users.name = ? AND domains.name = ?
"""
