# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP with `requests`: one pool of kept connections, proxies and certificate authorities from the environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from urllib.parse import urlencode

import requests
from requests import exceptions
from requests.adapters import HTTPAdapter
from urllib3 import exceptions as pool

from ddnsctl.sync import names
from ddnsctl.sync.api import Response
from ddnsctl.sync.errors import LostAnswer, SyncError, Unreachable

CONNECT_TIMEOUT = 10.0
POOL = 32
UNSENT = (pool.NewConnectionError, pool.ConnectTimeoutError, pool.ProxyError, pool.SSLError)
"""Reasons that arise before a request leaves."""


class Bearer(requests.auth.AuthBase):
    """The token. As `auth` and not as a plain header, since a `.netrc` would replace that."""

    def __init__(self, token: str | None) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token is not None:
            request.headers.setdefault("Authorization", f"Bearer {self.token}")
        return request


class RequestsTransport:
    """A `ddnsctl.sync.api.Transport`; safe to use from several threads."""

    def __init__(self, url: str, token: str | None, *, ca: str | None = None, timeout: float = 60.0) -> None:
        """`ca` is a file of certificates to trust instead of the system's; `timeout` is in seconds, for one answer."""
        self.url = base_url(url)
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
    ) -> Response:
        """Any status is an answer. Raises Unreachable, LostAnswer."""
        url = self.url + path + (f"?{urlencode(query)}" if query else "")
        with _as_ours(self.url):
            answer = self.session.request(
                method,
                url,
                data=body,
                headers=dict(headers or {}),
                timeout=self.timeout,
                verify=self.verify,
                allow_redirects=False,
            )
        return Response(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.content)


def base_url(url: str) -> str:
    """The URL without a trailing slash. Raises SyncError when it is not one of HTTP."""
    try:
        return names.server_url(url)
    except ValueError as error:
        raise SyncError(f"the server's URL {error}" if str(error).startswith("has") else str(error)) from None


@contextmanager
def _as_ours(url: str) -> Iterator[None]:
    try:
        yield
    except (exceptions.InvalidURL, exceptions.InvalidHeader, UnicodeError) as error:
        raise Unreachable(f"{url}: {error}") from error
    except exceptions.SSLError as error:
        raise Unreachable(f"{url}: the certificate is not trusted: {_innermost(error)}") from error
    except exceptions.ConnectTimeout as error:
        raise Unreachable(f"{url}: no connection in time") from error
    except exceptions.Timeout as error:
        raise LostAnswer(f"{url}: no answer in time (--timeout)") from error
    except exceptions.RequestException as error:
        reason = getattr(error.args[0] if error.args else None, "reason", None)
        kind = Unreachable if isinstance(reason, UNSENT) else LostAnswer
        text = "cannot connect" if kind is Unreachable else "the connection broke before the answer came"
        raise kind(f"{url}: {text}: {_innermost(error)}") from error
    except OSError as error:  # a file of certificates that is not there
        raise Unreachable(f"{url}: {error}") from error


def _innermost(error: BaseException) -> str:
    """The operating system's own words, which `requests` wraps several times."""
    seen: BaseException = error
    while inner := (seen.__cause__ or seen.__context__):
        seen = inner
    return str(getattr(seen, "strerror", None) or seen)
