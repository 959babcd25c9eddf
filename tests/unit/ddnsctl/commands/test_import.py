# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of an imported declaration has no changes."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsctl.commands.import_ import Choice, declaration, write
from ddnsctl.sync import declare
from ddnsctl.sync.errors import SyncError
from ddnsctl.sync.model import UNKNOWN, Capabilities, Domain, Host, Registered
from ddnsctl.sync.plan import Action, Options, Plan, make
from ddnsctl.yaml import reader

FULL = Capabilities("ddnsd")
EGI = Capabilities(
    "EGI",
    fields=frozenset({"ipv4", "ipv6", "wildcard", "comment", "stack"}),
    edits=frozenset({"ipv4", "ipv6"}),
    clears=False,
    domains=False,
)
DOMAINS = ("dyn.example.org", "lab.example.org")
labels = st.sampled_from(["a", "b", "on", "7", "1e5", "0x1", "null", "no", "x-1", "12345"])
texts = (
    st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=20)
    | st.sampled_from(["yes", "7", "1.5", "a: b", "#x", "- x", "{a}", "2001-01-01", "a #b", "~", "'", "x:", "=", "<<"])
).filter(bool)


@st.composite
def registered(draw: st.DrawFn, server: Capabilities) -> Registered:
    full = server is FULL
    hosts = {}
    for _ in range(draw(st.integers(1, 6))):
        domain = draw(st.sampled_from(DOMAINS))
        deeper = draw(st.sampled_from(["", "sub."]))
        fqdn = f"{draw(labels)}.{deeper}{domain}"
        hosts[fqdn] = Host(
            fqdn,
            domain,
            ipv4=draw(st.sampled_from([None, "192.0.2.1", "10.0.0.1", UNKNOWN])),
            ipv6=draw(st.sampled_from([None, "2001:db8::1", "2001:db8::", "2001:10:20:30:40:50:10:20", UNKNOWN])),
            wildcard=draw(st.booleans()),
            comment=draw(st.none() | texts),
            ttl=draw(st.sampled_from([None, 60]) if full else st.none()),
            labels=draw(st.dictionaries(texts, texts, max_size=2) if full else st.just({})),
            stack=draw(st.sampled_from([None, "web", "7"])),
            owner="alice",
            dns="current",
        )
    domains = {
        name: Domain(
            name,
            public=draw(st.booleans()),
            comment=draw(st.none() | texts),
            owner="alice",
            stack=draw(st.sampled_from([None, "web", "7"]) if full else st.none()),
        )
        for name in DOMAINS
    }
    return Registered(hosts, domains)


def hosts_of(there: Registered, choice: Choice) -> list[Host]:
    """All hosts, as if those that are to be adopted were the stack's already."""
    return [replace(h, stack=choice.stack) if choice.adopt and h.stack is None else h for h in there.hosts.values()]


def planned(there: Registered, server: Capabilities, choice: Choice) -> Plan | None:
    """The plan of what is imported; None when nothing fits."""
    hosts = [h for h in hosts_of(there, choice) if choice.domain in (None, h.domain)]
    fits = any(choice.stack in (None, host.stack) for host in hosts)
    domains = [d for d in there.domains.values() if d.stack == choice.stack and choice.domain in (None, d.name)]
    if not fits and not (choice.stack and domains):
        with pytest.raises(SyncError, match="no registered host matches"):
            declaration(there, server, choice)
        return None
    text = declaration(there, server, choice)
    document = reader.read(text.encode(), "f")
    assert document.problems == ()
    return make(declare.declaration(document.data, locate=document.locate), there, server, Options())


servers = st.sampled_from([FULL, EGI])
choices = st.builds(
    Choice,
    st.sampled_from([None, *DOMAINS]),
    st.sampled_from([None, "web", "7"]),
    adopt=st.just(False),
    dynamic=st.booleans(),
    server=st.sampled_from([None, "https://ddns.example.org"]),
)


