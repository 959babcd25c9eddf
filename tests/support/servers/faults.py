# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the parts behind a service, and doing things behind its back."""

import asyncio
import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import dns.name
import dns.query
import dns.rcode
import dns.tsig
import dns.update
import dns.zone
from sqlalchemy import Connection, update

from ddnsd.db.schema import set_aside
from ddnsd.operations import store_access
from support.ports import wait_until
from support.servers.service import Service

T = TypeVar("T")

_KEY = re.compile(r'key "?([^"\s]+)"? \{\s*algorithm "?([^";]+)"?;\s*secret "([^"]+)";')


def halt(process: int) -> None:
    """Stop the process, and wait until each of its threads stands still: they go on until one has seen the signal."""
    os.kill(process, signal.SIGSTOP)
    threads = Path(f"/proc/{process}/task")

    def still() -> bool:
        states = [(thread / "stat").read_text().rpartition(")")[2].split()[0] for thread in threads.iterdir()]
        return set(states) == {"T"}

    wait_until(still, what=f"process {process} stands still")


@contextmanager
def hung(process: int) -> Iterator[None]:
    """The process stands still within the block: its sockets stay open and nothing is answered."""
    halt(process)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def fill(file: Path) -> None:
    """Take the room that is left on the disk, to the last octet."""
    with file.open("wb", buffering=0) as handle:
        for size in (65536, 1):
            try:
                while True:
                    handle.write(b"\0" * size)
            except OSError:
                continue


@contextmanager
def refusing(service: Service, zone: str) -> Iterator[None]:
    """BIND refuses UPDATE messages for the zone within the block, and goes on answering queries."""
    rndc(service, "freeze", zone)
    try:
        yield
    finally:
        rndc(service, "thaw", zone)


@contextmanager
def locked(service: Service) -> Iterator[None]:
    """Nobody else can write to the service's SQLite database within the block."""
    (file,) = service.dir.glob("*.db")
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


def insert(service: Service, zone: str, name: str, rtype: str, value: str) -> None:
    """Add a record to the zone with its own key, as somebody other than the service would."""
    keys: dict[str, tuple[str, str, str]] = {}
    for file in (service.dir / "bind").rglob("*"):
        if file.suffix in (".conf", ".key") and file.is_file():
            keys |= {found[0].rstrip("."): found for found in _KEY.findall(file.read_text())}
    refusals = []
    for key_name, algorithm, secret in keys.values():
        if key_name == "rndc":
            continue
        key = dns.tsig.Key(key_name, secret, algorithm)
        message = dns.update.UpdateMessage(zone, keyring={key.name: key}, keyname=key.name)
        message.add(name + ".", 60, rtype, value)
        answer = dns.query.tcp(message, "127.0.0.1", port=service.dns_port, timeout=5)
        if answer.rcode() == dns.rcode.NOERROR:
            return
        refusals.append(dns.rcode.to_text(answer.rcode()))
    raise AssertionError(f"no key may add to {zone}: {refusals}")


def write_to_zone_file(service: Service, zone: str, *lines: str) -> None:
    """Append records, with full names, to the zone's file, as an operator with an editor would."""
    rndc(service, "freeze", zone)
    file = service.dir / "bind" / "zones" / f"{zone}.zone"
    # BIND answers `freeze` before it has written the file
    wait_until(lambda: service.dig(zone, "SOA") == _soa(file, zone), what="frozen zone file")
    with file.open("a") as text:
        text.writelines(f"{line}\n" for line in lines)
    rndc(service, "thaw", zone)


def _soa(file: Path, zone: str) -> list[str]:
    origin = dns.name.from_text(zone)
    records = dns.zone.from_file(str(file), origin, relativize=False)
    return [rdata.to_text() for rdata in records.get_rdataset(origin, "SOA") or ()]


def rndc(service: Service, *command: str) -> str:
    """A command to the service's BIND; its answer."""
    program = ["rndc", "-c", str(service.dir / "bind" / "rndc.conf")]
    return subprocess.run([*program, *command], check=True, capture_output=True, text=True).stdout


@contextmanager
def granting(service: Service, zone: str, *rules: str) -> Iterator[None]:
    """BIND lets our key do what these rules of `update-policy` say within the block; {key} is the key's name."""
    before = _statement(service, zone)
    policy = re.search(r'update-policy \{ grant "?([^\s"]+)"?[^}]*\};', before)
    assert policy is not None, before
    text = " ".join(f"{rule};" for rule in rules).format(key=f'"{policy[1]}"')
    with _having(service, zone, before, before.replace(policy[0], f"update-policy {{ {text} }};")):
        yield


@contextmanager
def with_option(service: Service, zone: str, option: str) -> Iterator[None]:
    """The zone has one more option of `named.conf` within the block."""
    before = _statement(service, zone)
    with _having(service, zone, before, before.replace("{", f"{{ {option};", 1)):
        yield


def _statement(service: Service, zone: str) -> str:
    shown = rndc(service, "showzone", zone)
    return shown[shown.index("{") :].strip()


@contextmanager
def _having(service: Service, zone: str, before: str, within: str) -> Iterator[None]:
    rndc(service, "modzone", zone, within)
    try:
        yield
    finally:
        rndc(service, "modzone", zone, before)


def in_store(service: Service, work: Callable[[Connection], T]) -> T:
    """Run `work` in a transaction of the service's store."""
    url = service.settings.get("DDNSD_DATABASE_URL", f"sqlite:///{service.dir}/ddnsd.db")
    return asyncio.run(store_access.with_store(url, work))


def make_due(service: Service) -> None:
    """What was set aside is tried again now."""
    in_store(service, lambda c: c.execute(update(set_aside).values(retry_at=0)))
