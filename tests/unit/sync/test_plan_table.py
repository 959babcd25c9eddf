# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan as people and programs read it."""

from dataclasses import replace

import pytest

from ddnsctl.sync import plan_table
from ddnsctl.sync.errors import Location, Problem
from ddnsctl.sync.model import SecretSpec
from ddnsctl.sync.plan import Action, Change, Drift, Plan

URL = "https://ddns.example.org"
FILE = SecretSpec("file", "secrets/vm-7")
CREATE = Change(
    Action.CREATE,
    "host",
    "vm-7.example.org",
    after={"ipv4": "192.0.2.7", "wildcard": True, "comment": "Front end", "labels": {"b": "2", "a": "x y"}},
    secret=FILE,
)
UPDATE = Change(
    Action.UPDATE,
    "host",
    "www.example.org",
    {"ipv4": "192.0.2.1", "comment": None, "stack": "web"},
    {"ipv4": "192.0.2.2", "ipv6": "2001:db8::1", "comment": "none"},
)
DELETE = Change(Action.DELETE, "host", "gone.example.org", {"ipv4": "192.0.2.9", "ipv6": None, "wildcard": False})
REPLACE = Change(
    Action.REPLACE,
    "host",
    "old.example.org",
    {"ipv4": "192.0.2.4", "wildcard": True},
    {"ipv4": "192.0.2.4", "wildcard": False},
    reason="EGI cannot change wildcard of a registered host",
)
MOVE = Change(Action.MOVE, "host", "api.example.org", {"stack": "web"}, {}, "old-api.example.org")
ANEW = replace(MOVE, reason="EGI cannot rename a registered host", secret=SecretSpec("vault", "v.yml"))
ADOPT = Change(Action.ADOPT, "host", "b.example.org", {"stack": None}, {"stack": "web"})
ROTATE = Change(Action.ROTATE, "host", "c.example.org", {"stack": "web"}, secret=FILE)
DOMAIN = Change(Action.CREATE, "domain", "dyn.example.org", after={"public": True})

PLAN = Plan(
    (DOMAIN, DELETE, MOVE, REPLACE, CREATE, ADOPT, UPDATE, ROTATE),
    (Drift("dns", "d.example.org", "not in DNS yet"),),
    (Problem("1 of stack web are not declared: x", Location("hosts.yml", 2), "delete them with `--prune`"),),
    9,
    "ddnsd 0.1.0",
    "web",
)

TEXT = """\
  + domain dyn.example.org
      public: true
  - gone.example.org
      ipv4: 192.0.2.9
  > old-api.example.org → api.example.org
-/+ old.example.org
      (EGI cannot change wildcard of a registered host)
      wildcard: true → false
      (new secret)
  + vm-7.example.org
      ipv4: 192.0.2.7
      wildcard: true
      comment: "Front end"
      labels: {a: "x y", b: 2}
      (new secret → file secrets/vm-7)
  @ b.example.org
      stack: none → web
  ~ www.example.org
      ipv4: 192.0.2.1 → 192.0.2.2
      ipv6: unknown → 2001:db8::1
      comment: none → "none"
  ! c.example.org
      (new secret, replaces the present one → file secrets/vm-7)

dns drift: d.example.org: not in DNS yet
note: hosts.yml:2: 1 of stack web are not declared: x (delete them with `--prune`)

Plan: 2 to add, 1 to change, 1 to replace, 1 to delete, 1 to move, 1 to adopt, 1 to rotate, 9 unchanged.
"""


def test_text() -> None:
    assert plan_table.text(PLAN) == TEXT


def test_nothing_to_do() -> None:
    plan = Plan(unchanged=9, server="ddnsd")
    line = "Plan: 0 to add, 0 to change, 0 to replace, 0 to delete, 9 unchanged."
    assert plan_table.text(plan) == line + "\n"
    assert plan_table.markdown(plan, URL) == f"### {line}\n\nServer: {URL}\n"
    of_stack = replace(plan, stack="web_prod")
    assert plan_table.markdown(of_stack, URL) == f"### {line}\n\nServer: {URL}, stack: web\\_prod\n"
    assert plan_table.diff(plan, URL) == {
        "before": "",
        "after": "",
        "before_header": f"registered at {URL}",
        "after_header": "declared",
    }


