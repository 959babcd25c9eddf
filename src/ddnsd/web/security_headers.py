# SPDX-License-Identifier: GPL-3.0-or-later
"""Headers with which browsers isolate an answer: no frames, no content from elsewhere, no guesses at its type."""

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders

from ddnsd.web.asgi import Application, Message, Receive, Scope, Send

CLOSED = "default-src 'none'; frame-ancestors 'none'"
"""The policy of an answer that is no page."""

BASIC = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
"""Headers of every answer. A view can set another Cache-Control."""


class SecurityHeaders:
    """Adds headers to every answer of an application, except those that the answer has."""

    def __init__(self, app: Application, policy: str, headers: Mapping[str, str] | None = None) -> None:
        self._app = app
        self._headers = {"Content-Security-Policy": policy, **BASIC, **(headers or {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)
