# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until the authoritative name servers answer as declared."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import click
import dns.exception
import dns.resolver

from ddnsctl import output
from ddnsctl.dns.query import Question, ServerAddress, UdpClient, name_servers, server_address
from ddnsctl.sync.api import Server
from ddnsctl.sync.errors import SyncError
from ddnsctl.sync.model import Host, HostSpec
from ddnsctl.sync.names import NAME_LENGTH
from ddnsctl.sync.plan import Action, Change, Plan

FAMILIES = {"ipv4": "A", "ipv6": "AAAA"}
BELOW = "ddnsctl-verify"
"""The label that is queried below a host with a wildcard."""
PAUSE = 0.5
"""Seconds between two rounds."""
SHOWN = 10


@dataclass(frozen=True)
class Expectation:
    """The records of a type that a name should have; none: it should have none of this type."""

    host: str
    question: Question
    values: frozenset[str]

    def mismatch(self, answer: frozenset[str] | str) -> str:
        """What is wrong with an answer; empty if it is as expected."""
        if answer == self.values:
            return ""
        seen = answer if isinstance(answer, str) else _listed(answer)
        return f"{self.question.name} {self.question.rtype}: {seen}, not {_listed(self.values)}"


def _listed(values: frozenset[str]) -> str:
    return ", ".join(sorted(values)) or "no record"


def expectations(plan: Plan, declared: Mapping[str, HostSpec]) -> list[Expectation]:
    """The records that DNS should have: those of the declared hosts, and of other hosts that the plan changes."""
    found = [e for spec in declared.values() for e in _of_host(spec.fqdn, vars(spec))]
    for change in plan.changes:
        if change.kind == "host":
            found += _of_change(change, declared)
    return found


def registered(hosts: Mapping[str, Host]) -> list[Expectation]:
    """The records that DNS should have: the registered addresses of hosts, if the server knows them."""
    return [e for host in hosts.values() if host.available for e in _of_host(host.fqdn, vars(host))]


def differences(expected: Sequence[Expectation], server: Server, chosen: Sequence[str], seconds: float) -> list[str]:
    """What name servers still answer differently after `seconds`, each with the server. Raises SyncError."""
    if not expected:
        return []
    missing = asyncio.run(_rounds(_by_server(expected, server, chosen), time.monotonic() + seconds))
    return [f"{at}: {text}" for at, texts in missing.items() for text in texts]


def _of_change(change: Change, declared: Mapping[str, HostSpec]) -> list[Expectation]:
    gone = dict.fromkeys(FAMILIES)
    if change.action is Action.DELETE:
        return _of_host(change.name, gone)
    former = _of_host(change.source, gone) if change.source else []
    return former if change.name in declared else former + _of_host(change.name, change.after)


def _of_host(fqdn: str, values: Mapping[str, object]) -> list[Expectation]:
    """The records of one host. An address that is dynamic or not declared is not waited for."""
    if isinstance(target := values.get("alias"), str):  # its addresses are those of the target
        return [Expectation(fqdn, Question(fqdn, "CNAME"), frozenset((target,)))]
    found = []
    for family, rtype in FAMILIES.items():
        value = values.get(family, ...)
        if value is None or isinstance(value, (str, list)):
            wanted = frozenset([value] if isinstance(value, str) else value or ())
            found.append(Expectation(fqdn, Question(fqdn, rtype), wanted))
            below = f"{BELOW}.{fqdn}"
            if values.get("wildcard") is True and wanted and len(below) <= NAME_LENGTH:
                found.append(Expectation(fqdn, Question(below, rtype), wanted))
    return found


def wait(expected: Sequence[Expectation], server: Server, chosen: Sequence[str], seconds: float) -> int:
    """Query until all answers are as expected or the time is over. Prints the result and returns the exit code.

    Raises SyncError.
    """
    if not expected:
        output.remark("Nothing to verify: no fixed address is declared.")
        return 0
    by_server = _by_server(expected, server, chosen)
    began = time.monotonic()
    missing = asyncio.run(_rounds(by_server, began + seconds))
    count = len({e.host for e in expected})
    if not any(missing.values()):
        servers = ", ".join(map(str, by_server))
        took = f"after {time.monotonic() - began:.1f} s"
        text = f"Verified: {count} {'host' if count == 1 else 'hosts'} {took}, at {servers}."
        click.echo(click.style(text, fg="green", bold=True), color=output.wants_colour())
        return 0
    _report(missing, seconds)
    return 1


def _by_server(
    expected: Sequence[Expectation], server: Server, chosen: Sequence[str]
) -> dict[ServerAddress, list[Expectation]]:
    if chosen:
        return {server_address(text): list(expected) for text in chosen}
    domains = server.registered(()).domains
    by_server: dict[ServerAddress, list[Expectation]] = {}
    of_domain: dict[str, list[ServerAddress]] = {}
    for expectation in expected:
        domain = _domain(expectation.host, domains)
        if domain not in of_domain:
            of_domain[domain] = _name_servers(domain)
        for at in of_domain[domain]:
            by_server.setdefault(at, []).append(expectation)
    return by_server


def _domain(host: str, domains: Iterable[str]) -> str:
    above = [domain for domain in domains if host.endswith(f".{domain}")]
    return max(above, key=len) if above else host.partition(".")[2]


def _name_servers(domain: str) -> list[ServerAddress]:
    try:
        return name_servers(domain)
    except dns.exception.DNSException as error:
        text = f"cannot find the name servers of {domain}: {str(error).rstrip('.')}. Name one with --dns HOST:PORT"
        raise SyncError(text) from None


async def _rounds(
    by_server: Mapping[ServerAddress, list[Expectation]], deadline: float
) -> dict[ServerAddress, list[str]]:
    """Query each server until its answers are as expected, or the time is over. Returns what is still wrong."""
    results = await asyncio.gather(*(_one_server(at, list(e), deadline) for at, e in by_server.items()))
    return dict(zip(by_server, results, strict=True))


async def _one_server(at: ServerAddress, expected: list[Expectation], deadline: float) -> list[str]:
    async with UdpClient(at) as client:
        while True:
            answers = await client.ask([e.question for e in expected])
            pairs = [(e, e.mismatch(answer)) for e, answer in zip(expected, answers, strict=True)]
            expected = [e for e, text in pairs if text]
            if not expected or time.monotonic() >= deadline:
                return [text for _, text in pairs if text]
            await asyncio.sleep(min(PAUSE, max(0.0, deadline - time.monotonic())))


def _report(missing: Mapping[ServerAddress, list[str]], seconds: float) -> None:
    output.error(f"applied, but after {seconds:g} s some name servers do not answer as declared:")
    for at, texts in missing.items():
        for text in texts[:SHOWN]:
            output.remark(f"  {click.style(str(at), bold=True)}: {text}")
        if len(texts) > SHOWN:
            output.remark(f"  {click.style(str(at), bold=True)}: and {len(texts) - SHOWN} more")
