# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of the portal for a user with many hosts: how long until the last octet has come."""

import time
from statistics import median

from support.browser.portal import Browser
from support.servers.service import dev

from bench.figure import Figure, Section
from bench.plan import Plan, say
from bench.rig import Rig

LISTED = 10_000
TRIES = 20
MILLISECONDS = 1000

PAGES = {
    "overview": "/",
    "overview, last page": "/?page=200",
    "overview, by last change": "/?sort=-updated",
    "search by name": "/?q=list99",
    "search by address": "/?q=10.9",
    "search, no match": "/?q=nothing-like-it",
    "host": "/hosts/list77.dyn.example.org",
    "edit": "/hosts/list77.dyn.example.org/edit",
    "configurations": "/hosts/list77.dyn.example.org/configuration",
    "history": "/hosts/list77.dyn.example.org/history",
    "add host": "/hosts/new",
    "domains": "/domains",
    "tokens": "/tokens",
    "status": "/status",
    "help": "/help/words",
}

TEXT = """\
Pages of a user with 10 000 hosts, signed in, one request after the other on SQLite; each round's value is the median
of 20 requests."""


def section(plan: Plan) -> Section:
    """Time each page."""
    figures = {path: Figure(name, "ms", 50, less=True) for name, path in PAGES.items()}
    with dev(plan.directory / "portal") as service:
        rig = Rig(service)
        service.cli("user", "add", "alice")
        rig.insert("list", LISTED, "alice")
        browser = Browser(service)
        browser.enter("alice")
        for _ in range(plan.rounds):
            for path, figure in figures.items():
                figure.add(_time(browser, path))
            say(figures.values())
    return Section("Pages", TEXT, list(figures.values()))


def _time(browser: Browser, path: str) -> float:
    """The median of some requests, in milliseconds."""
    taken = []
    for _ in range(TRIES):
        begin = time.perf_counter()
        answer = browser.request("GET", path)
        taken.append(time.perf_counter() - begin)
        if answer.status_code != 200:
            raise RuntimeError(f"{path}: {answer.status_code}")
    return median(taken) * MILLISECONDS
