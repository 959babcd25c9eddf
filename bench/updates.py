# SPDX-License-Identifier: GPL-3.0-or-later
"""Changed, unchanged and refused updates, next to what the same BIND accepts by itself."""

import hashlib
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.servers.postgres import create_database, postgres, programs
from support.servers.service import dev

from bench.bind import WAYS
from bench.figure import Figure, Section
from bench.machine import processor_seconds
from bench.plan import Plan, say
from bench.rig import CONNECTIONS, HOSTS, Rig

TEXT = f"""\
{CONNECTIONS} kept connections, one request in flight on each, Basic credentials, {HOSTS} hosts. *Changed*: every
request gives its host an address that it never had; `good` says that it is durable and acknowledged by BIND.
*Unchanged*: every request repeats its host's address; the last contact of each host, written some seconds
later by one statement for all hosts, is no write of theirs. *BIND alone*: UPDATE messages of one record (delete the A
RRset, add one) for a zone of its own on the same running `named`, signed with hmac-sha256 ahead of the clock, over kept
TCP connections with 64 in flight; of {", ".join(WAYS)} (connections × messages) the best of each round counts."""


@dataclass
class _Figures:
    """What is measured with one store; `store` is in every name."""

    store: str
    floor: float
    aim: float

    def __post_init__(self) -> None:
        s = self.store
        self.bind = Figure("BIND alone, one record a message", "/s")
        self.bind_p99 = Figure("BIND alone, p99", "ms")
        self.changed = Figure(f"changed, {s}", "/s")
        self.ratio = Figure(f"**changed / BIND alone, {s}**", "×", self.floor, self.aim)
        self.cost = Figure(f"processor time per changed update, {s}", "µs", 130, 100, less=True)
        self.p50 = Figure(f"changed, p50, {s}", "ms")
        self.p99 = Figure(f"changed, p99, {s}", "ms", 40, 20, less=True)
        self.unchanged = Figure(f"unchanged, {s}", "/s")
        self.gain = Figure(f"**unchanged / changed, {s}**", "×", 3)
        self.wrong = Figure(f"wrong credentials, {s}", "/s")
        self.refusal = Figure(f"**wrong credentials / unchanged, {s}**", "×", 1)
        self.written = Figure(f"rounds in which unchanged or wrong wrote to {s}", "", 0, less=True, always=True)

    def filled(self) -> list[Figure]:
        """Those that were measured, in the order of the report."""
        return [figure for figure in vars(self).values() if isinstance(figure, Figure) and figure.values]


def section(plan: Plan, store: str) -> Section:
    """Measure on SQLite or PostgreSQL."""
    figures = _Figures(store, *((1.5, 2.5) if store == "SQLite" else (1.0, 2.0)))
    opened = _on_sqlite if store == "SQLite" else _on_postgres
    with opened(plan.directory / store) as (rig, state):
        rig.register()
        rig.service.stop()  # the use of the token is written now, not a minute later
        rig.service.start()
        rig.changed(plan.seconds / 4)  # warm up
        for _ in range(plan.rounds):
            if plan.has("changed"):
                _bind_round(rig, figures, plan.seconds)
            _changed_round(rig, figures, plan.seconds)
            if plan.has("nochg"):
                _unchanged_round(rig, figures, plan.seconds, state)
            say(figures.filled())
    return Section(f"Updates on {store}", TEXT, figures.filled())


def _bind_round(rig: Rig, figures: _Figures, seconds: float) -> None:
    bind = rig.zone()
    best = bind.best(seconds)
    figures.bind.add(best.rate)
    figures.bind_p99.add(1000 * best.quantile(0.99))


def _changed_round(rig: Rig, figures: _Figures, seconds: float) -> None:
    before = processor_seconds(rig.service)
    run = rig.changed(seconds)
    figures.changed.add(run.rate)
    figures.cost.add(1e6 * (processor_seconds(rig.service) - before) / len(run.latencies))
    figures.p50.add(1000 * run.quantile(0.5))
    figures.p99.add(1000 * run.quantile(0.99))
    if figures.bind.values:
        figures.ratio.add(run.rate / figures.bind.values[-1])


def _unchanged_round(rig: Rig, figures: _Figures, seconds: float, state: Callable[[], object]) -> None:
    time.sleep(0.5)  # the last change is marked as settled
    before = state()
    unchanged = figures.unchanged.add(rig.unchanged(seconds / 2).rate)
    wrong = figures.wrong.add(rig.wrong(seconds / 2).rate)
    figures.written.add(float(state() != before))
    figures.gain.add(unchanged / figures.changed.values[-1])
    figures.refusal.add(wrong / unchanged)


@contextmanager
def _on_sqlite(directory: Path) -> Iterator[tuple[Rig, Callable[[], object]]]:
    """A rig, and what tells whether the database was written to."""
    with dev(directory) as service:
        rig = Rig(service)
        with closing(sqlite3.connect(f"file:{rig.database}?mode=ro", uri=True)) as watcher:
            yield rig, lambda: _content(watcher)


def _content(connection: sqlite3.Connection) -> str:
    """A digest of every row; that somebody was there is written later, whatever they were told."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    digest = hashlib.sha256()
    for table in sorted(set(tables) - {"contacts"}):
        for row in connection.execute(f"SELECT * FROM {table}"):
            digest.update(repr(row).encode())
    return digest.hexdigest()


@contextmanager
def _on_postgres(directory: Path) -> Iterator[tuple[Rig, Callable[[], object]]]:
    with postgres(durable=True) as server:
        url = create_database(server, "bench")
        with dev(directory / "service", database_url=url) as service:
            yield Rig(service), lambda: subprocess.check_output([programs() / "psql", url, "-Atqc", _ROW_VERSIONS])


# Every row's place and the transaction that wrote it; vacuum leaves both. Nodes renew their leases in any case.
_ROW_VERSIONS = """
SELECT md5(string_agg(content::text, '' ORDER BY tablename))
FROM pg_tables, query_to_xml(format('SELECT ctid, xmin FROM %I', tablename), true, true, '') AS content
WHERE schemaname = 'public' AND tablename NOT IN ('contacts', 'nodes', 'zone_leases')
"""
