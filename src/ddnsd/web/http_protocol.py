# SPDX-License-Identifier: GPL-3.0-or-later
"""uvicorn's HTTP protocol with limits, one `send` per reply, no upgrades, and a graceful end of connections.

uvicorn writes head and body separately. For small replies the second system call costs a sixth of the whole request.
When uvicorn stops, it closes connections at once, although a request may be under way. It loses the body of a request
with an upgrade (`Upgrade: h2c`, which curl --http2 sends). It limits neither heads nor time. The limits here:

head      16 KiB, 128 headers, 1000 parameters in the query; else 431 or 414
time      10 s for the head; for the body 10 s without progress, and 10 s in all, or 120 s if the caller has signed in;
          else 408. A connection without any data is closed, and so is one that is idle for 5 s.
chunks    2000 chunks in 16 KiB; 16 KiB without body data (such as trailers, which are ignored); else 400 or 431
framing   one Host, one Content-Length, no Transfer-Encoding together with it or in HTTP/1.0; else 400
answers   60 s in which the client reads nothing of an answer; then the connection is aborted
"""

import asyncio
import select
import socket
from typing import Any, Self

import httptools
from prometheus_client import Counter
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from ddnsd.web.asgi import has_signed_in
from ddnsd.web.client_address import UNIX
from ddnsd.web.connection_limits import Sources

HEAD_OCTETS = 16 * 1024
HEADERS = 128
PARAMETERS = 1000
PIPELINED = 16
"""Maximum number of requests that wait on one connection. Only an attacker sends so many."""

CHUNKS = 2000
"""Maximum number of chunks in `HEAD_OCTETS` of a body. A chunk costs as much as a kibibyte."""

HEAD_SECONDS = 10.0
IDLE_SECONDS = 5.0
PROGRESS_SECONDS = 10.0
STRANGER_SECONDS = 10.0
BODY_SECONDS = 120.0
TAKE_SECONDS = 60.0

LINGER_SECONDS = 2.0
LINGER_OCTETS = 1024 * 1024
"""How long, and how much, to read after a refusal. A reset could destroy the answer before the client reads it."""

REQUESTS = Counter("ddnsd_refused_requests_total", "Requests that were refused unseen, by status", ["status"])
CONNECTIONS = Counter("ddnsd_refused_connections_total", "Connections beyond CONNECTIONS_PER_ADDRESS")

BAD_REQUEST = 400, "Invalid HTTP request received."


class _Gathering:
    """A transport that collects writes, and sends them together at the end of the event loop's turn."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def _flush(self) -> None:
        if self._parts:
            data, self._parts = b"".join(self._parts), []
            self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def write_eof(self) -> None:
        self._flush()
        self._transport.write_eof()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class State(ServerState):
    """The shared state of a server's connections; `stopping` is True once the server accepts no new ones."""

    stopping = False
    now = 0.0
    """The event loop's time at the last tick of the server."""

    connections: "set[OneSendProtocol]"  # type: ignore[assignment]

    def __init__(self, sources: Sources | None = None) -> None:
        super().__init__()
        self.sources = sources or Sources()

    def tick(self, now: float) -> None:
        """Store the current time."""
        self.now = now

    def expire(self) -> None:
        """End the connections that have exceeded a time limit."""
        for connection in list(self.connections):
            connection.expire(self.now)


