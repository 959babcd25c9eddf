# SPDX-License-Identifier: GPL-3.0-or-later
"""A lean closed-loop load generator: ready-made requests over TCP, answers cut off by a framing function.

The generator shares the processors with what it measures, so it builds nothing while the clock runs.
"""

import gc
import itertools
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

Frame = Callable[[bytes], int]
"""Length of the first whole answer in the bytes read so far; 0 while it is incomplete."""
Word = Callable[[bytes], str]
"""What one answer says: a word such as `200 good`, or an rcode."""

MAX_SILENCE = 30.0  # seconds without any answer after which a run is given up


@dataclass
class Run:
    """What one run measured; times in seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    words: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def quantile(self, q: float) -> float:
        """The latency below which the share `q` of the answers came."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else 0.0

    def only(self, *words: str) -> "Run":
        """This run; RuntimeError when it has no answer, or another one than `words`."""
        if not self.latencies or set(self.words) - set(words):
            raise RuntimeError(f"expected only {' or '.join(words)}, got {dict(self.words)}")
        return self


class _Connection:
    """One connection with its own supply of requests."""

    def __init__(self, address: tuple[str, int], requests: Iterator[bytes]) -> None:
        self.address, self.requests = address, requests
        self.sent: deque[float] = deque()
        self.connect()

    def connect(self) -> None:
        self.buffer = b""
        self.socket = socket.create_connection(self.address, timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes) -> None:
        self.sent.append(time.perf_counter())
        self.socket.sendall(request)


class ClosedLoop:
    """Keeps `depth` requests in flight on one connection per supply.

    Connections are spread over `address` and `others`. With `keep` false every request gets a connection of its own,
    for servers that close after an answer.
    """

    def __init__(
        self,
        address: tuple[str, int],
        supplies: Sequence[Iterable[bytes]],
        frame: Frame,
        word: Word,
        *,
        depth: int = 1,
        keep: bool = True,
        others: Sequence[tuple[str, int]] = (),
    ) -> None:
        self._frame, self._word, self._depth, self._keep = frame, word, depth, keep
        self._poll = select.epoll()
        self._open: dict[int, _Connection] = {}
        for supply, place in zip(supplies, itertools.cycle((address, *others)), strict=False):
            self._register(_Connection(place, iter(supply)))
        self._in_flight = 0
        self._run = Run()

    def run(self, seconds: float) -> Run:
        """Send until `seconds` have passed or the supplies are empty, and wait for what is in flight. Call it once."""
        gc.collect()
        gc.disable()
        begin = time.perf_counter()
        self._end = begin + seconds
        try:
            for connection in self._open.values():
                for _ in range(self._depth):
                    self._send_next(connection)
            self._receive()
        finally:
            gc.enable()
            self.close()
        self._run.seconds = time.perf_counter() - begin
        return self._run

    def close(self) -> None:
        """Close every connection; `run` does it at its end."""
        self._poll.close()
        for connection in self._open.values():
            connection.socket.close()

    def _receive(self) -> None:
        while self._in_flight:
            ready = self._poll.poll(MAX_SILENCE)
            if not ready:
                raise RuntimeError(f"no answer for {MAX_SILENCE} s, {self._in_flight} requests in flight")
            for fd, _ in ready:
                self._read(self._open[fd])

    def _read(self, connection: _Connection) -> None:
        data = connection.socket.recv(1 << 18)
        if not data:
            raise RuntimeError(f"the server closed a connection; answers so far: {dict(self._run.words)}")
        buffer = connection.buffer + data
        while length := self._frame(buffer):
            now = time.perf_counter()
            self._in_flight -= 1
            self._run.latencies.append(now - connection.sent.popleft())
            self._run.words[self._word(buffer)] += 1
            buffer = buffer[length:]
            if not self._keep:
                self._hang_up(connection)
            if now < self._end:
                self._send_next(connection)
        connection.buffer = buffer

    def _send_next(self, connection: _Connection) -> None:
        request = next(connection.requests, None)
        if request is not None:
            if connection.socket.fileno() < 0:
                connection.connect()
                self._register(connection)
            connection.send(request)
            self._in_flight += 1

    def _register(self, connection: _Connection) -> None:
        self._open[connection.socket.fileno()] = connection
        self._poll.register(connection.socket, select.EPOLLIN)

    def _hang_up(self, connection: _Connection) -> None:
        """At once: some servers wait for it before they serve the next one."""
        del self._open[connection.socket.fileno()]
        connection.socket.close()
