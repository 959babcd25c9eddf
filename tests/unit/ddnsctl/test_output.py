# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan looks like."""

import json

import pytest

from ddnsctl import output
from ddnsctl.sync.errors import Location, Problem
from ddnsctl.sync.model import SecretSpec
from ddnsctl.sync.plan import Action, Change, Drift, Plan

PLAN = Plan(
    changes=(
        Change(Action.DELETE, "host", "old.example.org", {"ipv4": "192.0.2.9", "stack": "web"}),
        Change(Action.REPLACE, "host", "r.example.org", {"wildcard": False}, {"wildcard": True}, reason="it must be"),
        Change(
            Action.CREATE,
            "host",
            "new.example.org",
            {},
            {"ipv4": "192.0.2.1", "comment": "a → b", "stack": "web"},
            secret=SecretSpec("file", "s/new"),
        ),
        Change(Action.UPDATE, "host", "www.example.org", {"ipv4": None}, {"ipv4": "192.0.2.2"}),
    ),
    drift=(Drift("dns", "slow.example.org", "not in DNS yet"),),
    notes=(Problem("something", Location("f.yml", 3, 1), "do this"),),
    unchanged=7,
    server="ddnsd 0.1.0",
    stack="web",
)

TEXT = """\
https://ddns.example.org (ddnsd 0.1.0), stack web
-/+ registered again, with a new secret

   - old.example.org
         ipv4  192.0.2.9

 -/+ r.example.org
         it must be
         wildcard  false → true
         new secret

   + new.example.org
         ipv4     192.0.2.1
         comment  "a → b"
         new secret → file s/new

   ~ www.example.org
         ipv4  none → 192.0.2.2

dns drift: slow.example.org: not in DNS yet
note: f.yml:3:1: something (do this)

Plan: 1 to add, 1 to change, 1 to replace, 1 to delete, 7 unchanged.
"""


def test_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    output.plan(PLAN, "text", url="https://ddns.example.org")
    assert capsys.readouterr().out == TEXT


def test_colours_change_no_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import click

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    output.plan(PLAN, "text", url="https://ddns.example.org")
    shown = capsys.readouterr().out
    assert click.style("   +", fg="green", bold=True) in shown
    assert click.unstyle(shown) == TEXT


def test_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    output.plan(Plan(unchanged=1, server="ddnsd"), "text")
    assert capsys.readouterr().out == "ddnsd\n\nNo changes: 1 host matches.\n"


def test_lines_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    output.plan(PLAN, "ndjson", url="u")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines] == ["plan", *["change"] * 4, "drift", "note", "summary"]
    assert lines[5] == {"type": "drift", "kind": "dns", "name": "slow.example.org", "text": PLAN.drift[0].text}


def test_problems_stand_in_the_order_of_their_places(capsys: pytest.CaptureFixture[str]) -> None:
    from ddnsctl.sync.errors import DeclarationError

    places = [("b.yml", 1), ("a.yml", 10), ("a.yml", 2)]
    code = output.failure(DeclarationError([Problem("wrong", Location(file, line, 1)) for file, line in places]))
    assert code == 1
    assert capsys.readouterr().err == (
        "error: the declaration is not valid (3 problems)\n"
        "  a.yml:2:1: wrong\n  a.yml:10:1: wrong\n  b.yml:1:1: wrong\n"
    )
