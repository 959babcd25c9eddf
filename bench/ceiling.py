# SPDX-License-Identifier: GPL-3.0-or-later
"""The load generator's own limit: a server that answers every request with the same octets."""

import multiprocessing
import select
import socket
import threading

from bench import httpwire
from bench.figure import Figure, Section
from bench.load import ClosedLoop
from bench.plan import Plan, say
from bench.rig import CONNECTIONS

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 14\r\n\r\ngood 192.0.2.1"
LONGEST = 60.0

TEXT = "The load generator against a server that only answers, in a process of its own: what it could measure at most."


def section(plan: Plan) -> Section:
    """Drive it as the service is driven."""
    figure = Figure("the generator's limit", "/s")
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        server = multiprocessing.get_context("fork").Process(target=_serve, args=(listener,), daemon=True)
        server.start()
        request = httpwire.update("h0.dyn.example.org", httpwire.basic("h0.dyn.example.org", "s" * 24), "192.0.2.1")
        for _ in range(plan.rounds):
            supplies = [[request] * int(1000 * plan.seconds) for _ in range(CONNECTIONS)]
            loop = ClosedLoop(listener.getsockname(), supplies, httpwire.frame, httpwire.word)
            figure.add(loop.run(plan.seconds / 3).only("200 good").rate)
        server.terminate()
        server.join()
    say([figure])
    return Section("The load generator", TEXT, [figure])


def _serve(listener: socket.socket) -> None:
    limit = threading.Timer(LONGEST, lambda: listener.close())
    limit.daemon = True  # the process ends when it is told to
    limit.start()
    poll, clients = select.epoll(), {listener.fileno(): listener}
    poll.register(listener, select.EPOLLIN)
    while True:
        for fd, _ in poll.poll():
            if clients[fd] is listener:
                client, _ = listener.accept()
                clients[client.fileno()] = client
                poll.register(client, select.EPOLLIN)
            elif clients[fd].recv(65536):
                clients[fd].sendall(ANSWER)
            else:
                clients.pop(fd).close()
