# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured beside other work: the slowest answer to somebody else, and the highest memory."""

import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection

from support.servers.service import Service

from bench import httpwire
from bench.figure import Figure
from bench.many import memory

PAUSE_SECONDS = 0.003
LOOK_SECONDS = 0.02
MILLISECONDS = 1000


@contextmanager
def slowest_answer(service: Service, figure: Figure) -> Iterator[None]:
    """Add the slowest answer of `/healthz` in the meantime, measured by another process."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    watcher = context.Process(target=_watch, args=(service.http_port, theirs))
    watcher.start()
    theirs.close()  # so that a read fails if the other process ends
    ours.recv()
    try:
        yield
    finally:
        ours.send(None)
        figure.add(ours.recv() * MILLISECONDS)
        watcher.join(10)


def _watch(port: int, end: Connection) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    slowest = 0.0
    with closing(socket.create_connection(("127.0.0.1", port))) as connection:
        end.send(None)
        while not end.poll():
            begin = time.perf_counter()
            connection.sendall(request)
            answer = b""
            while not httpwire.frame(answer):
                answer += connection.recv(65536)
            slowest = max(slowest, time.perf_counter() - begin)
            time.sleep(PAUSE_SECONDS)
    end.send(slowest)


@contextmanager
def highest_memory(service: Service, figure: Figure) -> Iterator[None]:
    """Add the highest resident memory of the service in the meantime, in MiB."""
    highest = 0.0
    ended = threading.Event()

    def look() -> None:
        nonlocal highest
        while not ended.wait(LOOK_SECONDS):
            highest = max(highest, memory(service, "VmRSS"))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        figure.add(highest)