def test_lines_keep_their_change() -> None:
    (line,) = plan_table.lines(Plan((ANEW,)))
    assert line == plan_table.Line(
        ">",
        "old-api.example.org → api.example.org",
        ("(EGI cannot rename a registered host)", "(new secret → vault v.yml)"),
        ANEW,
    )


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\u202eb", "a\x9bb", "a\nb"])
def test_what_a_terminal_would_act_upon_is_escaped(text: str) -> None:
    hostile = Change(Action.UPDATE, "host", text, {"comment": text}, {"comment": "b"}, text, reason=text)
    plan = Plan((hostile,), (Drift("dns", text, text),), (Problem(text),))
    for shown in (plan_table.text(plan), plan_table.markdown(plan, URL), *plan_table.diff(plan, URL).values()):
        assert all(line.isprintable() for line in shown.splitlines())
        assert text not in shown


def test_json_values() -> None:
    shown = plan_table.as_dict(PLAN)
    assert list(shown) == ["server", "stack", "changes", "drift", "notes", "refusals", "summary"]
    assert shown["changes"][4] == {
        "action": "create",
        "kind": "host",
        "name": "vm-7.example.org",
        "before": {},
        "after": dict(CREATE.after),
        "secret": {"file": "secrets/vm-7"},
    }
    assert shown["changes"][2]["source"] == "old-api.example.org"
    assert shown["drift"] == [{"kind": "dns", "name": "d.example.org", "text": "not in DNS yet"}]
    assert shown["notes"][0]["where"] == {"file": "hosts.yml", "line": 2, "column": 0}
    assert shown["summary"] == {
        "add": 2,
        "change": 1,
        "replace": 1,
        "delete": 1,
        "move": 1,
        "adopt": 1,
        "rotate": 1,
        "unchanged": 9,
    }


MARKDOWN = """\
### Plan: 1 to add, 0 to change, 1 to replace, 1 to delete, 0 unchanged.

Server: https://ddns.example.org

```diff
- gone.example.org
-     ipv4: 192.0.2.9
! -/+ old.example.org
!     (EGI cannot change wildcard of a registered host)
!     wildcard: true → false
!     (new secret)
+ domain dyn.example.org
+     public: true
```

- dns drift: a\\_b: \\<b\\>
"""


def test_markdown() -> None:
    assert plan_table.markdown(Plan((DELETE, REPLACE, DOMAIN), (Drift("dns", "a_b", "<b>"),)), URL) == MARKDOWN


def test_long_markdown_is_folded() -> None:
    shown = plan_table.markdown(PLAN, URL)
    assert "<details><summary>8 changes</summary>\n\n```diff\n" in shown
    assert "\n```\n\n</details>\n\n- dns drift" in shown


def test_a_fence_outlasts_what_is_inside() -> None:
    shown = plan_table.markdown(Plan((replace(CREATE, after={"comment": "````"}),)), URL)
    assert "\n`````diff\n" in shown
    assert "\n`````\n" in shown


def test_markdown_that_is_too_long_is_cut() -> None:
    shown = plan_table.markdown(Plan(tuple(replace(DELETE, name=f"h{i}.example.org") for i in range(3000))), URL)
    assert plan_table.MARKDOWN_LENGTH - 500 < len(shown) <= plan_table.MARKDOWN_LENGTH
    kept = shown.count("\n-")
    assert f"\n{6000 - kept} more lines are left out.\n" in shown


BEFORE = """\
gone.example.org:
  ipv4: 192.0.2.9
old-api.example.org:
old.example.org:
  wildcard: true
  secret: the current one
b.example.org:
  stack: none
www.example.org:
  ipv4: 192.0.2.1
  ipv6: unknown
  comment: none
c.example.org:
  secret: the current one
"""

AFTER = """\
domain dyn.example.org:
  public: true
api.example.org:
old.example.org:
  wildcard: false
  secret: (new secret)
vm-7.example.org:
  ipv4: 192.0.2.7
  wildcard: true
  comment: "Front end"
  labels: {a: "x y", b: 2}
  secret: (new secret → file secrets/vm-7)
b.example.org:
  stack: web
www.example.org:
  ipv4: 192.0.2.2
  ipv6: 2001:db8::1
  comment: "none"
c.example.org:
  secret: (new secret, replaces the present one → file secrets/vm-7)
"""


def test_ansibles_diff() -> None:
    assert plan_table.diff(PLAN, URL) == {
        "before": BEFORE,
        "after": AFTER,
        "before_header": f"registered at {URL}",
        "after_header": "declared by stack web",
    }
