# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of failed connections: what happened, why, what to do."""

import errno
import os
import socket
import ssl
from http.client import IncompleteRead, RemoteDisconnected

import pytest

from ddnsctl.sync.connection_failures import OptionNames, lost_answer, unreachable

URL = "https://ddns.example.org"
OPTIONS = OptionNames("--server", "--ca", "--timeout")


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


def no_tls() -> ssl.SSLError:
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1000)")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


CHECK = "Check --server and that the service runs."


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)), "connection refused"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no route to host"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "its name has no address in DNS"),
        (TimeoutError("timed out"), "no connection in time"),
        ("a text of urllib", "a text of urllib"),
        (OSError(), "OSError"),
    ],
)
def test_a_request_that_was_not_sent(error: object, text: str) -> None:
    assert str(unreachable(URL, error, OPTIONS)) == f"{URL} does not answer: {text}. {CHECK}"


def test_failures_of_tls() -> None:
    assert str(unreachable(URL, untrusted(), OPTIONS)) == (
        f"{URL} has a certificate that is not trusted: self-signed certificate. "
        "Name its certificate authority with --ca."
    )
    assert str(unreachable(URL, no_tls(), OPTIONS)) == (
        f"{URL} speaks plain HTTP on this port. Use http://ddns.example.org or another port in --server."
    )
    other = ssl.SSLError(1, "[SSL: UNSUPPORTED_PROTOCOL] unsupported protocol (_ssl.c:1000)")
    other.reason = "UNSUPPORTED_PROTOCOL"
    assert str(unreachable(URL, other, OPTIONS)) == (
        f"{URL} does not speak TLS: unsupported protocol. Check scheme and port in --server."
    )


def test_a_dead_proxy_is_called_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://ann:secret@proxy.example.org:3128")
    refused = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    assert str(unreachable(URL, refused, OPTIONS)) == (
        f"the proxy proxy.example.org:3128 for {URL} does not answer: connection refused. Check HTTPS_PROXY and "
        "HTTP_PROXY, or name the service in NO_PROXY."
    )
    assert str(unreachable(URL, OSError("Tunnel connection failed: 407 Proxy Authentication Required"), OPTIONS)) == (
        f"the proxy proxy.example.org:3128 refuses a connection to {URL}: 407 Proxy Authentication Required. "
        "Check HTTPS_PROXY and HTTP_PROXY, or name the service in NO_PROXY."
    )
    assert "not trusted" in str(unreachable(URL, untrusted(), OPTIONS))
    monkeypatch.setenv("no_proxy", "ddns.example.org")
    assert str(unreachable(URL, refused, OPTIONS)).startswith(f"{URL} does not answer: ")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TimeoutError(), "does not answer in time. Wait longer with --timeout, or check the service."),
        (RemoteDisconnected("Remote end closed"), "did not send its whole answer: the connection was closed. "),
        (IncompleteRead(b"x", 9), "did not send its whole answer: the connection was closed in the middle of it. "),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "answer: connection reset by peer. "),
    ],
)
def test_an_answer_that_did_not_arrive(error: object, text: str) -> None:
    assert text in str(lost_answer(URL, error, OPTIONS))
