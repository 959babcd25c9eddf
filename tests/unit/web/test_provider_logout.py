# SPDX-License-Identifier: GPL-3.0-or-later
"""Logout tokens from a provider that hangs up."""

from types import SimpleNamespace
from typing import Any

from starlette.requests import Request

from ddnsd.web.portal.views.provider_logout import end_sessions


async def test_a_provider_that_hangs_up_is_no_error() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    portal = SimpleNamespace(flows={"campus": SimpleNamespace(read_logout=None)})
    scope: dict[str, Any] = {"type": "http", "headers": [], "path_params": {"provider": "campus"}}
    scope["app"] = SimpleNamespace(state=SimpleNamespace(portal=portal))
    assert (await end_sessions(Request(scope, receive))).status_code == 408
