# SPDX-License-Identifier: GPL-3.0-or-later
"""The transport against a real server on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.http import Http
from ansible_collections.fedcloud.ddns.plugins.module_utils._sync.errors import LostAnswer, SyncError, Unreachable


class Server(ThreadingHTTPServer):
    """Keeps the requests: method, path, headers, body."""

    requests: list[tuple[str, str, dict[str, str], bytes]]


class Handler(BaseHTTPRequestHandler):
    """Answers by path: a status in digits, `/cut` half an answer, `/drop` none; `/echo` what was asked."""

    server: Server

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        if self.path == "/drop":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status = int(self.path[1:4]) if self.path[1:4].isdigit() else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "100" if self.path == "/cut" else "2")
        self.send_header("X-Two-Words", "yes")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - the names that http.server looks for

    def log_message(self, *_args: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.requests = []
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def http(server: Server) -> Http:
    return Http(f"http://127.0.0.1:{server.server_port}/", "ddns_token", timeout=5)


def test_a_request_carries_the_token_the_query_and_the_body(server: Server, http: Http) -> None:
    answer = http.request("POST", "/a/b", query={"c": "d e"}, body=b"{}", headers={"Idempotency-Key": "k"})
    assert (answer.status, answer.body, answer.headers["x-two-words"]) == (200, b"{}", "yes")
    method, path, headers, body = server.requests.pop()
    assert (method, path, body) == ("POST", "/a/b?c=d+e", b"{}")
    assert headers["authorization"] == "Bearer ddns_token"
    assert headers["idempotency-key"] == "k"
    assert not server.requests


@pytest.mark.parametrize("status", [201, 204, 302, 304, 400, 401, 404, 409, 500, 503])
def test_every_status_is_an_answer_and_no_redirect_is_followed(server: Server, http: Http, status: int) -> None:
    assert http.request("GET", f"/{status}").status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize("path", ["/drop", "/cut"])
def test_an_answer_that_does_not_come_whole_is_lost(server: Server, http: Http, path: str) -> None:
    with pytest.raises(LostAnswer, match=r"did not send its whole answer: the connection was closed"):
        http.request("DELETE", path)
    assert len(server.requests) == 1


def test_silence_is_a_lost_answer() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        http = Http(f"http://127.0.0.1:{listening.getsockname()[1]}", "t", timeout=1)
        with pytest.raises(LostAnswer, match=r"does not answer in time\. Wait longer with `timeout`"):
            http.request("GET", "/")


def test_a_port_where_nobody_listens_is_unreachable() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(
        Unreachable, match=rf"http://127.0.0.1:{port} does not answer: connection refused\. Check `api_url`"
    ):
        Http(f"http://127.0.0.1:{port}", "t").request("POST", "/", body=b"x")


def test_a_server_that_speaks_no_tls_is_unreachable(server: Server) -> None:
    with pytest.raises(Unreachable):
        Http(f"https://127.0.0.1:{server.server_port}", "t", timeout=5).request("GET", "/")


def test_a_password_file_does_not_replace_the_token(
    server: Server, http: Http, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password other\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    netrc.rename(tmp_path / ".netrc")
    http.request("GET", "/")
    assert server.requests[0][2]["authorization"] == "Bearer ddns_token"


@pytest.mark.parametrize(
    "url", ["ddns.example.org", "ftp://ddns.example.org", "https://me:secret@ddns.example.org", ""]
)
def test_a_bad_url_is_refused_by_name(url: str) -> None:
    with pytest.raises(SyncError, match=r"^api_url: ") as error:
        Http(url, "t")
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("token", ["", " ", "two words", "a\r\nX-Other: b", "schlüssel"])
def test_a_bad_token_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(SyncError, match=r"^api_token: ") as error:
        Http("http://127.0.0.1", token)
    assert not token.strip() or token not in str(error.value)


def test_certificates_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(SyncError, match=r"ca_path: .*nothing.pem"):
        Http("https://127.0.0.1", "t", ca_path=str(tmp_path / "nothing.pem")).request("GET", "/")
