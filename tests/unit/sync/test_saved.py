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
        Change(Action.CREATE, "certificate", "a.b", {}, {"names": ["a.b"], "file": "/f", "key": "/k"}, reason="none"),
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
    with pytest.raises(DeclarationError, match=r"has format .*, but this version reads format 1 \(make a new plan\)"):
        saved.from_dict({**saved.to_dict(PLAN), "format": number})


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        (("changes",), None, "changes has the wrong type"),
        (("changes",), ..., "changes is missing"),
        (("changes", 0), 5, "it is not an object"),
        (("changes", 0, "action"), "explode", "'explode' is not a valid Action"),
        (("changes", 0, "action"), ..., "action is missing"),
        (("changes", 0, "kind"), "zone", "kind 'zone' is unknown"),
        (("changes", 0, "name"), 5, "name has the wrong type"),
        (("changes", 0, "source"), 5, "source has the wrong type"),
        (("changes", 0, "before"), [], "before has the wrong type"),
        (("changes", 0, "after", "available"), True, "after has an unknown or invalid 'available'"),
        (("changes", 0, "after", "ipv4"), [], "after has an unknown or invalid 'ipv4'"),
        (("changes", 0, "secret"), {}, "not enough values"),
        (("changes", 0, "secret"), {"mail": "a"}, "secret 'mail' is unknown"),
        (("changes", 0, "secret"), {"file": 5}, "file has the wrong type"),
        (("changes", 0, "reason"), None, "reason has the wrong type"),
        (("drift",), 5, "drift has the wrong type"),
        (("drift", 0, "text"), None, "text has the wrong type"),
        (("notes", 0, "where"), {}, "file is missing"),
        (("unchanged",), "5", "unchanged has the wrong type"),
        (("server",), None, "server has the wrong type"),
        (("stack",), 5, "stack has the wrong type"),
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
