# SPDX-License-Identifier: GPL-3.0-or-later
"""Work whose size is a whole zone or table: how long other requests wait meanwhile."""

import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from support import programs
from support.ports import wait_until
from support.servers.postgres import create_database, postgres
from support.servers.service import Service, dev

from bench import httpwire
from bench.figure import Figure, Section, number
from bench.meanwhile import highest_memory, slowest_answer
from bench.plan import Plan, say
from bench.rig import Rig

SENT_SECONDS = 300.0
COMPARED_SECONDS = 300.0
ROUNDS = 2
PAGE = 10_000

TEXT = """\
A user with {number} hosts on {database}. Meanwhile a second client sends `GET /healthz` every few milliseconds; its
slowest answer counts, and "at rest" shows what the machine adds. `GET /nic/hosts` runs until the last octet has come,
`GET /api/hosts` page by page, `ddnsd export` until it ends, the comparison with the zone from the start of the service,
and the new TTL of the domain (`PATCH /api/domains/NAME`) until DNS has it for all hosts. Memory is that of the
service's process, without `named`, at its highest."""

_COMPARED = re.compile(r"^ddnsd_zone_compare_seconds_total (\S+)$", re.MULTILINE)
_NEXT = re.compile(rb'"next":"(\d+)"}\Z')


def section(plan: Plan, database: str) -> Section:
    """Compare, list, export, change the TTL, and watch `/healthz`."""
    compared, listed, paged, exported, resent = (
        Figure(f"slowest /healthz during {what}, {database}", "ms", 100, 50, less=True, always=True)
        for what in ("a comparison", "a list", "pages of the API", "an export", "a new TTL")
    )
    rest = Figure(f"slowest /healthz at rest, {database}", "ms")
    comparison = Figure(f"comparison of {number(plan.large)} hosts, {database}", "s")
    whole = Figure(f"list of {number(plan.large)} hosts, {database}", "s")
    pages = Figure(f"pages with {number(plan.large)} hosts, {database}", "s")
    answered = Figure(f"new TTL of the domain, {database}", "s", 0.5, 0.05, less=True)
    comparing = Figure(f"resident, comparing, {database}", "MiB", 300, 200, less=True)
    resident = Figure(f"resident, listing, {database}", "MiB", 300, 200, less=True)
    figures = [rest, compared, listed, paged, exported, resent, comparison, whole, pages, answered, comparing, resident]
    with service_on(plan.directory / f"large-{database}", database) as service:
        token = service.user("alice")
        rig = Rig(service)
        service.stop()
        rig.load("n", plan.large, "alice")
        for ttl in range(100, 100 + min(plan.rounds, ROUNDS)):
            service.start()
            with slowest_answer(service, compared), highest_memory(service, comparing):
                comparison.add(wait_compared(service))
            with slowest_answer(service, rest):
                time.sleep(plan.seconds)
            with slowest_answer(service, listed), highest_memory(service, resident):
                whole.add(list_hosts(service, token, plan.large))
            with slowest_answer(service, paged):
                pages.add(_pages(service, token, plan.large))
            with slowest_answer(service, exported):
                _export(service)
            with slowest_answer(service, resent):
                answered.add(_change_ttl(service, ttl))
                rig.wait_for_dns(SENT_SECONDS)
            service.stop()
            say(figures)
    return Section(f"Large work on {database}", TEXT.format(number=number(plan.large), database=database), figures)


@contextmanager
def service_on(directory: Path, database: str) -> Iterator[Service]:
    """`ddnsd dev` with a database of that kind, `SQLite` or `PostgreSQL`."""
    if database == "SQLite":
        with dev(directory) as service:
            yield service
        return
    with postgres(durable=True) as server, dev(directory, database_url=create_database(server, "bench")) as service:
        yield service


def wait_compared(service: Service) -> float:
    """Seconds until the service that was just started has compared its zone with the database."""
    begin = time.perf_counter()

    def done() -> bool:
        found = _COMPARED.search(service.get("/metrics").text)
        return found is not None and float(found[1]) > 0

    wait_until(done, COMPARED_SECONDS, "the comparison")
    return time.perf_counter() - begin


def list_hosts(service: Service, token: str, hosts: int) -> float:
    """Seconds until the last octet; the text is not parsed, because that would slow down the other client."""
    begin = time.perf_counter()
    found, _ = _receive(service, "/nic/hosts", token)
    return _checked(found, hosts, begin)


def _pages(service: Service, token: str, hosts: int) -> float:
    """The same for all pages of the API."""
    begin = time.perf_counter()
    path = f"/api/hosts?limit={PAGE}"
    found, end = _receive(service, path, token)
    while cursor := _NEXT.search(end):
        more, end = _receive(service, f"{path}&cursor={cursor[1].decode()}", token)
        found += more
    return _checked(found, hosts, begin)


def _receive(service: Service, path: str, token: str) -> tuple[int, bytes]:
    """The number of hosts in an answer, and its last octets."""
    found, rest = 0, b""
    with closing(socket.create_connection(("127.0.0.1", service.http_port))) as connection:
        connection.sendall(httpwire.get(path, f"Bearer {token}", keep=False))
        while part := connection.recv(1 << 18):
            found += (rest[-5:] + part).count(b'"fqdn"')
            rest = (rest + part)[-100:]
    return found, rest


def _checked(found: int, hosts: int, begin: float) -> float:
    if found != hosts:
        raise RuntimeError(f"{found} hosts listed instead of {hosts}")
    return time.perf_counter() - begin


def _export(service: Service) -> None:
    with tempfile.TemporaryFile() as file:
        subprocess.run([programs.FOLDER / "ddnsd", "export"], env=service.env, stdout=file, check=True)


def _change_ttl(service: Service, ttl: int) -> float:
    """Seconds until the call is answered."""
    begin = time.perf_counter()
    answer = service.request("PATCH", f"/api/domains/{service.domain}", service.admin_token, json={"ttl": ttl})
    seconds = time.perf_counter() - begin
    answer.raise_for_status()
    return seconds
