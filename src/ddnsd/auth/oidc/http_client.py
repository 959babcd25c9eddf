# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to a provider: JSON, with limits of time and size, without redirections."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from ddnsd.auth.oidc import ProviderDown

SECONDS = 5.0
"""Limit of a whole call."""

LIMIT = 1024 * 1024
"""Maximum octets of an answer."""

ACCEPT = {"Accept": "application/json"}


class Http:
    """Connections to all providers, opened at first use."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at a URL. Raises ProviderDown."""
        status, content = await self._call("GET", url, headers or {}, None)
        if status != 200:
            raise ProviderDown(f"{url}: status {status}")
        return content

    async def post(self, url: str, headers: Mapping[str, str], form: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON object of the answer to a form, including client errors. Raises ProviderDown."""
        status, content = await self._call("POST", url, headers, form)
        if status >= 500 or status == 429:
            raise ProviderDown(f"{url}: status {status}")
        return status, content

    async def _call(
        self, method: str, url: str, headers: Mapping[str, str], form: str | None
    ) -> tuple[int, dict[str, Any]]:
        if self._client is None:
            limits = httpx.Limits(max_connections=20, max_keepalive_connections=10)
            self._client = httpx.AsyncClient(verify=ssl.create_default_context(), timeout=SECONDS, limits=limits)
        try:
            async with (
                asyncio.timeout(SECONDS),
                self._client.stream(method, url, headers=ACCEPT | dict(headers), content=form) as answer,
            ):
                body = bytearray()
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > LIMIT:
                        raise ProviderDown(f"{url}: more than {LIMIT} octets")
                content = json.loads(body or b"{}")
        except TimeoutError:
            raise ProviderDown(f"{url}: no answer within {SECONDS:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise ProviderDown(f"{url}: {error or type(error).__name__}") from None
        except (ValueError, RecursionError):
            raise ProviderDown(f"{url}: status {answer.status_code}, and not JSON") from None
        if not isinstance(content, dict):
            raise ProviderDown(f"{url}: not a JSON object")
        return answer.status_code, content

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None
