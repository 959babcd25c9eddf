# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans in files; that a file holds the plan is a property in test_plan_properties."""

import copy
from typing import Any

import pytest

from ddnsctl.sync import saved
from ddnsctl.sync.errors import DeclarationError, Location, Problem
from ddnsctl.sync.model import SecretSpec
from ddnsctl.sync.plan import Action, Change, Drift, Plan

PLAN = Plan(
    (
        Change(
            Action.MOVE,
            "host",
            "a.example.org",
            {"ipv4": None},
            {"ipv4": "192.0.2.1", "labels": {"a": "b"}},
            "b.example.org",
            SecretSpec("vault", "v.yml"),
            "reason",
        ),
        Change(Action.UPDATE, "domain", "example.org", {"public": True}, {"public": False}),
    ),
    (Drift("unknown", "c.example.org", "text"),),
    (Problem("note", Location("-", 3, 1), "hint"), Problem("other")),
    5,
    "ddnsd",
    "web",
)


def test_the_form() -> None:
    data = saved.to_dict(PLAN, made="2024-01-01T00:00:00Z")
    assert data["format"] == 1
    assert (data["server"], data["stack"], data["made"]) == ("ddnsd", "web", "2024-01-01T00:00:00Z")
    assert data["changes"][0]["secret"] == {"vault": "v.yml"}
    assert data["changes"][1] == {
        "action": "update",
        "kind": "domain",
        "name": "example.org",
        "before": {"public": True},
        "after": {"public": False},
    }
    assert saved.from_dict(data) == PLAN


@pytest.mark.parametrize("data", [None, [], "plan", {}, {"changes": []}])
def test_what_is_no_plan(data: Any) -> None:
    with pytest.raises(DeclarationError, match=r"this is not a saved plan \(`ddnsctl plan -o FILE` makes one\)"):
        saved.from_dict(data)


@pytest.mark.parametrize("number", [0, 2, "1", None])
def test_a_format_that_is_not_known(number: Any) -> None:
    with pytest.raises(DeclarationError, match=r"has format .*, and 1 is understood \(make it again\)"):
        saved.from_dict({**saved.to_dict(PLAN), "format": number})


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        (("changes",), None, "changes is not of its type"),
        (("changes",), ..., "changes is missing"),
        (("changes", 0), 5, "an object is expected"),
        (("changes", 0, "action"), "explode", "'explode' is not a valid Action"),
        (("changes", 0, "action"), ..., "action is missing"),
        (("changes", 0, "kind"), "zone", "kind 'zone' is unknown"),
        (("changes", 0, "name"), 5, "name is not of its type"),
        (("changes", 0, "source"), 5, "source is not of its type"),
        (("changes", 0, "before"), [], "before is not of its type"),
        (("changes", 0, "after", "available"), True, "after has a 'available' that is not understood"),
        (("changes", 0, "after", "ipv4"), [], "after has a 'ipv4' that is not understood"),
        (("changes", 0, "secret"), {}, "not enough values"),
        (("changes", 0, "secret"), {"mail": "a"}, "secret 'mail' is unknown"),
        (("changes", 0, "secret"), {"file": 5}, "file is not of its type"),
        (("changes", 0, "reason"), None, "reason is not of its type"),
        (("drift",), 5, "drift is not of its type"),
        (("drift", 0, "text"), None, "text is not of its type"),
        (("notes", 0, "where"), {}, "file is missing"),
        (("unchanged",), "5", "unchanged is not of its type"),
        (("server",), None, "server is not of its type"),
        (("stack",), 5, "stack is not of its type"),
    ],
)
def test_a_damaged_plan(path: tuple[Any, ...], value: Any, text: str) -> None:
    data = copy.deepcopy(saved.to_dict(PLAN))
    place: Any = data
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    with pytest.raises(DeclarationError, match="the saved plan is damaged: ") as raised:
        saved.from_dict(data)
    assert text in str(raised.value)
