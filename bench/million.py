# SPDX-License-Identifier: GPL-3.0-or-later
"""A million hosts: the time until the first update after a start, and memory."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from support import programs
from support.ports import free_port
from support.servers.service import Service

from bench import httpwire
from bench.address import fresh
from bench.figure import Figure, Section, number
from bench.large import list_hosts, service_on, wait_compared
from bench.many import memory
from bench.meanwhile import highest_memory
from bench.plan import Plan, say
from bench.rig import Rig

UPDATED = 20_000
"""Hosts that are updated."""

ROUNDS = 2
START_SECONDS = 60.0
PAUSE_SECONDS = 0.02

TEXT = """\
`ddnsd serve` with {number} hosts of one zone on {database}, while the name server keeps running. The time is that from
the start of the process to the first `good`. Memory is that of the process: at its highest until the comparison with
the zone has ended, and after changed updates. `GET /nic/hosts` runs until the last octet has come."""


def section(plan: Plan, database: str) -> Section:
    """Fill the database, start anew, serve, look."""
    first = Figure(f"start until the first update, {database}", "s", 4, 2, less=True)
    comparing = Figure(f"resident with {number(plan.million)} hosts, comparing, {database}", "MiB", 600, less=True)
    serving = Figure(f"resident with {number(plan.million)} hosts, serving, {database}", "MiB", 400, less=True)
    comparison = Figure(f"comparison of {number(plan.million)} hosts, {database}", "s")
    whole = Figure(f"list of {number(plan.million)} hosts, {database}", "s")
    figures = [first, comparing, serving, comparison, whole]
    directory = plan.directory / f"million-{database}"
    with service_on(directory, database) as service:
        token = service.user("alice")
        rig = Rig(service)
        service.stop()
        rig.load("n", plan.million, "alice")
        service.start()
        rig.hosts = dict(list(rig.hosts.items())[-UPDATED:])
        for _ in range(min(plan.rounds, ROUNDS)):
            with _serving(rig, directory / "serve"):
                first.add(_until_good(rig))
                with highest_memory(rig.service, comparing):
                    comparison.add(wait_compared(rig.service))
                rig.changed(plan.seconds)
                serving.add(memory(rig.service, "VmRSS"))
                whole.add(list_hosts(rig.service, token, plan.million))
            say(figures)
    return Section(
        f"A million hosts on {database}", TEXT.format(number=number(plan.million), database=database), figures
    )


@contextmanager
def _serving(rig: Rig, directory: Path) -> Iterator[None]:
    """Use `ddnsd serve`, just started, instead of `ddnsd dev`, whose BIND keeps running."""
    service = rig.service
    settings = {"DDNSD_DATABASE_URL": rig.url, "DDNSD_ALLOW_LOOPBACK_PEERS": "true", "DDNSD_RULES": "false"}
    rig.service = Service(directory, free_port(), service.dns_port, ("serve",), settings)
    directory.mkdir(exist_ok=True)
    service.kill()
    try:
        yield
    finally:
        rig.service.stop()
        rig.service = service
        service.start()


def _until_good(rig: Rig) -> float:
    """Start the command, and send an update until it is `good`. Returns the seconds from the start."""
    service = rig.service
    name, secret = next(iter(rig.hosts.items()))
    rig.current[name] = fresh()
    request = httpwire.update(name, httpwire.basic(name, secret), rig.current[name], keep=False)
    begin = time.perf_counter()
    with service.log.open("ab") as log:
        service.process = subprocess.Popen(
            [programs.FOLDER / "ddnsd", *service.command], env=service.env, stdout=log, stderr=log
        )
    while (found := _word(service.http_port, request)) != "200 good":
        if time.perf_counter() - begin > START_SECONDS or service.process.poll() is not None:
            raise RuntimeError(f"the first update was answered with {found}: {service.log.read_text()}")
        time.sleep(PAUSE_SECONDS)
    return time.perf_counter() - begin


def _word(port: int, request: bytes) -> str:
    """Status and first word of the answer; what went wrong if there is none."""
    answer = b""
    try:
        with closing(socket.create_connection(("127.0.0.1", port), timeout=10)) as connection:
            connection.sendall(request)
            while part := connection.recv(65536):
                answer += part
    except OSError as error:
        return str(error)
    return httpwire.word(answer) if answer else "nothing"
