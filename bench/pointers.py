# SPDX-License-Identifier: GPL-3.0-or-later
"""Changed updates of hosts with reverse names, against hosts without them."""

import time

from support.servers.service import dev

from bench.address import REVERSE_ZONE
from bench.figure import Figure, Section
from bench.plan import Plan, say
from bench.rig import CONNECTIONS, Rig

NUMBER = 1024

TEXT = f"""\
{CONNECTIONS} kept connections, one request in flight on each, {NUMBER} hosts on SQLite. The hosts of one service have
`ptr`, and all their addresses are in a reverse zone that takes them; the hosts of the other have not. They take turns.
*Left*: how long after the last `good` the reverse zone has all names."""


def section(plan: Plan) -> Section:
    """Measure both in turn."""
    ratio = Figure("**changed, with reverse names / without**", "×")
    left = Figure("reverse names left", "s")
    rates = [Figure(f"changed, {state} reverse names", "/s") for state in ("without", "with")]
    directory = plan.directory
    with dev(directory / "ptr-off") as off, dev(directory / "ptr-on") as on:
        rigs = [Rig(off), Rig(on)]
        on.cli("domain", "add", REVERSE_ZONE, "--owner", "admin", "--reverse", "all")
        for rig in rigs:
            rig.insert("h", NUMBER, "admin", ptr=rig.service is on)
            rig.changed(plan.seconds / 4)  # warm up
        for _ in range(plan.rounds):
            for rig, rate in zip(rigs, rates, strict=True):
                rate.add(rig.changed(plan.seconds).rate)
            began = time.monotonic()
            rigs[1].wait_for_dns()
            left.add(time.monotonic() - began)
            ratio.add(rates[1].values[-1] / rates[0].values[-1])
            say([*rates, ratio, left])
    return Section("Reverse names", TEXT, [*rates, ratio, left])
