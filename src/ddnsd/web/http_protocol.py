# SPDX-License-Identifier: GPL-3.0-or-later
"""uvicorn's HTTP protocol with limits, one `send` for a reply, no upgrades, and connections that end gently.

uvicorn writes head and body apart; for replies of a few octets the second system call is a sixth of the whole request.
It closes a connection at once when it stops, although a request may be on its way. It loses the body of a request that
asks for another protocol (`Upgrade: h2c`, which curl --http2 sends), and it limits neither heads nor time:

head      16 KiB, 128 headers, 1000 parameters in the query        else 431, 414
time      10 s for the head; for the body 10 s without progress, 10 s in all, or 120 s once the caller has signed in
          else 408; a connection on which nothing came is closed, and so is one that is idle for 5 s
chunks    2000 in 16 KiB, and 16 KiB of what is no body: trailers, which are ignored        else 400, 431
framing   one Host, one Content-Length, no Transfer-Encoding beside it or in HTTP/1.0        else 400
answers   60 s in which the client takes nothing of what we have to send        else the connection is cut
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
"""Requests of one connection that wait for the answer to an earlier one; nobody sends so many but to do harm."""

CHUNKS = 2000
"""Chunks of a body in `HEAD_OCTETS`: each costs as much as a kibibyte."""

HEAD_SECONDS = 10.0
IDLE_SECONDS = 5.0
PROGRESS_SECONDS = 10.0
STRANGER_SECONDS = 10.0
BODY_SECONDS = 120.0
TAKE_SECONDS = 60.0

LINGER_SECONDS = 2.0
LINGER_OCTETS = 1024 * 1024
"""After a refusal we read on for so long, or so much: a reset would take the answer from the client."""

REQUESTS = Counter("ddnsd_refused_requests_total", "Requests that were refused unseen, by status", ["status"])
CONNECTIONS = Counter("ddnsd_refused_connections_total", "Connections beyond CONNECTIONS_PER_ADDRESS")

BAD_REQUEST = 400, "Invalid HTTP request received."


class _Gathering:
    """A transport that passes on, at the end of the loop's turn, what was written during it."""

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
    """What the connections of a server share; `stopping` once it accepts no more of them."""

    stopping = False
    now = 0.0
    """The event loop's time, a tick of the server ago at most."""

    connections: "set[OneSendProtocol]"  # type: ignore[assignment]

    def __init__(self, sources: Sources | None = None) -> None:
        super().__init__()
        self.sources = sources or Sources()

    def tick(self, now: float) -> None:
        """Note the time."""
        self.now = now

    def expire(self) -> None:
        """End the connections whose clients have used up their time."""
        for connection in list(self.connections):
            connection.expire(self.now)


class _Refused(Exception):
    """Ends the parsing of a request: status and text of the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        self.status, self.text = status, text

    @classmethod
    def of(cls, error: httptools.HttpParserError) -> Self:
        """Why the parser stopped."""
        context = error.__context__
        return context if isinstance(context, cls) else cls(*BAD_REQUEST)


class OneSendProtocol(HttpToolsProtocol):
    """One connection. Its peer in ASGI's `client` is `UNIX` where it came over a Unix socket."""

    server_state: State
    _counted = False  # among the connections of its source
    _reading = False  # a request has begun and its head is not whole
    _receiving = False  # the head of a request is whole and its body is not
    _upgrade = False  # the request asks for another protocol
    _head = 0  # octets that came of a head which is not whole, as far as they are known
    _in_pieces = False  # the head did not come at once
    _has_host = _is_chunked = False
    _since = 0.0  # when head, body or idleness began
    _moved = 0.0  # when the last octets came
    _checked = 0.0  # when we last looked
    _ending: float | None = None  # nothing is read any more, and then the connection is closed
    _discarded = 0
    _chunks = _framing = 0  # chunks, and octets since the last chunk, of the body that is coming
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
        """The client sends no more; it gets the answer to what it has sent. True: we close the connection ourselves."""
        if not self._is_busy() or (self._ending is None and (self._reading or self._receiving)):
            self.transport.close()  # after what was written in this turn of the loop
        else:
            self.cycle.keep_alive = False
        return True

    # ---- what comes

    def data_received(self, data: bytes) -> None:
        if len(data) <= HEAD_OCTETS:
            self._feed(data)
            return
        for start in range(0, len(data), HEAD_OCTETS):
            self._feed(data[start : start + HEAD_OCTETS])

    def _feed(self, data: bytes) -> None:
        """Parse a piece that is no longer than a head may be."""
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
            # what lies before the head in the same piece is not counted as part of it
            self._head += 0 if follows or self.cycle is not cycle else len(data)
            self._in_pieces = True
            if self._head > HEAD_OCTETS:
                self._refuse(_too_large())

    def _feed_without_upgrade(self, rest: bytes) -> None:
        """Parse the request once more as if it had not asked: it is a plain request with a body."""
        assert self.parser is not None
        line = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        headers = [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        self._upgrade = False
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join((line, *headers, b"", b"")) + rest)

    def on_message_begin(self) -> None:
        self._reading, self._in_pieces, self._has_host, self._is_chunked = True, False, False, False
        self._head = 0
        if self.cycle is not None:  # the first request has the time since the connection began
            self._since = self.server_state.now
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._reading:
            return  # a trailer, which must not become a header of a request that is being answered
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
        """Raises _Refused."""
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
        """Refuse a body that is mostly no body, after a piece of so many octets."""
        self._framing += octets
        if self._chunks > CHUNKS:
            self._refuse(_Refused(400, "The chunks of the body are too small."))
        elif self._framing > 2 * HEAD_OCTETS:  # the last piece that had a part of the body counts as a whole
            self._refuse(_too_large())
        self._chunks = 0

    def on_message_complete(self) -> None:
        if self._upgrade:
            return
        self._receiving = False
        if self.cycle.response_complete:
            self._since = self._moved  # an early answer: only now the connection is idle
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, without a timer for each answer: `expire` looks after idle connections."""
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
        """Answer what is no request, or came too slowly, and end the connection. Earlier answers are not mixed up."""
        REQUESTS.labels(refused.status).inc()
        if self._receiving:
            if self.pipeline or self.cycle.response_started:
                self.transport.close()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif self._is_busy():
            self.cycle.keep_alive = False
            self._ending = float("inf")  # the last answer that is due ends it
            return
        self.transport.write(_answer(refused))
        self.transport.write_eof()
        self._ending = self.server_state.now + LINGER_SECONDS

    def _discard(self, data: bytes) -> None:
        self._discarded += len(data)
        if self._discarded > LINGER_OCTETS:
            self.transport.close()

    def _is_busy(self) -> bool:
        """Whether an answer is due."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.disconnected

    def expire(self, now: float) -> None:
        """End the connection if the client has used up its time."""
        if self.flow.read_paused:  # it is we who do not read
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
        """Whether the client takes what we send."""
        unsent = self.transport.get_write_buffer_size()
        if unsent == 0 or unsent != self._unsent:
            self._unsent, self._sent = unsent, now
        return now - self._sent <= TAKE_SECONDS

    # ---- stopping

    def shutdown(self) -> None:
        """Have the answer to the request under way end the connection, unless its head has left already."""
        if self.cycle is not None and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def close_if_idle(self, *, kept: bool, silent: bool) -> None:
        """Close a connection without a request under way and without anything unread.

        With `kept` those that have answered one, with `silent` also those whose first one, or next one, is not whole.
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
        b"connection: close",
        b"",
        body,
    )
    return b"\r\n".join(lines)
