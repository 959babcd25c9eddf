# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of keys, tokens and users share: the API that they need, and differences."""

from __future__ import annotations

import json
from typing import Any, Mapping

from .._sync.errors import NotSupported, Problem
from .._sync.rest import RestServer
from .task import Task


class Note(str):
    """Text about a value in a difference, such as `(new secret)`."""


def rest_server(task: Task, what: str) -> RestServer:
    """The server, if it has an API for `what`. Raises SyncError."""
    server = task.server()
    if not isinstance(server, RestServer):
        raise NotSupported([Problem(f"{server.capabilities.server} cannot manage {what}")])
    return server


def difference(subject: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, str]:
    """Ansible's diff of the fields that differ; None: there is nothing."""
    if before is not None and after is not None:
        fields = [field for field in after if field not in before or before[field] != after[field]]
        before, after = ({field: one[field] for field in fields if field in one} for one in (before, after))
    return {"before": _text(subject, before), "after": _text(subject, after)}


def _text(subject: str, values: Mapping[str, Any] | None) -> str:
    """The values as YAML."""
    if not values:
        return ""
    lines = [f"  {field}: {_shown(value)}\n" for field, value in values.items()]
    return f"{subject}:\n{''.join(lines)}"


def _shown(value: Any) -> str:
    return value if isinstance(value, Note) else json.dumps(value, ensure_ascii=False)
