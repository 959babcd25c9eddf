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
from bench.address import fresh
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
def stale_answers(service: Service, name: str, secret: str, stale: Figure, asked: Figure) -> Iterator[None]:
    """Move a host again and again from another process, and ask BIND after each `good`.

    Adds the number of answers without the new address, and that of all answers.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    watcher = context.Process(target=_move, args=(service, name, httpwire.basic(name, secret), theirs))
    watcher.start()
    theirs.close()
    ours.recv()
    try:
        yield
    finally:
        ours.send(None)
        number, late = ours.recv()
        asked.add(number)
        stale.add(late)
        watcher.join(10)


def _move(service: Service, name: str, authorization: str, end: Connection) -> None:
    number = late = 0
    with closing(socket.create_connection(("127.0.0.1", service.http_port))) as connection:
        end.send(None)
        while not end.poll():
            address = fresh()
            connection.sendall(httpwire.update(name, authorization, address))
            answer = b""
            while not httpwire.frame(answer):
                answer += connection.recv(65536)
            if httpwire.word(answer) != "200 good":
                raise RuntimeError(f"expected 200 good, got {answer!r}")
            number += 1
            late += service.dig(name) != [address]
    end.send((number, late))


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
