# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of cases above the plan's type, row by row."""

from dataclasses import replace
from itertools import product
from typing import NamedTuple

import pytest
from support.clients.applied_plan import applied

from ddnsctl.sync import plan
from ddnsctl.sync.errors import SyncError
from ddnsctl.sync.model import (
    DYNAMIC,
    UNKNOWN,
    Capabilities,
    Declaration,
    Domain,
    DomainSpec,
    Host,
    HostSpec,
    Key,
    KeySpec,
    Registered,
)
from ddnsctl.sync.plan import Action, Options, Plan, make
from ddnsctl.sync.policy import Limits

DOMAIN = "dyn.example.org"
NAME, OLD, OTHER = f"api.{DOMAIN}", f"old-api.{DOMAIN}", f"other.{DOMAIN}"
LAB = "lab.example.org"

SPEC = HostSpec(NAME, "192.0.2.1", "2001:db8::1", False, None, None, {})
MOVED = replace(SPEC, moved_from=OLD)
HOST = Host(NAME, DOMAIN, "192.0.2.1", "2001:db8::1", stack="web", dns="current")
FORMER = replace(HOST, fqdn=OLD)
LAB_SPEC = DomainSpec(LAB, False, None, None, None)
LAB_DOMAIN = Domain(LAB, stack="web")

# One more host, of which nothing is said, stands in every case.
OTHER_SPEC, OTHER_HOST = replace(SPEC, fqdn=OTHER), replace(HOST, fqdn=OTHER)

SPECS = {
    "host": SPEC,
    "host, address": SPEC,
    "host, address to remove": replace(SPEC, ipv4=None),
    "host, protected": replace(SPEC, protect=True),
    "host, unprotected": replace(SPEC, protect=False),
    "host, dynamic": replace(SPEC, ipv4=DYNAMIC, ipv6=DYNAMIC),
    "host, nothing named": HostSpec(NAME),
    "host, TTL": replace(SPEC, ttl=300),
    "host, alias": replace(SPEC, ipv4=None, alias="front.example.net."),
    "host, several addresses": replace(SPEC, ipv4=["192.0.2.1", "192.0.2.2"]),
    "host, adopt": replace(SPEC, adopt=True),
    "host, no stack declared": SPEC,
    "host, from bob": replace(SPEC, adopt_from="bob"),
    "host, from ann": replace(SPEC, adopt_from="ann"),
    "host, moved": MOVED,
    "host, moved, from bob": replace(MOVED, adopt_from="bob"),
    "host, moved, adopt": replace(MOVED, adopt=True),
}
DOMAIN_SPECS = {
    "domain": LAB_SPEC,
    "domain, no stack declared": LAB_SPEC,
    "domain, adopt": replace(LAB_SPEC, adopt=True),
    "domain, owner bob": replace(LAB_SPEC, owner="bob"),
    "domain, owner ann": replace(LAB_SPEC, owner="ann"),
    "domain, from bob": replace(LAB_SPEC, adopt_from="bob"),
    "domain, from bob to ann": replace(LAB_SPEC, adopt_from="bob", owner="ann"),
}

KEY_SPECS = {
    "key": KeySpec("router", (OTHER,)),
    "key, no stack declared": KeySpec("router", (OTHER,)),
}
KEY = Key("router", "k-1", (OTHER,), "web")
KEYS = {
    "own key": (KEY,),
    "own key, other host": (replace(KEY, hosts=(NAME,)),),
    "foreign key": (replace(KEY, stack="db"),),
    "two own keys": (KEY, replace(KEY, login="k-2")),
    "any key": (KEY,),
}

HOSTS = {
    "own": [HOST],
    "own, equal": [HOST],
    "own, differs": [replace(HOST, comment="other")],
    "own, protected": [replace(HOST, protect=True)],
    "own, has it": [HOST],
    "own, has another": [replace(HOST, ipv4="198.51.100.9")],
    "own, has any": [replace(HOST, ipv4="198.51.100.9", comment="any")],
    "own, unknown": [replace(HOST, ipv4=UNKNOWN)],
    "own, DNS behind": [replace(HOST, dns="pending")],
    "own, DNS refuses": [replace(HOST, dns="conflict", conflict="not authoritative")],
    "foreign": [replace(HOST, stack="db")],
    "foreign, equal": [replace(HOST, stack="db")],
    "foreign, differs": [replace(HOST, stack="db", comment="other")],
    "no stack, equal": [replace(HOST, stack=None)],
    "old own": [FORMER],
    "old own, differs": [replace(FORMER, comment="other")],
    "old gone": [],
    "new own": [HOST],
    "both own": [HOST, FORMER],
    "old foreign": [replace(FORMER, stack="db")],
    "another user's": [replace(HOST, owner="bob", own=False)],
    "old another user's": [replace(FORMER, owner="bob", own=False)],
    "old foreign new own": [HOST, replace(FORMER, stack="db")],
}
DOMAINS = {
    "own, equal": LAB_DOMAIN,
    "own, differs": replace(LAB_DOMAIN, public=True),
    "foreign, equal": replace(LAB_DOMAIN, stack="db"),
    "own domain": LAB_DOMAIN,
    "own domain in use": LAB_DOMAIN,
    "foreign domain": replace(LAB_DOMAIN, stack="db"),
    "another's domain": replace(LAB_DOMAIN, owner="bob", own=False, public=True),
}
SERVERS = {
    "edits": Capabilities("ddnsd"),
    "fixed": Capabilities(
        "EGI",
        fields=frozenset({"ipv4", "ipv6", "wildcard", "comment", "stack"}),
        edits=frozenset({"ipv4", "ipv6"}),
        several=False,
        clears=False,
        domains=False,
        keys=False,
    ),
}
NO_LIMITS = Limits(None, None)
OPTIONS = {
    "-": Options(limits=NO_LIMITS),
    "prune": Options(prune=True, limits=NO_LIMITS),
    "rotate": Options(rotate=(NAME,), limits=NO_LIMITS),
    "destroy": Options(destroy=True, limits=NO_LIMITS),
}


