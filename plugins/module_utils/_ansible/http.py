# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP with Ansible's client: the engine's `Transport` for modules, action plugins and the inventory."""

from __future__ import annotations

import inspect
import ssl
from http.client import HTTPException, HTTPMessage
from typing import Any, Mapping
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode

from ansible.module_utils import urls

from .._sync import names
from .._sync.api import Response
from .._sync.connection_failures import OptionNames, lost_answer, reason, unreachable
from .._sync.errors import SyncError

OPTIONS = OptionNames("`api_url`", "`ca_path`", "`timeout`")
_KEEPS_CONTEXT = "context" in inspect.signature(urls.Request.__init__).parameters


class Http:
    """Sends requests with a token to a service. Several threads may use it."""

    def __init__(
        self, url: str, token: str, *, validate_certs: bool = True, ca_path: str | None = None, timeout: float = 30
    ) -> None:
        """`ca_path` is a file with certificates to trust instead of the system's; `timeout` is in seconds.

        Raises SyncError.
        """
        self.url = _checked(names.server_url, "api_url", url)
        self._headers = {"Authorization": "Bearer " + _checked(_token, "api_token", token)}
        tls: dict[str, Any] = {"validate_certs": validate_certs, "ca_path": ca_path}
        if _KEEPS_CONTEXT:  # without a context, each request reads all certificates of the system again
            tls = {"context": _context(self.url, validate_certs, ca_path)}
        self._session = urls.Request(
            timeout=timeout, http_agent="fedcloud.ddns", follow_redirects="none", use_netrc=False, **tls
        )

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
        url = self.url + path + ("?" + urlencode(query) if query else "")
        try:
            return self._answer(method, url, body, {**({} if anonymous else self._headers), **(headers or {})})
        except URLError as error:  # urllib raises it while connecting and sending, and not later
            raise unreachable(self.url, error.reason, OPTIONS) from error
        except (OSError, HTTPException) as error:
            raise lost_answer(self.url, error, OPTIONS) from error

    def _answer(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Response:
        try:
            answer = self._session.open(method, url, data=body, headers=headers)
        except HTTPError as error:  # a redirect, or a status from 400
            answer = error
        with answer:
            return Response(answer.status, _lower(answer.headers), answer.read())


def _checked(check: Any, option: str, value: str) -> str:
    try:
        return str(check(value))
    except ValueError as error:
        raise SyncError(f"{option}: {error}") from None


def _token(value: str) -> str:
    token = value.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("must be one word of ASCII characters")
    return token


def _context(url: str, validate_certs: bool, ca_path: str | None) -> ssl.SSLContext:
    if url.startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context: ssl.SSLContext = urls.make_context(cafile=ca_path, validate_certs=validate_certs)
    except OSError as error:
        raise SyncError(f"ca_path: {ca_path} cannot be read: {reason(error)}") from error
    return context


def _lower(headers: HTTPMessage) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
