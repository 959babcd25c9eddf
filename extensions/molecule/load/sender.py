# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that send changes at the same time, each on a connection of its own, until they are told to stop."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from .client import Client, Counts
from .record import Host

PAUSE_SECONDS = 0.05
"""Between two requests of a host, so that the machines have time for what else is done on them."""

PATIENCE_SECONDS = 90.0
"""Without any answer for so long, there is no service any more."""


class Sender:
    """One host. A `careful` one sends nothing more once a request was not acknowledged where it was sent first."""

    def __init__(self, host: Host, client: Client, stop: threading.Event, *, careful: bool) -> None:
        self.host, self.client = host, client
        self.careful, self.stopped = careful, False
        self._stop_it = stop

    def run(self) -> None:
        """Send until told to stop."""
        while not self._stop_it.is_set():
            address = self.host.next_address()
            if self.client.update(address, fall_over=not self.careful):
                self.host.acknowledge(address)
            elif self.careful:
                self.stopped = True
                break
            self._stop_it.wait(PAUSE_SECONDS)
        self.client.close()


class Load:
    """Senders for hosts: even ones on kept connections, odd ones on new ones; half of each `careful` where asked.

    They begin at the addresses in turn.
    """

    def __init__(self, hosts: Sequence[Host], secrets: dict[str, str], addresses: list[str], *, careful: bool) -> None:
        self._stop = threading.Event()
        self._senders, self._threads = [], ThreadPoolExecutor(len(hosts))
        for index, host in enumerate(hosts):
            first = (index // 2) % len(addresses)
            client = Client(addresses[first:] + addresses[:first], host.name, secrets[host.name], kept=index % 2 == 0)
            sender = Sender(host, client, self._stop, careful=careful and index >= len(hosts) // 2)
            self._senders.append(sender)

    def start(self) -> None:
        """Begin."""
        self._heard = (0, time.monotonic())
        self._runs = [self._threads.submit(sender.run) for sender in self._senders]

    def stop(self) -> None:
        """End, once the requests under way are answered."""
        self._stop.set()
        self._threads.shutdown()
        for run in self._runs:
            run.result()

    def counts(self) -> Counts:
        """What became of the requests until now, those of careful hosts apart."""
        total = Counts()
        for sender in self._senders:
            if not sender.careful:
                total.add(sender.client.counts)
        return total

    def stopped(self) -> int:
        """How many careful hosts have met a failure."""
        return sum(sender.stopped for sender in self._senders)

    def alone(self) -> bool:
        """Whether nothing was acknowledged for longer than any outage takes."""
        good, now = self.counts().good, time.monotonic()
        if good != self._heard[0]:
            self._heard = (good, now)
        return now - self._heard[1] > PATIENCE_SECONDS
