# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors as results, and argument specifications."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.spec import Spec
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.task import Failed, Task, perform
from ansible_collections.fedcloud.ddns.plugins.module_utils._sync.errors import (
    DeclarationError,
    Location,
    Problem,
    Refused,
    SyncError,
    Unsafe,
)


@pytest.mark.parametrize(
    ("error", "more"),
    [
        (SyncError("no"), {"msg": "no"}),
        (Refused(422, "no", {"ipv4": "bad"}), {"msg": "no", "errors": {"ipv4": "bad"}}),
        (Unsafe("too many", ["a.example.org"]), {"msg": "too many", "hosts": ["a.example.org"]}),
        (DeclarationError([Problem("x", Location("f", 2, 3)), Problem("y")]), {"msg": "f:2:3: x\ny"}),
        (Failed("half", {"changed": True, "changes": []}), {"msg": "half", "changed": True, "changes": []}),
    ],
)
def test_an_error_is_a_failed_result(error: SyncError, more: dict[str, Any]) -> None:
    def operation(_task: Task) -> dict[str, Any]:
        raise error

    assert perform(operation, {}, False) == {"failed": True, "changed": False, **more}


def test_an_operation_gets_its_options_and_the_mode() -> None:
    assert perform(lambda task: {"changed": task.check, **task.params}, {"a": 1}, True) == {"changed": True, "a": 1}


def test_a_service_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DDNS_SERVER", raising=False)
    params = {"api_url": None, "api_token": "t", "validate_certs": True, "ca_path": None, "timeout": 1}
    with pytest.raises(SyncError, match=r"^no server is named: use api_url, set DDNS_SERVER, or write it"):
        Task(params).server()


def test_specifications_add_up_and_stay_as_they_are() -> None:
    one = Spec({"a": {"type": "str"}}, required_one_of=[("a", "b")])
    two = Spec({"b": {"type": "int"}}, mutually_exclusive=[("a", "b")], required_by={"b": "a"})
    both = (one + two).arguments()
    assert both["argument_spec"] == {"a": {"type": "str"}, "b": {"type": "int"}}
    assert both["required_one_of"] == both["mutually_exclusive"] == [["a", "b"]]
    assert both["required_by"] == {"b": "a"}
    both["argument_spec"]["a"]["type"] = "bool"
    assert one.arguments()["argument_spec"] == {"a": {"type": "str"}}
