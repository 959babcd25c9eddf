# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of journals: where they are, which one `--resume` continues, and when they are deleted."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ddnsctl import secrets
from ddnsctl.sync import connect
from ddnsctl.sync.errors import SyncError
from ddnsctl.sync.plan import Plan
from ddnsctl.sync.unfinished import MISSING, Recorder, Unfinished, read_valid
from ddnsctl.sync.unfinished import create as create_journal

FOLDER = Path(".ddnsctl")


def create(
    chosen: str | None, content: Mapping[str, Any], plan: Plan, secret_writer: secrets.SecretWriter, lease: str
) -> Recorder:
    """A new journal in the file `chosen`, or in a new file in FOLDER. `lease` is as in `sync.unfinished.create`.

    Raises OSError, SyncError.
    """
    path = Path(chosen) if chosen else FOLDER / f"journal-{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}.jsonl"
    journal = create_journal(path, content, plan.changes, lease)
    return Recorder(path, journal, len(plan.changes), flush=secret_writer.flush, drop=drop)


def unfinished(chosen: str | None) -> Path:
    """The journal to continue: `chosen`, or the only one in FOLDER. Raises SyncError."""
    if chosen is not None:
        return Path(chosen)
    found = unfinished_paths()
    if not found:
        raise SyncError(f"there is no journal in {FOLDER}, {MISSING}")
    if len(found) > 1:
        names = ", ".join(map(_described, found))
        raise SyncError(f"there are several journals: name one with --journal, or delete the outdated ones: {names}")
    return found[0]


def unfinished_paths() -> list[Path]:
    """The journals of unfinished runs, oldest first."""
    return sorted(FOLDER.glob("journal-*.jsonl"))


def of_stack(stack: str | None, url: str) -> Iterator[Unfinished]:
    """The unfinished journals of earlier runs for this server and stack.

    Raises SyncError if another process is using one of them. Journals that cannot be read are left out.
    """
    for path in unfinished_paths():
        found = None
        with contextlib.suppress(OSError):
            found = read_valid(path)
        if found is not None and found.plan.stack == stack and found.url and connect.same(found.url, url):
            yield found


def lease_of_dead_run(stack: str | None, url: str) -> str:
    """The id of the lease of an unfinished run in FOLDER, whose process has ended; empty if there is none."""
    found = [journal for journal in of_stack(stack, url) if journal.state.run is not None]
    return found[-1].lease if found else ""


def drop(path: Path) -> None:
    """Delete a journal, and FOLDER if it is empty then."""
    path.unlink(missing_ok=True)
    if path.parent == FOLDER and not any(FOLDER.iterdir()):
        FOLDER.rmdir()


def _described(path: Path) -> str:
    try:
        return str(read_valid(path) or path)
    except (SyncError, OSError):
        return f"{path} (in use)"
