# SPDX-License-Identifier: GPL-3.0-or-later
"""Only one run at a time applies a stack: commands that change hosts hold its lease."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ddnsctl import journals, output, session
from ddnsctl.sync import lease

if TYPE_CHECKING:
    from ddnsctl.execution import Settings
    from ddnsctl.options import Connection
    from ddnsctl.sync.api import Server
    from ddnsctl.sync.model import Declaration
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
    connection: Connection, declaration: Declaration, options: Options, settings: Settings
) -> Iterator[session.Session]:
    """As `session.open_for`, with the lease of the declaration's stack in the block."""
    connected = session.connect(connection, declaration.server)
    former = journals.lease_of_dead_run(declaration.stack, connected.server.url)
    with held(connected.server, declaration.stack, settings, former):
        yield session.read(connection, declaration, options, connected)
