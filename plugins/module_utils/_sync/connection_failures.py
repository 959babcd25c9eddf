# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures of HTTP connections in words: what happened, why, and what to do. The same for `ddnsctl` and the modules."""

from __future__ import annotations

import socket
import ssl
from http.client import IncompleteRead, RemoteDisconnected
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from .errors import LostAnswer, Unreachable


class OptionNames(NamedTuple):
    """The names of the options that the messages advise to check."""

    server: str
    ca: str
    timeout: str


PLAIN_HTTP = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
"""OpenSSL's reasons if the other side answers in plain text."""
TUNNEL = "Tunnel connection failed: "
"""How the error of Python's HTTP client begins if a proxy refuses to connect; its status follows."""


def proxy_for(url: str) -> str:
    """The proxy of the environment through which requests to the URL go; empty if there is none."""
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    found = getproxies()
    return found.get(parts.scheme) or found.get("all") or ""


def unreachable(url: str, error: object, options: OptionNames) -> Unreachable:
    """The error for a request that was not sent. `error` is the operating system's error or a text."""
    proxy = proxy_for(url)
    if proxy and not isinstance(error, ssl.SSLError):
        shown, why = proxy.rpartition("@")[2], reason(error)
        refused, status = why.partition(TUNNEL)[1:]
        failed = f"refuses a connection to {url}: {status}" if refused else f"for {url} does not answer: {why}"
        return Unreachable(
            f"the proxy {shown} {failed}. Check HTTPS_PROXY and HTTP_PROXY, or name the service in NO_PROXY."
        )
    if isinstance(error, ssl.SSLError) and getattr(error, "reason", "") in PLAIN_HTTP:
        plain = "http" + url[len("https") :] if url.startswith("https:") else url
        return Unreachable(f"{url} speaks plain HTTP on this port. Use {plain} or another port in {options.server}.")
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"{url} has a certificate that is not trusted: {error.verify_message}"
        return Unreachable(f"{text}. Name its certificate authority with {options.ca}.")
    if isinstance(error, ssl.SSLError):
        return Unreachable(f"{url} does not speak TLS: {reason(error)}. Check scheme and port in {options.server}.")
    return Unreachable(f"{url} does not answer: {reason(error)}. Check {options.server} and that the service runs.")


def lost_answer(url: str, error: object, options: OptionNames) -> LostAnswer:
    """The error for a request that was sent, and whose answer did not arrive."""
    if isinstance(error, (socket.timeout, TimeoutError)):
        return LostAnswer(f"{url} does not answer in time. Wait longer with {options.timeout}, or check the service.")
    return LostAnswer(f"{url} did not send its whole answer: {reason(error)}. Check the service and its proxies.")


def reason(error: object) -> str:
    """An error in a few words."""
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "no connection in time"
    if isinstance(error, socket.gaierror):
        return "its name has no address in DNS"
    if isinstance(error, RemoteDisconnected):
        return "the connection was closed"
    if isinstance(error, IncompleteRead):
        return "the connection was closed in the middle of it"
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).lower().replace("_", " ")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return str(error) or type(error).__name__
