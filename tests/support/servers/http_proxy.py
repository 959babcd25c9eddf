# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP proxy before a service, which counts requests and can lose answers."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.servers.service import Service


class HttpProxy:
    """Forwards requests to the service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.url = ""
        self.paths: list[str] = []
        """The paths that were asked for, in order."""
        self.loses: Callable[[str], bool] = lambda _line: False
        """Whether the answer to a request is lost, by `METHOD PATH?QUERY`. The service carries it out."""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Forward one request."""
        self.paths.append(handler.path.partition("?")[0])
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {key: handler.headers[key] for key in handler.headers if key.lower() not in ("host", "connection")}
        answer = self.service.request(handler.command, handler.path, headers=headers, data=body or None)
        if self.loses(f"{handler.command} {handler.path}"):
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        handler.send_response(answer.status_code)
        handler.send_header("Content-Type", answer.headers.get("Content-Type", ""))
        handler.send_header("Content-Length", str(len(answer.content)))
        handler.end_headers()
        handler.wfile.write(answer.content)


@contextmanager
def http_proxy(service: Service) -> Iterator[HttpProxy]:
    """A proxy that runs in the block."""
    proxy = HttpProxy(service)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            proxy.answer(self)

        do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        proxy.url = f"http://127.0.0.1:{server.server_port}"
        yield proxy
        server.shutdown()
        thread.join()
