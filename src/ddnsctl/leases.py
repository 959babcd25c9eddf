# SPDX-License-Identifier: GPL-3.0-or-later
"""Only one run at a time applies a stack: commands that change hosts hold its lease."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ddnsctl import journals, output, session
from ddnsctl.secrets import SecretWriter
from ddnsctl.sync import lease, lost_secrets, secret_files
from ddnsctl.sync.model import FILE

if TYPE_CHECKING:
    from ddnsctl.execution import Settings
    from ddnsctl.options import Connection
    from ddnsctl.sync.api import Server
    from ddnsctl.sync.changes import Change
    from ddnsctl.sync.model import Declaration, SecretSpec
    from ddnsctl.sync.plan import Options

BUSY = (
    "Wait for it with --wait. If that run is dead, its lease ends within a minute; --force-unlock takes it away at once"
)


@contextmanager
def held(server: Server, stack: str | None, settings: Settings, former: str = "") -> Iterator[None]:
    """Hold the lease of the stack in the block, if the server has leases. Raises Leased, ServerError.

    `former` is the id of the lease of an earlier run that died.
    """
    # a cancelled pipeline gives the lease back, and leaves the same journal as Ctrl-C
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    turn = lease.Turn(settings.wait or 0.0, settings.force_unlock, former, BUSY)
    with lease.held(server, stack, turn, output.remark):
        yield


@contextmanager
def opened(
    connection: Connection,
    declaration: Declaration,
    options: Options,
    settings: Settings,
    vault: Sequence[str] | None = None,
) -> Iterator[session.Session]:
    """As `session.open_for`, with the lease of the declaration's stack in the block.

    With `vault`, as in `SecretWriter`, secrets that an earlier run did not store are stored first.
    """
    connected = session.connect(connection, declaration.server)
    former = journals.lease_of_dead_run(declaration.stack, connected.server.url)
    with held(connected.server, declaration.stack, settings, former):
        if vault is not None:
            collect(connected.server, declaration, vault)
        yield session.read(connection, declaration, options, connected)


def collect(server: Server, declaration: Declaration, vault: Sequence[str]) -> None:
    """Store the secrets that an earlier run has made, but not stored. Raises ServerError, OSError."""
    stacks = server.stacks
    if stacks is None or not stacks.lease:
        return
    made: list[SecretWriter] = []

    def writer(changes: Sequence[Change]) -> SecretWriter:
        made.append(SecretWriter(changes, vault, resumed=True))
        return made[0]

    found = lost_secrets.collect(server, stacks, declaration.hosts, writer, _has)
    for one in made:
        one.flush()
    for text in found.texts():
        output.remark(text)
    stacks.all_stored = True


def look_for_lost_secrets(server: Server) -> None:
    """Warn about secrets that an earlier run did not store: a saved plan does not say where they go."""
    stacks = server.stacks
    if stacks is None or not stacks.lease:
        return
    lost, _other_tokens = stacks.lost_secrets()
    if lost:
        hosts = "1 host" if len(lost) == 1 else f"{len(lost)} hosts"
        output.warning(
            f"an earlier run has made secrets of {hosts}, but not stored: apply the declaration to store them"
        )
    stacks.all_stored = not lost


def _has(place: SecretSpec, secret: str) -> bool:
    return place.kind == FILE and secret_files.read(Path(place.path)) == secret
