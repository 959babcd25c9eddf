# SPDX-License-Identifier: GPL-3.0-or-later
"""The server says when it cannot listen."""

import pytest
import uvloop
from support.ports import free_port

from ddnsd.dns.endpoint import Endpoint
from ddnsd.server import BACKLOG, Server, listen
from ddnsd.web.connection_limits import Sources


async def no_app(scope: object, receive: object, send: object) -> None:
    """Nothing is asked of it."""


def test_another_process_listens_first() -> None:
    """Two processes may bind the same address as long as neither listens."""
    endpoint = Endpoint("127.0.0.1", free_port())
    ready: list[None] = []
    with listen(endpoint) as ours, listen(endpoint) as other:
        other.listen(BACKLOG)
        with pytest.raises(OSError, match=f"^cannot listen on http://{endpoint}: Address already in use$"):
            uvloop.run(Server(no_app, Sources(0), lambda: ready.append(None), lambda: None).serve([ours]))
    assert not ready
