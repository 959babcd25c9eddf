# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP: what was certainly not carried out, and what may have been."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ddnsctl.sync.errors import LostAnswer, SyncError, Unreachable
from ddnsctl.transport import RequestsTransport

ANSWER = b"HTTP/1.1 200 OK\r\nX-Thing: 1\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def serving(*answers: bytes | None) -> Iterator[tuple[str, list[bytes]]]:
    """Answers requests, one on each connection, with these bytes; None: with silence. Hands out URL and requests."""
    seen: list[bytes] = []
    over = threading.Event()

    def serve(listener: socket.socket) -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                seen.append(connection.recv(65536))
                if answer is None:
                    over.wait(10)
                else:
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
        finally:
            over.set()
            thread.join(10)


def test_a_request_and_its_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with serving(ANSWER) as (url, seen):
        transport = RequestsTransport(url + "/base/", "ddns_token")
        response = transport.request("POST", "/api/x", query={"a": "b c"}, body=b"{}", headers={"If-Match": '"1"'})
    assert (response.status, response.headers["x-thing"], response.body) == (200, "1", b"{}")
    assert seen[0].startswith(b"POST /base/api/x?a=b+c HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer ddns_token\r\n" in seen[0]
    assert b'\r\nIf-Match: "1"\r\n' in seen[0]
    assert b"\r\nUser-Agent: ddnsctl/" in seen[0]


def test_a_redirect_is_an_answer() -> None:
    with serving(b"HTTP/1.1 302 Found\r\nLocation: http://example.org/\r\nContent-Length: 0\r\n\r\n") as (url, _):
        response = RequestsTransport(url, "t").request("GET", "/")
    assert (response.status, response.headers["location"]) == (302, "http://example.org/")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", None])
def test_an_answer_that_does_not_come_is_lost_and_nothing_is_repeated(answer: bytes | None) -> None:
    with serving(answer) as (url, seen), pytest.raises(LostAnswer, match=url):
        RequestsTransport(url, "t", timeout=0.5).request("GET", "/")
    assert len(seen) == 1


def unused() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("url", [unused, lambda: "http://nothing.invalid", lambda: "https://nothing.invalid"])
def test_what_was_not_sent_was_not_carried_out(url: Callable[[], str]) -> None:
    with pytest.raises(
        Unreachable, match=r"does not answer: (connection refused|its name has no address in DNS)\. Check --server"
    ):
        RequestsTransport(url(), "t", timeout=5).request("GET", "/")


def test_a_server_without_tls() -> None:
    with (
        serving(b"HTTP/1.1 400 Bad Request\r\n\r\n") as (url, _),
        pytest.raises(Unreachable, match=r"speaks plain HTTP on this port\. Use http://"),
    ):
        RequestsTransport(url.replace("http:", "https:"), "t", timeout=5).request("GET", "/")


def test_authorities_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SyncError, match=r"^--ca: .*no\.pem does not exist$"):
        RequestsTransport("https://127.0.0.1:1", "t", ca=str(tmp_path / "no.pem"))


@pytest.mark.parametrize("url", ["ftp://x", "ddns.example.org", "https://", "https://user:pw@x", "https://x/?a=b"])
def test_what_is_no_server_s_url(url: str) -> None:
    with pytest.raises(SyncError) as raised:
        RequestsTransport(url, "t")
    assert "pw" not in str(raised.value)