@given(st.data(), servers, choices)
def test_it_plans_to_nothing(data: st.DataObject, server: Capabilities, choice: Choice) -> None:
    there = data.draw(registered(server))
    plan = planned(there, server, choice)
    assert plan is None or plan.changes == ()


@given(st.data(), choices)
def test_adopting_takes_over_what_belongs_to_no_stack_and_changes_nothing_else(
    data: st.DataObject, choice: Choice
) -> None:
    there = data.draw(registered(FULL))
    choice = choice._replace(stack="web", adopt=True)
    plan = planned(there, FULL, choice)
    free = {name for name, host in there.hosts.items() if host.stack is None and choice.domain in (None, host.domain)}
    changes = plan.changes if plan is not None else ()
    assert {change.name for change in changes} == free
    assert all(change.action is Action.ADOPT and change.after == {"stack": "web"} for change in changes)


def test_what_it_looks_like() -> None:
    www = Host("www.dyn.example.org", "dyn.example.org", "192.0.2.1", wildcard=True, comment="Front: end", stack="web")
    off = Host("off.dyn.example.org", "dyn.example.org", stack="web")
    other = Host("a.lab.example.org", "lab.example.org", "192.0.2.9", UNKNOWN, labels={"team": "7"}, stack="web")
    dyn = Domain("dyn.example.org", public=True, stack="web")
    there = Registered({host.fqdn: host for host in (www, off, other)}, {dyn.name: dyn})
    assert declaration(there, FULL, Choice(stack="web", server="https://ddns.example.org")) == (
        "version: 1\n"
        "server: https://ddns.example.org\n"
        "stack: web\n"
        "defaults: {domain: dyn.example.org}\n"
        "domains:\n"
        "  dyn.example.org: {public: true}\n"
        "hosts:\n"
        "  a.lab.example.org:\n"
        "    ipv4: 192.0.2.9\n"
        "    ipv6: dynamic\n"
        '    labels: {team: "7"}\n'
        '  "off": {}\n'
        "  www:\n"
        "    ipv4: 192.0.2.1\n"
        "    wildcard: true\n"
        '    comment: "Front: end"\n'
    )


def test_what_cannot_be_declared_as_it_is_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    host = Host("a.example.org", "example.org", comment="")
    declaration(Registered({host.fqdn: host}), FULL, Choice())
    assert "a.example.org: the next apply will normalise comment" in capsys.readouterr().err


def test_one_odd_row_does_not_spoil_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        Host("a.example.org", "example.org", "127.0.0.1", "2001:db8::1"),
        Host("b.example.org", "example.org", "192.0.2.1", comment="two\nlines ", labels={"a": "1", "b": "x\ny"}),
        Host("c_d.example.org", "example.org", "192.0.2.1"),
        Host("e.example.org", "example.org", "192.0.2.5", comment="fine"),
    ]
    text = declaration(Registered({host.fqdn: host for host in rows}), FULL, Choice())
    assert (
        '  a:\n    ipv4: dynamic\n    ipv6: 2001:db8::1\n  b:\n    ipv4: 192.0.2.1\n    labels: {a: "1"}\n  e:\n'
        in text
    )
    assert "c_d" not in text
    said = capsys.readouterr().err
    assert "a.example.org: ipv4: '127.0.0.1' is a loopback address" in said
    assert "It is written as `dynamic`, which changes nothing" in said
    assert "c_d.example.org: left out: " in said
    assert "b.example.org: the next apply will normalise comment, labels" in said
    assert "e.example.org" not in said


def test_nothing_to_import_is_an_error() -> None:
    with pytest.raises(SyncError, match="no registered host matches"):
        declaration(Registered(), FULL, Choice())


def test_a_file_is_not_overwritten(tmp_path: Path) -> None:
    write("a", str(tmp_path / "f.yml"))
    with pytest.raises(SyncError, match="exists"):
        write("b", str(tmp_path / "f.yml"))
    assert (tmp_path / "f.yml").read_text() == "a"
