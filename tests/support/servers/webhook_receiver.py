# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver of webhooks that verifies each message by the library `standardwebhooks`, as a user's program would."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks.webhooks import Webhook

from support.servers.http_stub import Asked, Said, Web, web


@dataclass
class Receiver:
    """Answers with `status`, and keeps what it accepted: messages whose signature one of `secrets` verifies."""

    web: Web
    secrets: list[str] = field(default_factory=list)
    status: int = 200
    refused: int = 0
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """(webhook-id, content) of each delivery."""

    @property
    def url(self) -> str:
        return f"{self.web.url}/hook"

    def answer(self, asked: Asked) -> Said:
        if self.status != 200:
            self.refused += 1
            return self.status, f"{self.web.url}/elsewhere"
        for secret in self.secrets:
            content = Webhook(secret).verify(asked.body, asked.headers)
            assert asked.headers["content-type"] == "application/json"
        self.messages.append((asked.headers["webhook-id"], content))
        return 200, ""

    def told(self, fqdn: str) -> list[tuple[str, Any]]:
        """(type, address after) of the messages about a host, in the order of their first arrival."""
        first = dict(reversed(self.messages))
        order = list(dict.fromkeys(number for number, _ in self.messages))
        about = (first[number] for number in order if first[number]["data"].get("fqdn") == fqdn)
        return [(one["type"], (one["data"].get("after") or {}).get("ipv4")) for one in about]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a free loopback port."""
    with web() as stand_in:
        made = Receiver(stand_in)
        stand_in.answer = made.answer
        yield made
