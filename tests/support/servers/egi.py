# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for EGI's Dynamic DNS API, built from its documentation.

GET alone, a Bearer token, one address a registration, nothing edited in place but addresses, JSON in the samples'
shapes, text for updates, and about 0.1 s for each answer. It can be told to behave badly.
"""

import base64
import ipaddress
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

SIXTEEN = (
    "fqdn",
    "name",
    "domain",
    "wildcard",
    "comment",
    "available",
    "client_faults",
    "server_faults",
    "abuse_blocked",
    "abuse",
    "last_update_ipv4",
    "tls_update_ipv4",
    "ipv4",
    "last_update_ipv6",
    "tls_update_ipv6",
    "ipv6",
)


class Fault(Enum):
    """What goes wrong with one request."""

    LOSE_BEFORE = "the connection is closed and nothing was done"
    LOSE_AFTER = "it is done and the connection is closed before the answer"
    ERROR = "500, nothing was done"
    ERROR_AFTER = "it is done and answered with 500"
    UNAUTHORIZED = "401"
    NAME_SERVER = "502 to a registration, `911` to an update"


@dataclass
class Row:
    """A registered host."""

    owner: str
    fqdn: str
    domain: str
    wildcard: bool
    comment: str | None
    secret: str
    ipv4: str | None = None
    ipv6: str | None = None
    updated: dict[str, str | None] = field(default_factory=dict)


@dataclass
class Egi:
    """The service's state, and how it behaves.

    `users` is user by token; `domains` is the sample's object by name. `faults` are used up one by one by the requests
    to their path. Addresses of the names in `unknown` are listed as `error`.
    """

    url: str
    delay: float = 0.1
    users: dict[str, str] = field(default_factory=lambda: {"token-of-alice": "alice", "token-of-bob": "bob"})
    domains: dict[str, dict[str, Any]] = field(default_factory=dict)
    hosts: dict[str, Row] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    requests: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    most_in_flight: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def changes(self) -> int:
        """How many requests have asked for a change."""
        return sum(self.requests[f"/nic/{word}"] for word in ("register", "unregister", "update", "generate_secret"))

    def fail(self, word: str, *faults: Fault) -> None:
        """The next requests to `/nic/WORD` go wrong like this."""
        self.faults.setdefault(f"/nic/{word}", []).extend(faults)

    def add_domain(self, name: str, owner: str = "root", *, public: bool = True) -> None:
        self.domains[name] = {"name": name, "public": public, "available": True, "comment": "", "owner": owner}


class _Answer(Exception):
    """Ends a request: status, JSON content or text, further headers."""

    def __init__(self, status: int, content: dict[str, Any] | str, **headers: str) -> None:
        self.status, self.content, self.headers = status, content, headers


def _error(status: int, message: str, **more: Any) -> _Answer:
    return _Answer(status, {"status": "error", "message": message, **more})


@contextmanager
def egi(delay: float = 0.1) -> Iterator[Egi]:
    """A running stand-in with the public domain `vm.fedcloud.eu`; alice's token is `token-of-alice`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    state = Egi(f"http://127.0.0.1:{server.server_address[1]}", delay)
    state.add_domain("vm.fedcloud.eu")
    server.state = state  # type: ignore[attr-defined]
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def state(self) -> Egi:
        state: Egi = self.server.state  # type: ignore[attr-defined]
        return state

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing is printed."""

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        with self.state.lock:
            self.state.requests[target.path] += 1
            self.state.in_flight += 1
            self.state.most_in_flight = max(self.state.most_in_flight, self.state.in_flight)
            pending = self.state.faults.get(target.path)
            fault = pending.pop(0) if pending else None
        time.sleep(self.state.delay)
        try:
            answer = self._answer(target.path, dict(parse_qsl(target.query, keep_blank_values=True)), fault)
        finally:
            with self.state.lock:  # before it is sent: the caller may be quicker with the next request than we are here
                self.state.in_flight -= 1
        self._send(answer)

    def _refuse(self) -> None:
        self._send(_Answer(405, "", Allow="GET"))

    do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = _refuse  # noqa: N815

    def _answer(self, path: str, query: dict[str, str], fault: Fault | None) -> _Answer | None:
        if fault is Fault.LOSE_BEFORE:
            return None
        if fault is Fault.ERROR:
            return _Answer(500, "<h1>Server Error (500)</h1>")
        if fault is Fault.UNAUTHORIZED:
            return _error(401, "badauth")
        if fault is Fault.NAME_SERVER:
            return _Answer(503, "911") if path == "/nic/update" else _error(502, "The name server does not answer.")
        with self.state.lock:
            try:
                _Call(self.state, query, self.headers.get("Authorization", "")).run(path)
            except _Answer as answer:
                if fault is Fault.ERROR_AFTER:
                    return _Answer(500, "<h1>Server Error (500)</h1>")
                return None if fault is Fault.LOSE_AFTER else answer
        raise AssertionError(path)

    def _send(self, answer: _Answer | None) -> None:
        if answer is None:
            self.close_connection = True
            return
        text = isinstance(answer.content, str)
        body = answer.content.encode() if isinstance(answer.content, str) else json.dumps(answer.content).encode()
        page = text and body.startswith(b"<")
        self.send_response(answer.status)
        self.send_header("Content-Type", "text/html" if page else "text/plain" if text else "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in answer.headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


@dataclass
class _Call:
    """One request of one caller; every method ends in an _Answer."""

    state: Egi
    query: dict[str, str]
    authorization: str

    def run(self, path: str) -> None:
        calls = {
            f"/nic/{call.__name__}": call
            for call in (self.domains, self.hosts, self.register, self.unregister, self.generate_secret, self.update)
        }
        if path not in calls:
            raise _Answer(404, "<h1>Not Found</h1>")
        calls[path]()

    def domains(self) -> None:
        user, domains = self._user(), sorted(self.state.domains.values(), key=lambda d: str(d["name"]))
        private = [d for d in domains if d["owner"] == user]
        public = [d for d in domains if d["public"] and d["owner"] != user]
        raise _Answer(200, {"status": "ok", "private": private, "public": public})

    def hosts(self) -> None:
        user, domain = self._user(), self.query.get("domain")
        if domain and domain not in self.state.domains:
            raise _error(400, "nxdomain")
        rows = [r for r in self.state.hosts.values() if r.owner == user and domain in (None, "", r.domain)]
        rows.sort(key=lambda r: (r.domain, r.fqdn))
        raise _Answer(200, {"status": "ok", "hosts": [self._shown(row) for row in rows]})

    def register(self) -> None:
        user, fqdn = self._user(), self._fqdn()
        domain = fqdn.partition(".")[2]
        known = self.state.domains.get(domain)
        if known is None or not (known["public"] or known["owner"] == user):
            raise _error(400, "nxdomain")
        comment = self.query.get("comment")
        if len(comment or "") > 255:
            raise _error(400, "formerr", errors={"comment": ["Ensure this value has at most 255 characters."]})
        if fqdn in self.state.hosts:
            raise _error(400, "formerr", errors={"__all__": ["Host with this Name and Domain already exists."]})
        address = self._address(self.query.get("ip"))
        wildcard = self.query.get("wildcard", "").lower() in ("true", "1", "yes")
        row = Row(user, fqdn, domain, wildcard, comment, secrets.token_urlsafe(8))
        self._set(row, address)
        self.state.hosts[fqdn] = row
        shown = self._shown(row) | {
            "update_secret": row.secret,
            "IPv4_update_url_basic_auth": f"https://{fqdn}:{row.secret}@nsupdate.fedcloud.eu/nic/update",
            "IPv4_update_url_bearer_auth": f"https://nsupdate.fedcloud.eu/nic/update?hostname={fqdn}&myip=${{myip}}",
        }
        raise _Answer(200, {"status": "ok", "message": "Host registered.", "host": shown})

    def unregister(self) -> None:
        row = self._own(self._fqdn())
        del self.state.hosts[row.fqdn]
        kept = {key: self._shown(row)[key] for key in ("fqdn", "name", "domain", "wildcard", "comment")}
        raise _Answer(200, {"status": "ok", "message": "Host unregistered.", "host": kept})

    def generate_secret(self) -> None:
        row = self._own(self._fqdn())
        row.secret = secrets.token_urlsafe(8)
        raise _Answer(200, {"status": "ok", "secret": row.secret})

    def update(self) -> None:
        row = self._of_update(self.query.get("hostname", "").lower())
        try:
            address = ipaddress.ip_address(self.query.get("myip") or "127.0.0.1")
        except ValueError:
            raise _Answer(200, "dnserr") from None
        same = str(address) == (row.ipv4 if address.version == 4 else row.ipv6)
        self._set(row, str(address))
        raise _Answer(200, f"nochg {address}" if same else f"good {address}")

    def _of_update(self, hostname: str) -> Row:
        scheme, _, value = self.authorization.partition(" ")
        if scheme == "Basic":
            fqdn, _, secret = base64.b64decode(value).decode().partition(":")
            row = self.state.hosts.get(fqdn)
            if row is None or row.secret != secret or hostname not in ("", fqdn):
                raise _Answer(401, "badauth")
            return row
        user, row = self._user(), self.state.hosts.get(hostname)
        if row is None or row.owner != user:
            raise _Answer(200, "nohost")
        return row

    def _user(self) -> str:
        scheme, _, token = self.authorization.partition(" ")
        if scheme != "Bearer" or token not in self.state.users:
            raise _error(401, "badauth")
        return self.state.users[token]

    def _fqdn(self) -> str:
        if "fqdn" in self.query:
            return self.query["fqdn"].lower()
        for name in ("name", "domain"):
            if name not in self.query:
                raise _error(400, f"Missing parameter: {name}")
        return f"{self.query['name']}.{self.query['domain']}".lower()

    def _own(self, fqdn: str) -> Row:
        user, row = self._user(), self.state.hosts.get(fqdn)
        if row is None or row.owner != user:
            raise _error(404, "nohost")
        return row

    def _address(self, text: str | None) -> str:
        try:
            return str(ipaddress.ip_address(text or "127.0.0.1"))
        except ValueError:
            raise _error(400, f"Invalid IP address: {text}") from None

    def _set(self, row: Row, address: str) -> None:
        family = "ipv6" if ":" in address else "ipv4"
        setattr(row, family, address)
        row.updated[family] = datetime.now(UTC).isoformat()

    def _shown(self, row: Row) -> dict[str, Any]:
        error = "error" if row.fqdn in self.state.unknown else None
        values: dict[str, Any] = {
            "fqdn": row.fqdn,
            "name": row.fqdn.partition(".")[0],
            "domain": row.domain,
            "wildcard": row.wildcard,
            "comment": row.comment,
            "available": True,
            "client_faults": 0,
            "server_faults": 0,
            "abuse_blocked": False,
            "abuse": False,
            "last_update_ipv4": row.updated.get("ipv4"),
            "tls_update_ipv4": False,
            "ipv4": error or row.ipv4,
            "last_update_ipv6": row.updated.get("ipv6"),
            "tls_update_ipv6": False,
            "ipv6": error or row.ipv6,
        }
        return {key: values[key] for key in SIXTEEN}
