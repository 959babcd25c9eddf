# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP interface that external-dns asks of a webhook provider: its own, and one for probes and metrics.

An error of the service is answered with 500, which external-dns tries again. It would end at a status below that.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socket import AF_INET6
from typing import Any, NamedTuple

from ddnsctl.external_dns.provider import Provider
from ddnsctl.sync.errors import SyncError

MEDIA_TYPE = "application/external.dns.webhook+json;version=1"
TEXT = "text/plain; charset=utf-8"
BODY_LIMIT = 64 * 1024 * 1024
IDLE_SECONDS = 120


class Answer(NamedTuple):
    """An answer; an object as `content` is sent as JSON."""

    status: int
    content: Any = ""


class BadRequest(Exception):
    """The body is not what external-dns sends."""


class Metrics:
    """Counters, in Prometheus's text format."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._hosts: Counter[str] = Counter()

    def request(self, method: str, path: str, status: int) -> None:
        """Count an answered request."""
        self._requests[method, path, status] += 1

    def hosts(self, changed: int, failed: int) -> None:
        """Count hosts that were changed, and changes that failed."""
        self._hosts["changed"] += changed
        self._hosts["failed"] += failed

    def text(self) -> str:
        """The counters."""
        lines = [
            "# HELP ddnsctl_external_dns_requests_total Answered requests of external-dns.",
            "# TYPE ddnsctl_external_dns_requests_total counter",
        ]
        for (method, path, status), count in sorted(self._requests.items()):
            labels = f'method="{method}",path="{path}",status="{status}"'
            lines.append(f"ddnsctl_external_dns_requests_total{{{labels}}} {count}")
        lines += [
            "# HELP ddnsctl_external_dns_changes_total Changes of hosts, by result.",
            "# TYPE ddnsctl_external_dns_changes_total counter",
        ]
        lines += [
            f'ddnsctl_external_dns_changes_total{{result="{result}"}} {self._hosts[result]}'
            for result in ("changed", "failed")
        ]
        return "\n".join([*lines, ""])


class Routes:
    """The handlers of both interfaces, by method and path."""

    def __init__(self, provider: Provider, log: Callable[[str], None]) -> None:
        self._provider, self._log = provider, log
        self.metrics = Metrics()
        self.webhook: dict[tuple[str, str], Callable[[bytes], Answer]] = {
            ("GET", "/"): self._negotiate,
            ("GET", "/records"): lambda _: Answer(200, self._provider.records()),
            ("POST", "/records"): self._apply,
            ("POST", "/adjustendpoints"): self._adjust,
            ("GET", "/healthz"): lambda _: Answer(200, "ok"),
        }
        self.probes: dict[tuple[str, str], Callable[[bytes], Answer]] = {
            ("GET", "/healthz"): lambda _: Answer(200, "ok"),
            ("GET", "/metrics"): lambda _: Answer(200, self.metrics.text()),
        }

    def _negotiate(self, _body: bytes) -> Answer:
        """The domain filter. The program reads `include`, its documentation says `filters`."""
        domains = self._provider.domains()
        return Answer(200, {"include": domains, "filters": domains, "exclude": []})

    def _adjust(self, body: bytes) -> Answer:
        return Answer(200, self._provider.adjusted(_endpoints(_json(body))))

    def _apply(self, body: bytes) -> Answer:
        content = _json(body)
        if not isinstance(content, dict):
            raise BadRequest("the body is not a JSON object with changes")
        # earlier versions of external-dns begin the names with a capital
        parts = {name[:1].lower() + name[1:]: _endpoints(part) for name, part in content.items()}
        done = self._provider.apply(parts)
        self.metrics.hosts(done.changed, len(done.wrong))
        for line in done.wrong:
            self._log(line)
        if done.changed:
            self._log(f"changed {done.changed} hosts")
        return Answer(500, "\n".join(done.wrong)) if done.wrong else Answer(204)

    def answer(self, find: Callable[[bytes], Answer], body: bytes) -> Answer:
        """The answer of a handler; errors are logged."""
        try:
            return find(body)
        except BadRequest as error:
            return Answer(400, str(error))
        except (SyncError, OSError) as error:
            self._log(str(error))
            return Answer(500, str(error))


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise BadRequest("the body is not JSON") from None


def _endpoints(content: Any) -> list[dict[str, Any]]:
    """A list of endpoints; null is an empty one. Raises BadRequest."""
    found = [] if content is None else content
    if not isinstance(found, list) or not all(isinstance(one, dict) and one.get("dnsName") for one in found):
        raise BadRequest("the body has no list of endpoints")
    return found


def serve(
    routes: Routes, handlers: dict[tuple[str, str], Callable[[bytes], Answer]], host: str, port: int
) -> ThreadingHTTPServer:
    """A server at this address that answers by these handlers. Raises OSError."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = IDLE_SECONDS

        def do_GET(self) -> None:
            self._handle(b"")

        def do_POST(self) -> None:
            try:
                length = int(self.headers.get("Content-Length", ""))
            except ValueError:
                length = -1
            if not 0 <= length <= BODY_LIMIT:
                self.close_connection = True
                self._send(Answer(411 if length < 0 else 413, "send a body with Content-Length, of at most 64 MiB"))
                return
            self._handle(self.rfile.read(length))

        def _handle(self, body: bytes) -> None:
            path = self.path.partition("?")[0].rstrip("/") or "/"
            found = handlers.get((self.command, path))
            if self.headers.get("Origin") or self.headers.get("Sec-Fetch-Site"):
                answer = Answer(403, "not for pages of browsers")
            else:
                answer = Answer(404, "not found") if found is None else routes.answer(found, body)
            routes.metrics.request(self.command, path if found else "other", answer.status)
            self._send(answer)

        def _send(self, answer: Answer) -> None:
            is_text = isinstance(answer.content, str)
            octets = answer.content.encode() if is_text else json.dumps(answer.content).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", TEXT if is_text else MEDIA_TYPE)
            self.send_header("Vary", "Content-Type")
            if answer.status != 204:
                self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            if answer.status != 204:
                self.wfile.write(octets)

        def log_message(self, *_: Any) -> None:
            """No line for each request."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = AF_INET6 if ip_address(host).version == 6 else ThreadingHTTPServer.address_family

    return Server((host, port), Handler)
