# SPDX-License-Identifier: GPL-3.0-or-later
"""Many zones on one BIND: changed updates that are spread over them, and what zones cost that nobody changes."""

import sqlite3
import time
from contextlib import closing

from support.ports import wait_until
from support.servers.many_zones import WATCHED_SECONDS, add_zones, all_watched
from support.servers.service import FILE, Service, dev

from bench.figure import Figure, Section, number
from bench.machine import process_seconds, processor_seconds
from bench.meanwhile import MILLISECONDS, stale_answers
from bench.plan import Plan, say
from bench.rig import CONNECTIONS, HOSTS, PLAIN_ZONE, Rig

SPREAD = 200
SIGNED_ZONE = "signed.example.org"
SIGNED_SECONDS = 60.0
IDLE = 1000
SETTLE_SECONDS = 10.0  # the zones are compared once
IDLE_SECONDS = 5.0  # as a multiple of a round

SPEED_TEXT = f"""\
{CONNECTIONS} kept connections, one request in flight on each, {HOSTS} hosts on SQLite: in one zone, and spread over
{SPREAD} zones of the same BIND, so that most messages have one host. *BIND alone*: UPDATE messages of one record for
the same {SPREAD} zones, signed ahead of the clock, the best of several ways as above. A message is for one zone, so
BIND's rate of such messages is the limit."""

SIGNED_TEXT = f"""\
{CONNECTIONS} kept connections, one request in flight on each, {HOSTS} hosts on SQLite: in a plain zone, and in one
that BIND signs by its policy `default` with `inline-signing no`, as zones of the service are. *Stale answers*: under
the same load, another process moves a host of the signed zone and asks BIND for it as soon as it has read `good`. One
answer with another address fails the run."""

IDLE_TEXT = """\
Processor time of the service, in percent of one core, with {number} zones on its BIND that nobody changes: with BIND's
statistics channel, and without it. Without it, all zones are asked for their serials. `named` is shown beside it."""


def speed_section(plan: Plan) -> Section:
    """Measure one zone, many zones and BIND alone in turn."""
    one, many = Figure("changed, 1 zone", "/s"), Figure(f"changed, {SPREAD} zones", "/s")
    bind = Figure(f"BIND alone, {SPREAD} zones", "/s")
    ratio = Figure(f"**{SPREAD} zones / 1 zone**", "×", 0.4)
    share = Figure(f"{SPREAD} zones / BIND alone", "×", None, 0.9)
    figures = [one, many, bind, ratio, share]
    with dev(plan.directory / "zones") as service:
        single, spread = Rig(service), Rig(service)
        plain = single.zone()
        names = add_zones(service, SPREAD, PLAIN_ZONE)
        single.register()
        spread.register(zones=names)
        for rig in (single, spread):
            rig.changed(plan.seconds / 4)  # warm up
        for _ in range(plan.rounds):
            one.add(single.changed(plan.seconds).rate)
            many.add(spread.changed(plan.seconds).rate)
            bind.add(plain.best(plan.seconds, names).rate)
            ratio.add(many.values[-1] / one.values[-1])
            share.add(many.values[-1] / bind.values[-1])
            say(figures)
    return Section("Many zones", SPEED_TEXT, figures)


def signed_section(plan: Plan) -> Section:
    """Measure the same load on a plain zone and on a signed one in turn, and look for stale answers of the latter."""
    plain, signed = Figure("changed, plain zone", "/s"), Figure("changed, signed zone", "/s")
    ratio = Figure("**signed / plain**", "×")
    late = Figure("changed, signed zone, p99", "ms")
    stale = Figure("**stale answers after `good`, signed zone**", "", 0, less=True, always=True, never=True)
    asked = Figure("answers that were compared")
    figures = [plain, signed, ratio, late, stale, asked]
    with dev(plan.directory / "signed") as service:
        service.cli("domain", "add", SIGNED_ZONE, "--owner", "admin", "--dnssec-policy", "default")
        wait_until(lambda: service.dig(SIGNED_ZONE, "RRSIG") != [], SIGNED_SECONDS, "the zone is signed")
        of_plain, of_signed = Rig(service), Rig(service)
        of_plain.register()
        of_signed.register(zones=[SIGNED_ZONE])
        witness = f"witness.{SIGNED_ZONE}"
        secret = service.register(witness)
        for rig in (of_plain, of_signed):
            rig.changed(plan.seconds / 4)  # warm up
        for _ in range(plan.rounds):
            plain.add(of_plain.changed(plan.seconds).rate)
            run = of_signed.changed(plan.seconds)
            signed.add(run.rate)
            late.add(run.quantile(0.99) * MILLISECONDS)
            ratio.add(signed.values[-1] / plain.values[-1])
            with stale_answers(service, witness, secret, stale, asked):
                of_signed.changed(plan.seconds)
            say(figures)
    return Section("Signed zones", SIGNED_TEXT, figures)


def idle_section(plan: Plan) -> Section:
    """Let the service rest with and without the statistics channel."""
    with_channel = Figure(f"processor, {number(IDLE)} idle zones", "%", 2, 1, less=True)
    without = Figure(f"processor, {number(IDLE)} idle zones, no statistics channel", "%")
    named, asked = Figure("`named` meanwhile", "%"), Figure("`named` without the channel", "%")
    with dev(plan.directory / "idle") as service:
        add_zones(service, IDLE, service.domain)
        for own, other in ((with_channel, named), (without, asked)):
            time.sleep(SETTLE_SECONDS)
            wait_until(lambda: all_watched(service), WATCHED_SECONDS, "all zones watched")
            time.sleep(SETTLE_SECONDS)
            for _ in range(min(plan.rounds, 3)):
                _rest(service, plan.seconds * IDLE_SECONDS, own, other)
            say([own, other])
            _use_other_address(service)
    return Section("Idle zones", IDLE_TEXT.format(number=number(IDLE)), [with_channel, named, without, asked])


def _rest(service: Service, seconds: float, own: Figure, named: Figure) -> None:
    before, named_before, began = processor_seconds(service), process_seconds(service.named_pid()), time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    own.add(100 * (processor_seconds(service) - before) / passed)
    named.add(100 * (process_seconds(service.named_pid()) - named_before) / passed)


def _use_other_address(service: Service) -> None:
    """Write the primary's address in a way that no statistics channel is known for."""
    with closing(sqlite3.connect(service.dir / FILE, timeout=20)) as connection, connection:
        connection.execute('UPDATE domains SET "primary" = ?', (f"localhost:{service.dns_port}",))
