# SPDX-License-Identifier: GPL-3.0-or-later
"""Many hosts: how long a list takes, and how much memory the service holds."""

import multiprocessing
import time
from pathlib import Path

from support.servers.service import Service, dev

from bench.figure import Figure, Section, number
from bench.plan import Plan, say
from bench.rig import Rig

LISTED = 10_000
LOADED_SECONDS = 2.0

LIST_TEXT = """\
`GET /nic/hosts` by a user with 10 000 hosts, until the last octet has come: with nothing else to do, and while 64
connections send changed updates of other hosts."""

MEMORY_TEXT = """\
Memory of the service's process, without `named`, with {number} hosts in the SQLite store: after a start, changed
updates of hosts all over the store, and lists of the 10 000 hosts of one user."""


def list_section(plan: Plan) -> Section:
    """Time the lists."""
    idle = Figure("list of 10 000 hosts", "s", 1, 0.3, less=True)
    busy = Figure("list of 10 000 hosts during updates", "s")
    with dev(plan.directory / "hosts") as service:
        rig = Rig(service)
        rig.register()
        token = service.user("alice")
        others = dict(rig.hosts)
        rig.insert("list", LISTED, "alice")
        rig.hosts = others
        _list(service, token)
        for _ in range(plan.rounds):
            idle.add(_list(service, token))
            busy.add(_list_during_updates(rig, token))
            say([idle, busy])
    return Section("Lists", LIST_TEXT, [idle, busy])


def _list(service: Service, token: str) -> float:
    begin = time.perf_counter()
    answer = service.get("/nic/hosts", token)
    seconds = time.perf_counter() - begin
    hosts = answer.json()["hosts"]
    if len(hosts) != LISTED or not all(host["ipv4"] for host in hosts):
        raise RuntimeError(f"{len(hosts)} hosts listed instead of {LISTED}")
    return seconds


def _list_during_updates(rig: Rig, token: str) -> float:
    loop = rig.changing(LOADED_SECONDS)  # made before the fork, so that no address comes twice
    load = multiprocessing.get_context("fork").Process(target=loop.run, args=(LOADED_SECONDS,))
    load.start()
    loop.close()
    time.sleep(LOADED_SECONDS / 3)
    try:
        return _list(rig.service, token)
    finally:
        load.join(30)


def memory_section(plan: Plan) -> Section:
    """Fill the store, start anew, serve, look."""
    resident = Figure("resident, serving", "MiB", 300, 150, less=True)
    peak = Figure("highest since the start", "MiB")
    with dev(plan.directory / "memory") as service:
        rig = Rig(service)
        token = service.user("alice")
        rig.insert("list", LISTED, "alice")
        rig.insert("h", plan.many - LISTED, "admin")
        for _ in range(min(plan.rounds, 3)):
            service.stop()
            service.start()
            rig.changed(plan.seconds)
            for _ in range(2):
                _list(service, token)
            rig.changed(plan.seconds / 2)
            resident.add(memory(service, "VmRSS"))
            peak.add(memory(service, "VmHWM"))
            say([resident, peak])
    return Section("Memory", MEMORY_TEXT.format(number=number(plan.many)), [resident, peak])


def memory(service: Service, field: str) -> float:
    """MiB of the service and its children, without named."""
    assert service.process is not None
    return sum(_kib(pid, field) for pid in _tree(service.process.pid)) / 1024


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(p for child in children if _name(int(child)) != "named" for p in _tree(int(child)))]


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _kib(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
