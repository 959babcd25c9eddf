# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_key`: credentials for a group of hosts."""

from __future__ import annotations

from typing import Any

from .._sync import names
from . import credential, info
from .credential import Kind
from .spec import Spec
from .task import Task

SPEC = credential.SPEC + Spec({"hosts": {"type": "list", "elements": "str"}, "domain": {"type": "str"}})

KEY = Kind(
    "key",
    "/api/keys",
    "login",
    ("hosts",),
    lambda made: f"{made['login']}:{made['secret']}",
    lambda content, registered: content.partition(":")[0] == registered["login"],
    dict,  # the service sends the hosts sorted
    edits=True,
)


def run(task: Task) -> dict[str, Any]:
    """Result keys: changed, diff, warnings, key (if present), secret (`LOGIN:SECRET`, if it is asked for)."""
    return credential.run(task, KEY, _wanted(task))


def _wanted(task: Task) -> dict[str, Any]:
    """The hosts by full name, sorted as the service sends them. Raises DeclarationError."""
    domain = task.params["domain"]
    hosts = info.parsed(
        "hosts", lambda host: names.host_name(host, domain and names.domain_name(domain)), task.params["hosts"]
    )
    return {} if hosts is None else {"hosts": sorted(set(hosts))}
