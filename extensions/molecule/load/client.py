# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of `/nic/update` that knows several addresses of a service, and takes the next where one is silent."""

import base64
import http.client
import ssl
import time
from collections import Counter

TIMEOUT = 15.0
"""Seconds for an answer; the service answers within 9 s, also when another node has to take the zone over."""

CONNECT_SECONDS = 3.0

CLOSED = (
    http.client.RemoteDisconnected,
    ConnectionResetError,
    BrokenPipeError,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
)
"""How a connection ends that the other side has closed."""

Failures = (OSError, http.client.HTTPException)


class Counts:
    """What became of requests: `good`, `reopened`, `fell_over` and `failed` by kind, the `longest` wait in seconds."""

    def __init__(self) -> None:
        self.good = self.reopened = 0
        self.fell_over: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.longest = 0.0

    def add(self, other: "Counts") -> None:
        """Take in another one's."""
        self.good += other.good
        self.reopened += other.reopened
        self.fell_over.update(dict(other.fell_over))  # copied: its owner goes on counting
        self.failed.update(dict(other.failed))
        self.longest = max(self.longest, other.longest)

    def describe(self) -> dict[str, object]:
        """As a JSON object."""
        return {**vars(self), "longest": round(self.longest, 3)}


class Client:
    """Sends a host's addresses over HTTPS, on a `kept` connection or each on a new one; checks no certificate."""

    def __init__(self, addresses: list[str], name: str, secret: str, *, kept: bool) -> None:
        self.counts = Counts()
        self._addresses, self._kept, self._name = addresses, kept, name
        credentials = base64.b64encode(f"{name}:{secret}".encode()).decode()
        self._headers = {"Authorization": f"Basic {credentials}", "User-Agent": "load/1.0"}
        self._context = ssl.create_default_context()
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._connection: http.client.HTTPSConnection | None = None

    def update(self, address: str, *, fall_over: bool = True) -> bool:
        """Whether the service acknowledged the address, here or, without an answer, at the next address."""
        began = time.monotonic()
        try:
            return self._update(address, fall_over=fall_over)
        finally:
            self.counts.longest = max(self.counts.longest, time.monotonic() - began)

    def _update(self, address: str, *, fall_over: bool) -> bool:
        kind = ""
        for _address in self._addresses if fall_over else self._addresses[:1]:
            if kind:
                self.counts.fell_over[kind] += 1
            try:
                answer = self._ask(f"/nic/update?hostname={self._name}&myip={address}")
            except Failures as error:
                kind = type(error).__name__
                self.close()
                self._addresses = [*self._addresses[1:], self._addresses[0]]
                continue
            # nochg: it was sent before, and done, but the answer did not come
            if answer in (f"200 good {address}", f"200 nochg {address}"):
                self.counts.good += 1
                return True
            kind = answer
            break
        self.counts.failed[kind] += 1
        return False

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection:
            self._connection.close()
        self._connection = None

    def _ask(self, path: str) -> str:
        """Status and body. A kept connection that was closed meanwhile is opened anew, as RFC 9110 (9.2.2) allows."""
        reused = self._connection is not None
        try:
            return self._exchange(path)
        except CLOSED:
            self.close()
            if not reused:
                raise
            self.counts.reopened += 1
            return self._exchange(path)

    def _exchange(self, path: str) -> str:
        connection = self._connection = self._connection or self._connect()
        connection.request("GET", path, headers=self._headers)
        response = connection.getresponse()
        answer = f"{response.status} {response.read().decode(errors='replace')}"
        if not self._kept or response.will_close:
            self.close()
        return answer

    def _connect(self) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(self._addresses[0], context=self._context, timeout=CONNECT_SECONDS)
        connection.connect()
        connection.sock.settimeout(TIMEOUT)
        return connection
