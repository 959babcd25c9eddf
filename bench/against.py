# SPDX-License-Identifier: GPL-3.0-or-later
"""The service against the `nsupdate` package of PyPI, on the same BIND, in turn."""

from collections.abc import Iterable

from support.servers.service import dev

from bench import httpwire, upstream
from bench.address import fresh
from bench.figure import Figure, Section, number
from bench.load import ClosedLoop, Run
from bench.plan import Plan, say
from bench.rig import CONNECTIONS, Rig
from bench.upstream import SERVERS, Upstream

TEXT = """\
Changed updates as above, against the service that EGI's grew from (`requirements/upstream.txt`): its production
settings with SQLite, behind gunicorn, a zone and a key of its own on the same `named`, 64 hosts, 64 clients. *Tuned*
adds what makes it faster without a change of its code: a write-ahead log, kept database connections, no log of
requests. Several settings of gunicorn are tried first, and the best one is measured; what the trials gave:"""

MAX_RATE = 800


def section(plan: Plan) -> Section:
    """Install it where it is missing, choose gunicorn's settings, then measure it and the service in turn."""
    upstream.install()
    ours = Figure("changed, SQLite", "/s")
    rates = {tuned: Figure(f"upstream, {_label(tuned)}", "/s") for tuned in (False, True)}
    ratios = {
        False: Figure("**changed / upstream as shipped**", "×", 40, 100),
        True: Figure("changed / upstream tuned", "×"),
    }
    notes = []
    with dev(plan.directory / "against") as service:
        rig = Rig(service)
        rig.register()
        bind = rig.zone(upstream.ZONE)
        folder = plan.directory / "upstream"
        others = {t: upstream.prepare(folder / _label(t), bind, CONNECTIONS, tuned=t) for t in rates}
        best = {}
        for tuned, other in others.items():
            servers = list(SERVERS)[: plan.rounds]
            tried = {server: _measure(other, server, plan.seconds / 2).rate for server in servers}
            best[tuned] = max(tried, key=lambda server: tried[server])
            notes.append(f"{_label(tuned)}: " + ", ".join(f"{s} {number(r)}/s" for s, r in tried.items()))
        for _ in range(plan.rounds):
            ours.add(rig.changed(plan.seconds).rate)
            for tuned, other in others.items():
                rate = rates[tuned].add(_measure(other, best[tuned], plan.seconds).rate)
                ratios[tuned].add(ours.values[-1] / rate)
            figures = [ours, *rates.values(), *ratios.values()]
            say(figures)
    return Section("Against upstream", TEXT, figures, notes)


def _label(tuned: bool) -> str:
    return "tuned" if tuned else "as shipped"


def _measure(other: Upstream, server: str, seconds: float) -> Run:
    keep = "kept" in server
    with other.serve(server) as port:
        _load(other, port, 0.5, keep=keep)  # its workers import on their first requests
        return _load(other, port, seconds, keep=keep)


def _load(other: Upstream, port: int, seconds: float, *, keep: bool) -> Run:
    number_of_each = int(MAX_RATE * seconds / CONNECTIONS) + 1
    supplies: Iterable[list[bytes]] = (
        [httpwire.update(name, httpwire.basic(name, secret), fresh(), keep=keep) for _ in range(number_of_each)]
        for name, secret in other.secrets.items()
    )
    loop = ClosedLoop(("127.0.0.1", port), list(supplies), httpwire.frame, httpwire.word, keep=keep)
    return loop.run(seconds).only("200 good")
