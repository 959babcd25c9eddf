# SPDX-License-Identifier: GPL-3.0-or-later
"""BIND by itself: the rate at which it accepts ready-made UPDATE messages of one record."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench import dnswire
from bench.address import fresh
from bench.load import ClosedLoop, Run

HOSTS = 1024
MAX_RATE = 8000  # messages a second that are made ahead; a run that used them up ends early

WAYS = {"64 × 1": (64, 1), "16 × 4": (16, 4), "8 × 8": (8, 8), "4 × 16": (4, 16)}
"""Connections × messages in flight on each; the best of them counts as BIND's rate."""


@dataclass(frozen=True)
class Bind:
    """A running name server that takes updates of `zone` signed with `key`."""

    port: int
    zone: str
    key: dnswire.Key

    def best(self, seconds: float, zones: Sequence[str] = ()) -> Run:
        """The quickest of all ways; each runs for a third of the time."""
        runs = (self.accepts(way, seconds / 3, zones) for way in WAYS)
        return max(runs, key=lambda run: run.rate)

    def accepts(self, way: str, seconds: float, zones: Sequence[str] = ()) -> Run:
        """Move one host per message to a new address, signed ahead of the clock; every answer is NOERROR.

        The hosts are in `zones` in turn, or in the one zone.
        """
        connections, depth = WAYS[way]
        places = zones or [self.zone]
        messages = [
            dnswire.update(places[n % HOSTS % len(places)], dnswire.moved(f"h{n % HOSTS}", fresh()), self.key, n)
            for n in range(int(MAX_RATE * seconds))
        ]
        supplies = [messages[i::connections] for i in range(connections)]
        loop = ClosedLoop(("127.0.0.1", self.port), supplies, dnswire.frame, dnswire.rcode, depth=depth)
        return loop.run(seconds).only("NOERROR")
