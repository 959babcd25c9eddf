# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP with `requests`: one pool of connections; proxies and certificate authorities from the environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlencode

import requests
from requests import exceptions
from requests.adapters import HTTPAdapter
from urllib3 import exceptions as pool

from ddnsctl.sync import names
from ddnsctl.sync.api import Response
from ddnsctl.sync.connection_failures import OptionNames, lost_answer, unreachable
from ddnsctl.sync.errors import SyncError, Unreachable

CONNECT_TIMEOUT = 10.0
POOL = 32
UNSENT = (pool.NewConnectionError, pool.ConnectTimeoutError, pool.ProxyError, pool.SSLError)
"""Errors of `urllib3` that occur before a request is sent."""
OPTIONS = OptionNames("--server", "--ca", "--timeout")


class Bearer(requests.auth.AuthBase):
    """Adds the token. It is `auth` and not a plain header, because a `.netrc` would replace the header."""

    def __init__(self, token: str | None) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token is not None:
            request.headers.setdefault("Authorization", f"Bearer {self.token}")
        return request


class RequestsTransport:
    """A `ddnsctl.sync.api.Transport`. Several threads may use it."""

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        ca: str | None = None,
        timeout: float = 60.0,
        options: OptionNames = OPTIONS,
    ) -> None:
        """`ca` is a file with certificates to trust instead of the system's; `timeout` is in seconds, for each answer.

        `options` are the names of the options in messages. Raises SyncError.
        """
        self.url, self.options = base_url(url), options
        if ca is not None and not Path(ca).exists():
            raise SyncError(f"{options.ca}: {ca} does not exist")
        self.timeout = (min(CONNECT_TIMEOUT, timeout), timeout)
        self.session = requests.Session()
        self.session.auth = Bearer(token)
        self.session.headers["User-Agent"] = f"ddnsctl/{version('fedcloud-ddns')}"
        self.verify = ca if ca is not None else True
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=POOL, max_retries=0))

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        anonymous: bool = False,
    ) -> Response:
        """Send a request, if `anonymous` without the token. Any status is an answer. Raises Unreachable, LostAnswer."""
        url = self.url + path + (f"?{urlencode(query)}" if query else "")
        with _translated(self.url, self.options):
            answer = self.session.request(
                method,
                url,
                data=body,
                headers=dict(headers or {}),
                auth=Bearer(None) if anonymous else None,
                timeout=self.timeout,
                verify=self.verify,
                allow_redirects=False,
            )
        return Response(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)


def base_url(url: str) -> str:
    """The URL without a trailing slash. Raises SyncError if it is not an HTTP URL."""
    try:
        return names.server_url(url)
    except ValueError as error:
        raise SyncError(f"the server's URL {error}" if str(error).startswith("has") else str(error)) from None


@contextmanager
def _translated(url: str, options: OptionNames) -> Iterator[None]:
    """Turn errors of `requests` into Unreachable and LostAnswer."""
    try:
        yield
    except (exceptions.InvalidURL, exceptions.InvalidHeader, UnicodeError) as error:
        raise Unreachable(f"{url} is not a usable URL: {error}") from error
    except (exceptions.SSLError, exceptions.ConnectTimeout) as error:
        raise unreachable(url, _innermost(error), options) from error
    except exceptions.Timeout as error:
        raise lost_answer(url, TimeoutError(), options) from error
    except exceptions.RequestException as error:
        unsent = isinstance(getattr(error.args[0] if error.args else None, "reason", None), UNSENT)
        raise (unreachable if unsent else lost_answer)(url, _innermost(error), options) from error


def _innermost(error: BaseException) -> BaseException:
    """The operating system's error, which `requests` wraps several times."""
    seen: BaseException = error
    while inner := (seen.__cause__ or seen.__context__):
        seen = inner
    return seen
