# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the targets of webhooks, which users choose: they must not reach what only the service can reach.

The name of a target is resolved once. If all its addresses are allowed, the connection goes to one of them, so a name
that changes its address meanwhile leads nowhere else. There are no redirects and no proxies.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

import httpx

SECONDS = 10.0
"""Limit of a request, with its connection."""

CONNECT_SECONDS = 3.0
"""Limit of a connection; then the next address is tried."""

RESOLVE_SECONDS = 5.0

TRIED = 3
"""Maximum number of addresses that are tried."""

ANSWER_LIMIT = 64 * 1024
"""Octets of an answer that are read, so that the connection can be used again."""

RESOLVERS = 16
"""Names that are resolved at once. A slow name server holds no thread that others need."""

AddressRule = Callable[[str, bool], str | None]
"""Why an address must not be a target, or None; True: the connection is not encrypted."""


class Unreachable(Exception):
    """the target cannot be reached; the text says why"""


class NotAllowed(Unreachable):
    """an address of the target is not allowed; the text says why"""


class Target(NamedTuple):
    """A URL with the addresses to connect to."""

    url: httpx.URL
    addresses: tuple[str, ...]


class Resolver:
    """Finds the addresses of targets, and checks them by a rule."""

    def __init__(self, refusal: AddressRule) -> None:
        self._refusal = refusal
        self._threads = ThreadPoolExecutor(RESOLVERS, "webhook-resolver")

    async def target(self, url: str) -> Target:
        """The target, all of whose addresses are allowed. Raises NotAllowed, Unreachable."""
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, ValueError) as error:
            raise NotAllowed(f"the URL is not valid: {error}") from None
        addresses = await self._addresses(parsed.raw_host.decode("ascii").strip("[]"), parsed.port or 443)
        for address in addresses:
            if (reason := self._refusal(address, parsed.scheme != "https")) is not None:
                raise NotAllowed(reason)
        return Target(parsed, addresses[:TRIED])

    async def _addresses(self, host: str, port: int) -> tuple[str, ...]:
        try:
            return (str(ipaddress.ip_address(host)),)
        except ValueError:
            pass
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await loop.run_in_executor(
                    self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                )
        except TimeoutError:
            raise Unreachable("the name is not resolved in time") from None
        except (OSError, UnicodeError):
            raise Unreachable("the name cannot be resolved") from None
        return tuple(dict.fromkeys(str(address[0]) for *_, address in found))

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Connection:
    """A kept connection to one target: another one could have a certificate for another name."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._client = httpx.AsyncClient(
            verify=_tls(),
            timeout=httpx.Timeout(SECONDS, connect=CONNECT_SECONDS),
            follow_redirects=False,
            trust_env=False,
        )

    async def post(self, body: str, headers: Mapping[str, str]) -> int:
        """Send a body. Returns the status; the content of the answer is not used. Raises Unreachable."""
        url = self._target.url
        sent = {
            "Host": url.netloc.decode("ascii"),
            "Content-Type": "application/json",
            "User-Agent": "ddnsd",
            **headers,
        }
        extensions = {"sni_hostname": url.raw_host.decode("ascii").strip("[]")}
        problem = ""
        for address in self._target.addresses:
            try:
                async with (
                    asyncio.timeout(SECONDS),
                    self._client.stream(
                        "POST", url.copy_with(host=address), content=body, headers=sent, extensions=extensions
                    ) as answer,
                ):
                    await _skip_content(answer)
                    return answer.status_code
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                problem = f"no connection: {error or type(error).__name__}"
            except (TimeoutError, httpx.TimeoutException):
                raise Unreachable(f"no answer within {SECONDS:g} s") from None
            except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:  # also of a redirection
                raise Unreachable(f"no answer: {error or type(error).__name__}") from None
        raise Unreachable(problem)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.aclose()


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


async def _skip_content(answer: httpx.Response) -> None:
    octets = 0
    async for part in answer.aiter_raw():
        octets += len(part)
        if octets > ANSWER_LIMIT:
            return
