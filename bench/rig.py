# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured: `ddnsd dev` with hosts, and on its BIND zones that other parties write to."""

import asyncio
import base64
import itertools
import json
import secrets
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import insert, text
from support.servers.service import Service

from bench import httpwire
from bench.address import fresh
from bench.bind import Bind
from bench.dnswire import Key
from bench.load import ClosedLoop, Run
from ddnsd.auth.secrets import verifier
from ddnsd.db import queries
from ddnsd.db.schema import hosts
from ddnsd.operations.store_access import opened

CONNECTIONS = 64
HOSTS = 1024
MAX_RATE = 16_000  # changes a second that are made ahead; a run that used them up ends early
INSERTED = 5000
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

    def register(self, number: int = HOSTS, zones: Sequence[str] = ()) -> None:
        """Register hosts as an administrator does, each with an address; in these zones in turn, if there are some."""
        turns = itertools.cycle(zones or [self.service.domain])
        names = [f"h{n}.{zone}" for n, zone in zip(range(number), turns, strict=False)]
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

    def insert(self, prefix: str, number: int, owner: str, *, ptr: bool = False) -> None:
        """Write hosts straight into the database, and wait until the service has brought them into DNS."""
        asyncio.run(self._insert(prefix, number, owner, waiting=True, ptr=ptr))
        self.wait_for_dns()

    def load(self, prefix: str, number: int, owner: str) -> None:
        """Write hosts straight into the database and into the zone's file, while the service is stopped: quicker."""
        asyncio.run(self._insert(prefix, number, owner, waiting=False))
        domain = self.service.domain
        file = self.service.dir / "bind" / "zones" / f"{domain}.zone"
        whole = file.with_suffix(".new")
        subprocess.run(["named-compilezone", "-q", "-j", "-o", whole, domain, file], check=True)
        with whole.open("a") as lines:
            lines.writelines(f"{name}. 60 IN A {address}\n" for name, address in self.current.items())
        whole.replace(file)
        file.with_suffix(".zone.jnl").unlink(missing_ok=True)

    async def _insert(self, prefix: str, number: int, owner: str, *, waiting: bool, ptr: bool = False) -> None:
        domain = self.service.domain
        secret_of = {f"{prefix}{n}.{domain}": secrets.token_urlsafe(18) for n in range(number)}
        self.hosts |= secret_of
        self.current |= {name: fresh() for name in secret_of}
        async with opened(self.url) as store:
            found = await store.read(lambda c: (queries.user(c, owner), queries.domain(c, domain)))
            assert found[0] is not None
            assert found[1] is not None
            before = await store.read(lambda c: c.scalar(text("SELECT coalesce(max(id), 0) FROM hosts")))
            same = {
                "owner_id": found[0].id,
                "domain_id": found[1].id,
                "updated_ipv4": 0,
                "created": 0,
                "claimed": not waiting,
                "ptr": ptr,
            }
            values = (
                {"fqdn": n, "name": n.split(".")[0], "secret_hash": verifier(s), "ipv4": self.current[n], **same}
                for n, s in secret_of.items()
            )
            while part := list(itertools.islice(values, INSERTED)):
                await store.transact(lambda c, part=part: c.execute(insert(hosts), part).close())  # type: ignore[misc]
            if waiting:
                await store.transact(lambda c: c.execute(text(_WAIT), {"after": before}).close())

    def wait_for_dns(self, seconds: float = 120) -> None:
        """Wait until the service has brought all hosts and their reverse names into DNS."""
        asyncio.run(self._wait_for_dns(seconds))

    async def _wait_for_dns(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        async with opened(self.url) as store:
            while await store.read(lambda c: c.scalar(text(f"SELECT {_LEFT}"))):
                if time.monotonic() > end:
                    raise TimeoutError("not all hosts are in DNS")
                await asyncio.sleep(0.1)

    @property
    def url(self) -> str:
        """The URL of its database."""
        return self.service.settings.get("DDNSD_DATABASE_URL", f"sqlite:///{self.database}")

    # ---- load

    def changed(self, seconds: float) -> Run:
        """Every request moves a host to an address that it never had."""
        return self.changing(seconds).run(seconds).only("200 good")

    def changing(self, seconds: float, others: Sequence[tuple[str, int]] = ()) -> ClosedLoop:
        """The load of `changed`, ready to run; connections also go to `others`, nodes of the same database."""
        number = int(MAX_RATE * seconds / CONNECTIONS)
        return self._loop((self._moves(names, number) for names in self._shares()), others)

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

    def _loop(self, supplies: Iterable[Iterable[bytes]], others: Sequence[tuple[str, int]] = ()) -> ClosedLoop:
        return ClosedLoop(self.address, list(supplies), httpwire.frame, httpwire.word, others=others)


_WAIT = "INSERT INTO pending SELECT id, version, 0 FROM hosts WHERE id > :after ON CONFLICT DO NOTHING"

_LEFT = " OR ".join(f"EXISTS (SELECT 1 FROM {table})" for table in ("pending", "resends", "pointer_marks"))
