# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans in files: `plan -o` saves them, `apply FILE` reads them, and journals begin with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from ddnsctl import loader
from ddnsctl.loader import Sources
from ddnsctl.options import Connection
from ddnsctl.sync import connect, saved, secret_files
from ddnsctl.sync.errors import SyncError
from ddnsctl.sync.plan import Plan
from ddnsctl.sync.unfinished import with_url


class SavedPlan(NamedTuple):
    """A plan from a file, and the URL of the service that it was made for."""

    plan: Plan
    url: str
    file: str


def save(plan: Plan, url: str, file: str) -> None:
    """Save a plan. It contains no secrets, so it has the mode of any other file. Raises OSError."""
    text = json.dumps(with_url(plan, url), indent=1) + "\n"
    secret_files.write(Path(file), text.encode(), durable=False, private=False)


def find(sources: Sources) -> SavedPlan | None:
    """The saved plan that the command line names; None if it names declarations. Raises SyncError."""
    found = [(path, data) for path in sources.paths if (data := _json(path)) is not None]
    if not found:
        return None
    if len(sources.paths) > 1 or sources.inventories:
        raise SyncError(f"{found[0][0]} is a saved plan: name no other file and no inventory with it")
    return SavedPlan(saved.from_dict(found[0][1]), str(found[0][1].get("url", "")), found[0][0])


def _json(path: str) -> Any:
    """The JSON object in a file with a saved plan; None for any other file."""
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


def check_server(connection: Connection, url: str, what: str) -> None:
    """Raises SyncError if --server names another service than the plan was made for."""
    if connection.server is not None and url and not connect.same(connection.server, url):
        raise SyncError(f"{what} was made for {url}, but --server names {connection.server}: remove --server")
