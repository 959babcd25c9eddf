# SPDX-License-Identifier: GPL-3.0-or-later
"""Changed updates with one, two and three service processes on one PostgreSQL, zones spread over them."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.ports import wait_until
from support.servers.postgres import create_database, postgres, programs
from support.servers.service import Service, beside, dev

from bench.figure import Figure, Section
from bench.machine import processor_seconds
from bench.plan import Plan, say
from bench.rig import CONNECTIONS, HOSTS, Rig

ZONES = 12
MOST = 3

TEXT = f"""\
{CONNECTIONS} kept connections, spread over the nodes, one request in flight on each; {HOSTS} hosts in {ZONES} zones of
one BIND. Each zone is owned by one node; requests reach any of them. PostgreSQL, BIND, all nodes and the load generator
share the cores, so more nodes can show only what sharing costs. Processor time is that of all nodes, without
PostgreSQL and BIND."""


def section(plan: Plan) -> Section:
    """Measure."""
    rates = [Figure(f"changed, {_nodes(number)}", "/s") for number in range(1, MOST + 1)]
    ratios = [Figure(f"**{_nodes(number)} / 1 node**", "×", 0.8, 1) for number in range(2, MOST + 1)]
    costs = [Figure(f"processor time per update, {_nodes(number)}", "µs", less=True) for number in range(1, MOST + 1)]
    with _nodes_of(plan.directory / "nodes") as (rig, url):
        for _ in range(plan.rounds):
            for number in range(1, MOST + 1):
                with _beside(rig.service, plan.directory / "nodes", url, number - 1) as others:
                    _measure(rig, others, plan.seconds, rates[number - 1], costs[number - 1])
            for ratio, rate in zip(ratios, rates[1:], strict=True):
                ratio.add(rate.values[-1] / rates[0].values[-1])
            say([*rates, *ratios, *costs])
    return Section("Several nodes", TEXT, [*rates, *ratios, *costs])


def _measure(rig: Rig, others: list[Service], seconds: float, rate: Figure, cost: Figure) -> None:
    nodes = [rig.service, *others]
    addresses = [("127.0.0.1", node.http_port) for node in others]
    rig.changing(seconds / 4, addresses).run(seconds / 4).only("200 good")  # warm up
    before = sum(map(processor_seconds, nodes))
    run = rig.changing(seconds, addresses).run(seconds).only("200 good")
    rate.add(run.rate)
    cost.add(1e6 * (sum(map(processor_seconds, nodes)) - before) / len(run.latencies))


@contextmanager
def _nodes_of(directory: Path) -> Iterator[tuple[Rig, str]]:
    """The first node, with hosts in all zones, and the URL of its database."""
    with postgres(durable=True) as server:
        url = create_database(server, "bench")
        with dev(directory / "0", database_url=url) as service:
            rig = Rig(service)
            zones = [f"zone{n}.test" for n in range(ZONES - 1)]
            for zone in zones:
                service.cli("domain", "add", zone, "--owner", "admin")
            rig.register(zones=[service.domain, *zones])
            yield rig, url


@contextmanager
def _beside(first: Service, directory: Path, url: str, number: int) -> Iterator[list[Service]]:
    """So many more nodes; each of them owns its share of the zones."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(beside(first, directory / str(n), url)) for n in range(1, number + 1)]
        wait_until(lambda: _owners(url) == number + 1, 30, "each node owns zones")
        time.sleep(2)  # a new owner is careful at first
        yield nodes


def _owners(url: str) -> int:
    shares = (
        "SELECT count(*) FROM zone_leases WHERE expires > extract(epoch FROM clock_timestamp()) * 1000000 GROUP BY node"
    )
    found = subprocess.check_output([programs() / "psql", url, "-Atqc", shares], text=True).split()
    return len(found) if sum(map(int, found)) == ZONES and set(found) == {str(ZONES // len(found))} else 0


def _nodes(number: int) -> str:
    return f"{number} node{'s' * (number > 1)}"
