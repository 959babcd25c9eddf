# SPDX-License-Identifier: GPL-3.0-or-later
"""Changed and unchanged updates with the rules and quotas of a server, against a service without them."""

from support.servers.service import dev

from bench.figure import Figure, Section
from bench.plan import Plan, say
from bench.rig import CONNECTIONS, Rig

OWNER = "ann"  # an administrator has no quotas
NUMBER = 960

TEXT = f"""\
{CONNECTIONS} kept connections, one request in flight on each, {NUMBER} hosts of a user on SQLite. One service has the
setting `RULES` on, as a server has, the other has it off; they take turns."""


def section(plan: Plan) -> Section:
    """Measure both in turn."""
    changed = Figure("**changed, rules on / off**", "×", 0.95, 1)
    unchanged = Figure("unchanged, rules on / off", "×")
    rates = [Figure(f"changed, rules {state}", "/s") for state in ("off", "on")]
    directory = plan.directory
    with dev(directory / "rules-off", rules="off") as off, dev(directory / "rules-on", rules="on") as on:
        rigs = [Rig(off), Rig(on)]
        for rig in rigs:
            rig.service.user(OWNER)
            rig.insert("h", NUMBER, OWNER)
            rig.changed(plan.seconds / 4)  # warm up
        for _ in range(plan.rounds):
            for rig, rate in zip(rigs, rates, strict=True):
                rate.add(rig.changed(plan.seconds).rate)
            changed.add(rates[1].values[-1] / rates[0].values[-1])
            repeated = [rig.unchanged(plan.seconds / 2).rate for rig in rigs]
            unchanged.add(repeated[1] / repeated[0])
            say([*rates, changed, unchanged])
    return Section("Rules and quotas", TEXT, [*rates, changed, unchanged])
