# SPDX-License-Identifier: GPL-3.0-or-later
"""Updates of many hosts at once, while something breaks; and the check that no change that got `good` is lost."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

import requests

from ddnsd.db import queries
from support.ports import listens, wait_until
from support.servers.faults import in_store
from support.servers.service import Service

PAUSE_SECONDS = 0.03
ANSWER_SECONDS = 40.0
"""Clients wait so long; a stopped process answers after it continues."""


class Answer(NamedTuple):
    """An answered update: the host, its word, and when it was sent and answered."""

    fqdn: str
    word: str
    sent: float
    answered: float


@dataclass
class Load:
    """One thread per host updates it again and again, each time with a new address.

    Each host keeps to one of the `nodes`, in turn. Hosts in `still` send the same address each time.
    """

    nodes: Sequence[Service]
    secrets: Mapping[str, str]
    still: Collection[str] = ()
    answers: list[Answer] = field(default_factory=list)
    _last: dict[str, int] = field(default_factory=dict)
    """The last number that was sent, by host."""
    _good: dict[str, int] = field(default_factory=dict)
    """The last number that was answered by `good` or `nochg`, by host."""
    _stop: threading.Event = field(default_factory=threading.Event)

    def node_of(self, fqdn: str) -> Service:
        """The node that takes the host's updates."""
        return self.nodes[list(self.secrets).index(fqdn) % len(self.nodes)]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Updates are sent within the block, and all are answered at its end."""
        self._stop.clear()
        with ThreadPoolExecutor(len(self.secrets)) as pool:
            hosts = [pool.submit(self._update_again_and_again, fqdn) for fqdn in self.secrets]
            try:
                wait_until(lambda: self.good_since(0) >= set(self.secrets), what="every host was updated once")
                yield
            except AssertionError as error:
                for node in self.nodes:
                    error.add_note(f"{node.url} listens: {listens(node.http_port)}\n{node.log.read_text()[-2000:]}")
                raise
            finally:
                self._stop.set()
            for host in hosts:
                host.result()  # raises the error of its thread

    def good_since(self, moment: float) -> set[str]:
        """The hosts with an update that was sent after that moment and got `good` or `nochg`."""
        return {a.fqdn for a in list(self.answers) if a.sent > moment and a.word in ("good", "nochg")}

    def words(self, since: float = 0, hosts: Collection[str] | None = None) -> Counter[str]:
        """How often each word was answered to updates that were sent after that moment."""
        return Counter(a.word for a in list(self.answers) if a.sent > since and (hosts is None or a.fqdn in hosts))

    def all_good_again(self, seconds: float = 20) -> None:
        """Wait until each host got `good` for an update that is sent from now on."""
        now = time.monotonic()
        everyone = set(self.secrets)
        wait_until(lambda: self.good_since(now) >= everyone, seconds, "every host is updated again")

    def good_or_late(self, seconds: float = 20) -> None:
        """Wait until each host got some answer to an update that is sent from now on."""
        now = time.monotonic()
        wait_until(lambda: {a.fqdn for a in list(self.answers) if a.sent > now} >= {*self.secrets}, seconds, "answers")

    def nothing_is_lost(self, seconds: float = 20) -> None:
        """Check that all is sent, that DNS has each host's last `good`, or an update after it, and no difference.

        An update that got no `good` may be in DNS all the same: it was stored.
        """
        assert set(self.words()) <= {"good", "nochg", "911"}, self.words()
        one = self.nodes[0]
        wait_until(lambda: in_store(one, queries.pending_count) == 0, seconds, "no host is pending")
        wait_until(lambda: self.lost(one.dig) == {}, seconds, "DNS has what was answered good")
        compared = one.cli("reconcile", "--check", check=False)
        assert compared.returncode == 0, compared.stdout + compared.stderr

    def lost(self, dig: Callable[[str], list[str]]) -> dict[str, list[str]]:
        """Hosts that have something else in DNS than the last good address or a later one; `dig` asks a name server."""
        found = {fqdn: dig(fqdn) for fqdn in self.secrets}
        return {
            fqdn: values
            for fqdn, values in found.items()
            if values not in [[address(n)] for n in range(self._good[fqdn], self._last[fqdn] + 1)]
        }

    def _update_again_and_again(self, fqdn: str) -> None:
        session = requests.Session()
        session.trust_env = False
        while not self._stop.wait(PAUSE_SECONDS):
            number = self._last.get(fqdn, 0) + (fqdn not in self.still or fqdn not in self._last)
            self._last[fqdn] = number
            sent = time.monotonic()
            try:
                answer = session.get(
                    f"{self.node_of(fqdn).url}/nic/update",
                    auth=(fqdn, self.secrets[fqdn]),
                    params={"myip": address(number)},
                    timeout=ANSWER_SECONDS,
                )
            except requests.ConnectionError:
                continue  # a kept connection that the node has closed
            word = answer.text.split()[0]
            if word in ("good", "nochg"):
                self._good[fqdn] = number
            self.answers.append(Answer(fqdn, word, sent, time.monotonic()))


def address(number: int) -> str:
    """Another address for each number."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