class Row(NamedTuple):
    """A row of the table."""

    declared: str
    registered: str
    server: str
    options: str
    plan: str


def rows() -> list[Row]:
    """The table's rows; columns begin where the dashes do."""
    text = (plan.__doc__ or "").splitlines()
    (rule,) = (number for number, line in enumerate(text) if line.strip().startswith("---"))
    starts = [i for i, c in enumerate(text[rule]) if c == "-" and text[rule][i - 1] == " "]
    ends = [*starts[1:], None]
    body = [line for line in text[rule + 1 :] if line.strip()]
    return [Row(*(line[a:b].strip() for a, b in zip(starts, ends, strict=True))) for line in body]


def variants(row: Row) -> list[Row]:
    """The row with `any` replaced by each that it stands for."""
    kind = DOMAINS if row.declared.startswith("domain") else HOSTS
    registered = ["-", *kind] if row.registered == "any" else [row.registered]
    servers = list(SERVERS) if row.server == "any" else [row.server]
    return [row._replace(registered=a, server=b) for a, b in product(registered, servers)]


CASES = [case for row in rows() for case in variants(row)]


def declaration(row: Row) -> Declaration:
    stack = None if "no stack declared" in row.declared else "web"
    named = [SPECS[row.declared]] if row.declared in SPECS else []
    domains = [DOMAIN_SPECS[row.declared]] if row.declared in DOMAIN_SPECS else []
    keys = [KEY_SPECS[row.declared]] if row.declared in KEY_SPECS else []
    if not named and not domains and not keys:
        assert row.declared in ("-", "no stack declared")
    hosts = {spec.fqdn: spec for spec in [*named, OTHER_SPEC]}
    return Declaration(
        stack, None, hosts, {spec.name: spec for spec in domains}, keys={spec.name: spec for spec in keys}
    )


def registered(row: Row) -> Registered:
    domains = {DOMAIN: Domain(DOMAIN)}
    about_domain = row.registered in DOMAINS and (row.declared.startswith("domain") or "domain" in row.registered)
    if about_domain:
        domains[LAB] = DOMAINS[row.registered]
    keys = KEYS.get(row.registered, ())
    hosts = [] if about_domain or keys or row.registered == "-" else HOSTS[row.registered]
    if row.registered == "own domain in use":
        hosts = [Host(f"a.{LAB}", LAB)]
    return Registered({host.fqdn: host for host in [*hosts, OTHER_HOST]}, domains, "me", keys)


def outcome(made: Plan) -> str:
    """The plan in the words of the table."""
    words = []
    for change in made.changes:
        if change.name == OTHER:
            continue
        word = change.action.value
        if change.action is Action.CREATE and change.kind == "host" and not {"ipv4", "ipv6"} & set(change.after):
            word += " without address"
        if change.action is Action.MOVE and change.reason:
            word += " anew"
        words.append(word + (" old" if change.name == OLD else ""))
    said = [f"drift {drift.kind}" for drift in made.drift] + (["note"] if made.notes else [])
    return ", ".join([*(words or ["-"]), *said])


@pytest.mark.parametrize("row", CASES, ids=" | ".join)
def test_case(row: Row) -> None:
    arguments = declaration(row), registered(row), SERVERS[row.server], OPTIONS[row.options]
    if row.plan in ("Conflicts", "NotSupported", "DeclarationError", "Unsafe"):
        with pytest.raises(SyncError) as raised:
            make(*arguments)
        assert type(raised.value).__name__ == row.plan
        return
    made = make(*arguments)
    assert outcome(made) == row.plan
    assert (OTHER in {change.name for change in made.changes}) == (row.options == "destroy")


@pytest.mark.parametrize("row", [row for row in CASES if row.plan[0] in "acdmru-"], ids=" | ".join)
def test_nothing_is_left_to_do_afterwards(row: Row) -> None:
    before, options = registered(row), replace(OPTIONS[row.options], rotate=())
    made = make(declaration(row), before, SERVERS[row.server], OPTIONS[row.options])
    assert not make(declaration(row), applied(before, made), SERVERS[row.server], options).changes


def test_every_row_is_a_case_of_its_own() -> None:
    assert len(rows()) > 50
    assert len(set(CASES)) == len(CASES)
    words = {row.declared for row in CASES}
    assert words >= SPECS.keys() | DOMAIN_SPECS.keys()
    assert {row.registered for row in CASES} >= HOSTS.keys() | DOMAINS.keys()