class _Refused(Exception):
    """Stops the parsing of a request; has the status and the text of the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        self.status, self.text = status, text

    @classmethod
    def of(cls, error: httptools.HttpParserError) -> Self:
        """The reason why the parser stopped; 400 for an error of the parser itself."""
        context = error.__context__
        return context if isinstance(context, cls) else cls(*BAD_REQUEST)


class OneSendProtocol(HttpToolsProtocol):
    """One connection. The peer in ASGI's `client` is `UNIX` for a Unix socket."""

    server_state: State
    _counted = False  # counted among the connections of its source
    _reading = False  # a request has begun and its head is not complete
    _receiving = False  # the head of a request is complete and its body is not
    _upgrade = False  # the request asks for another protocol
    _head = 0  # known octets of an incomplete head
    _in_pieces = False  # the head came in several pieces
    _has_host = _is_chunked = False
    _since = 0.0  # when the head, the body or the idle time began
    _moved = 0.0  # when the last octets came
    _checked = 0.0  # when `expire` last ran
    _ending: float | None = None  # when to close the connection; all further input is discarded
    _discarded = 0
    _chunks = _framing = 0  # of the current body: chunks, and octets since the last chunk
    _unsent, _sent = 0, 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(_Gathering(transport, self.loop))  # type: ignore[arg-type]
        self._since = self._checked = self.server_state.now
        if transport.get_extra_info("socket").family == socket.AF_UNIX:
            self.client = UNIX, 0
        elif self.client is not None:
            self._counted = self.server_state.sources.enter(self.client[0])
            if not self._counted:
                CONNECTIONS.inc()
                self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._counted and self.client is not None:
            self.server_state.sources.leave(self.client[0])
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer what the client has sent; it sends no more. Returns True: we close the connection ourselves."""
        if not self._is_busy() or (self._ending is None and (self._reading or self._receiving)):
            self.transport.close()  # after the writes of this turn of the loop
        else:
            self.cycle.keep_alive = False
        return True

    # ---- receiving

    def data_received(self, data: bytes) -> None:
        if len(data) <= HEAD_OCTETS:
            self._feed(data)
            return
        for start in range(0, len(data), HEAD_OCTETS):
            self._feed(data[start : start + HEAD_OCTETS])

    def _feed(self, data: bytes) -> None:
        """Parse a piece of at most `HEAD_OCTETS`."""
        if self._ending is not None or self.parser is None:
            self._discard(data)
            return
        self._moved = self.server_state.now
        cycle, follows = self.cycle, self._receiving
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._feed_without_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            self._refuse(_Refused.of(error))
            return
        if self._receiving:
            self._check_framing(len(data))
        elif self._reading:
            # octets before the head in the same piece do not count
            self._head += 0 if follows or self.cycle is not cycle else len(data)
            self._in_pieces = True
            if self._head > HEAD_OCTETS:
                self._refuse(_too_large())

    def _feed_without_upgrade(self, rest: bytes) -> None:
        """Parse the request again without its upgrade, as a plain request with a body."""
        assert self.parser is not None
        line = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        headers = [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        self._upgrade = False
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join((line, *headers, b"", b"")) + rest)

    def on_message_begin(self) -> None:
        self._reading, self._in_pieces, self._has_host, self._is_chunked = True, False, False, False
        self._head = 0
        if self.cycle is not None:  # the time of the first request runs from the start of the connection
            self._since = self.server_state.now
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._reading:
            return  # a trailer: it must not become a header of the current request
        name = name.lower()
        if name == b"host":
            if self._has_host:
                raise _Refused(*BAD_REQUEST)
            self._has_host = True
        elif name == b"transfer-encoding":
            self._is_chunked = True
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._reading = False
        self._check_head()
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise _Refused(*BAD_REQUEST)
            self._upgrade = True
            return
        super().on_headers_complete()
        self._receiving = True
        self._chunks = self._framing = 0
        self._since = self._moved
        if self.server_state.stopping:
            self.shutdown()

    def _check_head(self) -> None:
        """Check the limits of the head. Raises _Refused."""
        if len(self.headers) > HEADERS or (self._in_pieces and self._head_octets() > HEAD_OCTETS):
            raise _too_large()
        if len(self.url) > PARAMETERS and self.url.count(b"&") >= PARAMETERS:
            raise _Refused(414, f"A query has at most {PARAMETERS} parameters.")
        if self._is_chunked and self.parser.get_http_version() == "1.0":
            raise _Refused(*BAD_REQUEST)
        if len(self.pipeline) >= PIPELINED:
            raise _Refused(400, "Wait for the answers before you send more requests.")

    def _head_octets(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def on_body(self, body: bytes) -> None:
        self._chunks, self._framing = self._chunks + 1, 0
        super().on_body(body)

    def _check_framing(self, octets: int) -> None:
        """Refuse a body that is mostly framing; `octets` is the size of the last piece."""
        self._framing += octets
        if self._chunks > CHUNKS:
            self._refuse(_Refused(400, "The chunks of the body are too small."))
        elif self._framing > 2 * HEAD_OCTETS:  # twice, since a piece with body data counts in full
            self._refuse(_too_large())
        self._chunks = 0

    def on_message_complete(self) -> None:
        if self._upgrade:
            return
        self._receiving = False
        if self.cycle.response_complete:
            self._since = self._moved  # the answer came early: the connection is idle only now
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Do what uvicorn does, but without a timer per answer: `expire` closes idle connections."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            task = self.loop.create_task(cycle.run_asgi(app))
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)
        elif not self._receiving and not self._reading:
            self._since = self.server_state.now

    # ---- refusing

    def _refuse(self, refused: _Refused) -> None:
        """Answer an invalid or slow request, and end the connection. Answers to earlier requests stay intact."""
        REQUESTS.labels(refused.status).inc()
        if self._receiving:
            if self.pipeline or self.cycle.response_started:
                self.transport.close()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif self._is_busy():
            self.cycle.keep_alive = False
            self._ending = float("inf")  # the last pending answer ends it
            return
        self.transport.write(_answer(refused))
        self.transport.write_eof()
        self._ending = self.server_state.now + LINGER_SECONDS

    def _discard(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > LINGER_OCTETS:
            self.transport.close()

    def _is_busy(self) -> bool:
        """Whether an answer is pending."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.disconnected

    def expire(self, now: float) -> None:
        """End the connection if it has exceeded a time limit."""
        if self.flow.read_paused:  # we have paused reading: this time does not count
            self._since += now - self._checked
            self._moved = now
        self._checked = now
        if not self._takes(now):
            self.transport.abort()
        elif self.transport.is_closing():
            return
        elif self._ending is not None:
            if now > self._ending:
                self.transport.close()
        elif self._receiving:
            seconds = BODY_SECONDS if has_signed_in(self.scope) else STRANGER_SECONDS
            if now - self._moved > PROGRESS_SECONDS or now - self._since > seconds:
                self._refuse(_Refused(408, "The body of the request did not come in time."))
        elif self._reading:
            if now - self._since > HEAD_SECONDS:
                self._refuse(_Refused(408, "The head of the request did not come in time."))
        elif not self._is_busy() and now - self._since > (HEAD_SECONDS if self.cycle is None else IDLE_SECONDS):
            self.transport.close()

    def _takes(self, now: float) -> bool:
        """Whether the client still reads what we send."""
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._sent = unsent, now
        return now - self._sent <= TAKE_SECONDS

    # ---- stopping

    def shutdown(self) -> None:
        """End the connection after the current answer, unless the head of that answer was already sent."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def close_if_idle(self, *, kept: bool, silent: bool) -> None:
        """Close the connection if no request is under way and no input is unread.

        `kept`: close it if it waits for another request. `silent`: close it if its first or next request is not
        complete.
        """
        if self._is_busy():
            return
        if self._ending is not None:
            self.transport.close()
            return
        waits = self._reading or self.cycle is None
        if (silent if waits else kept) and not self._unread():
            self.transport.close()

    def _unread(self) -> bool:
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))


def _too_large() -> _Refused:
    return _Refused(431, f"The head of a request has at most {HEAD_OCTETS} octets and {HEADERS} headers.")


def _answer(refused: _Refused) -> bytes:
    body = refused.text.encode()
    lines = (
        STATUS_LINE[refused.status] + b"content-type: text/plain; charset=utf-8",
        b"content-length: %d" % len(body),
        b"cache-control: no-store",
        b"x-content-type-options: nosniff",
        b"connection: close",
        b"",
        body,
    )
    return b"\r\n".join(lines)
