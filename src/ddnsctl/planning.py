# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: made from declarations, saved, and read again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ddnsctl import loader, secrets, session
from ddnsctl.loader import Sources
from ddnsctl.options import Connection
from ddnsctl.sync import connect, saved
from ddnsctl.sync.errors import SyncError
from ddnsctl.sync.plan import Options, Plan
from ddnsctl.sync.policy import Limits


class Saved(NamedTuple):
    """A plan of a file, and the URL of the service that it was made for."""

    plan: Plan
    url: str
    file: str


def make(sources: Sources, connection: Connection, *, prune: bool, limits: Limits | None) -> tuple[Plan, str]:
    """The plan, and the service's URL. Raises SyncError."""
    if not sources:
        raise SyncError(session.NOTHING)
    declared = loader.load(sources)
    opened = session.open_session(connection, declared.server)
    return opened.plan(declared, Options(prune=prune, limits=limits or Limits())), opened.url


def content(plan: Plan, url: str) -> dict[str, Any]:
    """What a saved plan or a journal holds: JSON values, no secrets."""
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return {"url": url, **saved.to_dict(plan, made=made)}


def save(plan: Plan, url: str, file: str) -> None:
    """Save a plan with mode 0600. Raises OSError."""
    secrets.write(Path(file), (json.dumps(content(plan, url), indent=1) + "\n").encode(), replace=True)


def saved_plan(sources: Sources) -> Saved | None:
    """The saved plan, if that is what was named; None when it is a declaration. Raises SyncError."""
    found = [(path, data) for path in sources.paths if (data := _json(path)) is not None]
    if not found:
        return None
    if len(sources.paths) > 1 or sources.inventories:
        raise SyncError(f"{found[0][0]} is a saved plan; name nothing else beside it")
    return Saved(read(found[0][1]), str(found[0][1].get("url", "")), found[0][0])


def read(data: Any) -> Plan:
    """The plan in what `content` made. Raises SyncError."""
    return saved.from_dict(data)


def _json(path: str) -> Any:
    """What a file with a saved plan holds; None for any other."""
    if path == loader.STDIN or not Path(path).is_file():
        return None
    with Path(path).open("rb") as file:
        if file.read(1) != b"{":
            return None
        try:
            data = json.loads(b"{" + file.read())
        except ValueError:
            return None
    return data if isinstance(data, dict) and "format" in data and "changes" in data else None


def same_server(connection: Connection, url: str, what: str) -> None:
    """Raises SyncError when the command line names another service than a plan was made for."""
    if connection.server is not None and url and not connect.same(connection.server, url):
        raise SyncError(f"{what} was made for {url}, --server names {connection.server}")
