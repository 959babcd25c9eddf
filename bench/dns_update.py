# SPDX-License-Identifier: GPL-3.0-or-later
"""Changed updates by DNS UPDATE, signed with the keys of hosts, against the same over HTTP."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from support.ports import free_port
from support.servers.postgres import create_database, postgres
from support.servers.service import Service, dev

from bench import dnswire
from bench.address import fresh
from bench.bind import WAYS
from bench.dnswire import Key
from bench.figure import Figure, Section
from bench.load import ClosedLoop, Run
from bench.plan import Plan, say
from bench.rig import CONNECTIONS, MAX_RATE, Rig
from ddnsd.auth.tsig_secrets import tsig_secret

WAY = "16 × 4"

TEXT = f"""\
One service takes both in turn, {CONNECTIONS} in flight. Over HTTP as above; over DNS UPDATE by TCP ({WAY},
connections × messages), each message deletes the A RRset of a host and adds another address, signed by hmac-sha256
with the host's key ahead of the clock. Both are durable and acknowledged by BIND when they are answered."""


def section(plan: Plan) -> Section:
    """Measure both in turn, on both databases."""
    figures: list[Figure] = []
    for database in ("SQLite", "PostgreSQL"):
        http, dns = (Figure(f"changed by {way}, {database}", "/s") for way in ("HTTP", "DNS UPDATE"))
        ratio = Figure(f"**DNS UPDATE / HTTP, {database}**", "×", 0.35, 0.6)
        with _opened(plan, database) as service:
            rig = Rig(service)
            rig.register()
            _changed(rig, plan.seconds / 4)
            for _ in range(plan.rounds):
                http.add(rig.changed(plan.seconds).rate)
                dns.add(_changed(rig, plan.seconds).rate)
                ratio.add(dns.values[-1] / http.values[-1])
                say([http, dns, ratio])
        figures += [http, dns, ratio]
    return Section("DNS UPDATE", TEXT, figures)


@contextmanager
def _opened(plan: Plan, database: str) -> Iterator[Service]:
    folder, listen = plan.directory / f"dns-update-{database}", f"127.0.0.1:{free_port()}"
    if database == "SQLite":
        with dev(folder, update_listen=listen) as service:
            yield service
    else:
        with (
            postgres(durable=True) as server,
            dev(folder, update_listen=listen, database_url=create_database(server, "dnsupdate")) as service,
        ):
            yield service


def _changed(rig: Rig, seconds: float) -> Run:
    connections, depth = WAYS[WAY]
    port = int(rig.service.settings["DDNSD_UPDATE_LISTEN"].rpartition(":")[2])
    keys = {name: Key(name, tsig_secret(secret)) for name, secret in rig.hosts.items()}
    names = itertools.islice(itertools.cycle(keys), int(MAX_RATE / 4 * seconds))
    messages = []
    for number, name in enumerate(names):
        rig.current[name] = fresh()
        label = name.partition(".")[0]
        moved = dnswire.moved(label, rig.current[name])
        messages.append(dnswire.update(rig.service.domain, moved, keys[name], number))
    supplies = [messages[n::connections] for n in range(connections)]
    loop = ClosedLoop(("127.0.0.1", port), supplies, dnswire.frame, dnswire.rcode, depth=depth)
    return loop.run(seconds).only("NOERROR")
