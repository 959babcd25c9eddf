# SPDX-License-Identifier: GPL-3.0-or-later
"""A registered host as its owner and its updater see it, and what every answer of `/nic/update` must look like."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dns.message
import dns.query
import dns.rdatatype
import requests

from support.clients.raw_http import Answer
from support.ports import wait_until
from support.servers.service import Service

GIVEN = "192.0.2.1"


def new_label() -> str:
    """A label that no other test uses."""
    return f"h{uuid.uuid4().hex[:12]}"


@dataclass(frozen=True)
class Host:
    """A registered host; `token` is its owner's."""

    service: Service
    fqdn: str
    secret: str
    token: str

    @property
    def name(self) -> str:
        return self.fqdn.partition(".")[0]

    @property
    def domain(self) -> str:
        return self.fqdn.partition(".")[2]

    @property
    def auth(self) -> tuple[str, str]:
        return self.fqdn, self.secret

    def update(
        self, path: str = "/nic/update", headers: dict[str, str] | None = None, **params: str
    ) -> requests.Response:
        """GET with the host's own name and secret."""
        return self.service.get(path, auth=self.auth, headers=headers or {}, params=params)

    def bearer(self, path: str = "/nic/update", **params: str) -> requests.Response:
        """GET with the owner's token; `hostname` is this host's unless given."""
        return self.service.get(path, self.token, params={"hostname": self.fqdn} | params)

    def delete(self, **params: Any) -> requests.Response:
        """`/nic/delete` with the host's own name and secret."""
        return self.update("/nic/delete", **params)

    def row(self) -> dict[str, Any]:
        """The host as its owner's list shows it."""
        answer = self.service.get("/nic/hosts", self.token, params={"domain": self.domain})
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = [row for row in answer.json()["hosts"] if row["fqdn"] == self.fqdn]
        (row,) = rows
        return row

    def is_listed(self) -> bool:
        return is_listed(self.service, self.token, self.fqdn)

    def addresses(self, below: str = "") -> list[str]:
        """What BIND answers, A before AAAA; with `below` for that label under the host."""
        name = f"{below}.{self.fqdn}" if below else self.fqdn
        return self.service.dig(name) + self.service.dig(name, "AAAA")


def is_listed(service: Service, token: str, fqdn: str) -> bool:
    """Whether the caller's list of hosts has that name."""
    answer = service.get("/nic/hosts", token)
    assert answer.status_code == 200, answer.text
    return fqdn in [row["fqdn"] for row in answer.json()["hosts"]]


def register(service: Service, token: str, domain: str | None = None, **params: str) -> Host:
    """Register a host under a new name, at 192.0.2.1 unless `ip` says otherwise (an empty one: the peer's)."""
    fqdn = f"{new_label()}.{domain or service.domain}"
    return Host(service, fqdn, service.register(fqdn, token, **{"ip": GIVEN} | params), token)


def said(answer: requests.Response | Answer, status: int, body: str) -> None:
    """Assert status and body, and the form that the clients need: plain text, a length, never chunked."""
    assert (answer.status_code, answer.text) == (status, body)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert headers["content-type"].startswith("text/plain")
    assert headers["content-length"] == str(len(answer.content))
    assert "transfer-encoding" not in headers
    assert "location" not in headers


def refused(answer: requests.Response | Answer, status: int, body: str) -> None:
    """`said`, for an error: clients look for `good` and `OK` anywhere in the body."""
    said(answer, status, body)
    assert "good" not in answer.text
    assert "OK" not in answer.text


@contextmanager
def counts(host: Host, client: int = 0, server: int = 0) -> Iterator[None]:
    """The host's fault counters move by exactly this much within the block."""
    before = host.row()
    expected = (before["client_faults"] + client, before["server_faults"] + server)

    def now() -> tuple[int, int]:
        row = host.row()
        return row["client_faults"], row["server_faults"]

    yield
    if client or server:
        wait_until(lambda: now() >= expected, 20, f"faults {expected}")
    time.sleep(0.2)
    assert now() == expected


def ttl(service: Service, name: str, rtype: str = "A") -> int:
    """The TTL of those records at BIND."""
    query = dns.message.make_query(name, rtype)
    (rrset,) = dns.query.udp(query, "127.0.0.1", port=service.dns_port, timeout=3).answer
    return rrset.ttl


def serial(service: Service, zone: str) -> int:
    """The zone's SOA serial: BIND raises it by one for every UPDATE message that changed something."""
    query = dns.message.make_query(zone, "SOA")
    (rrset,) = dns.query.udp(query, "127.0.0.1", port=service.dns_port, timeout=3).answer
    assert rrset.rdtype == dns.rdatatype.SOA
    number: int = rrset[0].serial
    return number


@contextmanager
def one_message(service: Service) -> Iterator[None]:
    """What the block changes in the service's first zone travels in one UPDATE message."""
    before = serial(service, service.domain)
    yield
    assert serial(service, service.domain) == before + 1
