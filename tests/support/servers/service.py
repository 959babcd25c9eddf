# SPDX-License-Identifier: GPL-3.0-or-later
"""A running `ddnsd dev`: the service with a BIND of its own, and what a test asks of it."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update
import requests

from ddnsd.dns.tsig import TsigKey
from support import programs
from support.ports import free_port, wait_until

DOMAIN = "dyn.example.org"
FILE = "ddnsd.db"
KEPT_SECONDS = 3
"""So long a connection is surely kept: the service closes one that has been idle for five seconds."""


@dataclass
class Service:
    """One service: its addresses, its folder, its process."""

    dir: Path
    http_port: int
    dns_port: int
    command: tuple[str, ...] = ("dev",)
    settings: dict[str, str] = field(default_factory=dict)
    domain: str = DOMAIN
    process: subprocess.Popen[bytes] | None = None
    _http: requests.Session | None = field(default=None, init=False, repr=False, compare=False)
    _asked: float = field(default=0, init=False, repr=False, compare=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def log(self) -> Path:
        """Everything that the service printed, on both streams."""
        return self.dir / "service.log"

    @property
    def env(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("DDNSD_")}
        return inherited | {
            "DDNSD_DIR": str(self.dir),
            "DDNSD_HTTP": f"127.0.0.1:{self.http_port}",
            "DDNSD_DNS": f"127.0.0.1:{self.dns_port}",
            "DDNSD_DOMAIN": self.domain,
            "DDNSD_RESOLVER": f"127.0.0.1:{self.dns_port}",  # no question leaves the machine
            **self.settings,
        }

    @property
    def admin_token(self) -> str:
        return (self.dir / "admin.token").read_text().strip()

    def start(self) -> None:
        """Start and wait for the line `ready: URL`."""
        self.dir.mkdir(parents=True, exist_ok=True)
        if "DDNSD_DATABASE_URL" not in self.settings and not (self.dir / FILE).exists():
            migrated_file(self.dir)
        begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = programs.start(["ddnsd", *self.command], self.env, log)

        def ready() -> bool:
            assert self.process is not None
            text = self.log.read_bytes()[begin:].decode(errors="replace")
            assert self.process.poll() is None, text
            return any(line.startswith("ready: ") for line in text.splitlines())

        wait_until(ready, 60, "ready line")

    def kill(self) -> None:
        """`kill -9`, as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Ctrl-C, and wait."""
        if self._http is not None:
            self._http.close()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise

    def cli(self, *args: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run another `ddnsd` command with the same settings."""
        run = programs.run if args[0] in ("dev", "serve") else programs.invoke
        done = run(["ddnsd", *args], self.env, stdin)
        if check:
            done.check_returncode()
        return done

    def user(self, name: str) -> str:
        """Create the user and answer a token of theirs."""
        self.cli("user", "add", name)
        return self.cli("token", "add", name, "--name", "test").stdout.strip()

    def get(self, path: str, token: str | None = None, **kwargs: Any) -> requests.Response:
        """GET with an optional Bearer token."""
        return self.request("GET", path, token, **kwargs)

    def request(self, method: str, path: str, token: str | None = None, **kwargs: Any) -> requests.Response:
        headers = dict(kwargs.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        url, http = self.url + path, self._kept_connections()
        return http.request(method, url, headers=headers, timeout=60, allow_redirects=False, **kwargs)

    def _kept_connections(self) -> requests.Session:
        """Keeps connections and nothing else: no cookies, and nothing from the environment."""
        idle, self._asked = time.monotonic() - self._asked, time.monotonic()
        if self._http is None or idle > KEPT_SECONDS:
            self._http = requests.Session()
            self._http.trust_env = False
            self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        return self._http

    def register(self, name: str, token: str | None = None, **params: str) -> str:
        """Register `name` (a label, or a full name) and answer its secret."""
        fqdn = name if "." in name else f"{name}.{self.domain}"
        answer = self.get("/nic/register", token or self.admin_token, params={"fqdn": fqdn, **params})
        assert answer.status_code == 200, answer.text
        secret: str = answer.json()["host"]["update_secret"]
        return secret

    def dig(self, name: str, rtype: str = "A") -> list[str]:
        """The records of that type that BIND answers, as sorted texts; [] when there are none."""
        query = dns.message.make_query(name, rtype)
        answer, _ = dns.query.udp_with_fallback(query, "127.0.0.1", port=self.dns_port, timeout=3)
        return sorted(rdata.to_text() for rrset in answer.answer for rdata in rrset)

    def addresses(self) -> dict[str, list[str]]:
        """The IPv4 addresses of all names in the zone, as a secondary gets them."""
        found: dict[str, list[str]] = {}
        key = self.key.dnspython
        for message in dns.query.xfr(
            "127.0.0.1", self.domain, port=self.dns_port, keyring={key.name: key}, lifetime=10, relativize=False
        ):
            for rrset in message.answer:
                if rrset.rdtype == dns.rdatatype.A:
                    found.setdefault(rrset.name.to_text(omit_final_dot=True), []).extend(map(str, rrset))
        return found

    def add_record(self, name: str, rtype: str, text: str) -> None:
        """Somebody else writes a record into the zone."""
        message = self._foreign_update()
        message.add(name, 60, rtype, text)
        self._send(message)

    def remove_records(self, name: str, rtype: str) -> None:
        """Somebody else removes records from the zone."""
        message = self._foreign_update()
        message.delete(name, rtype)
        self._send(message)

    def _foreign_update(self) -> dns.update.UpdateMessage:
        return dns.update.UpdateMessage(self.domain, keyring=self.key.dnspython)

    @property
    def key(self) -> TsigKey:
        """The zone's key."""
        return TsigKey.from_text((self.dir / "bind" / "keys" / f"{self.domain}.key").read_text())

    def _send(self, message: dns.update.UpdateMessage) -> None:
        answer = dns.query.tcp(message, "127.0.0.1", port=self.dns_port, timeout=5)
        assert answer.rcode() == dns.rcode.NOERROR

    def named_pid(self) -> int:
        """The process id of the BIND that this service started."""
        return int((self.dir / "bind" / "named.pid").read_text())


@cache
def _migrated() -> "tempfile.TemporaryDirectory[str]":
    """Holds a database with the newest schema and nothing in it: making one takes as long as all else of a start."""
    folder = tempfile.TemporaryDirectory(prefix="migrated-")
    Service(Path(folder.name), 1, 1).cli("db", "upgrade")
    return folder


def migrated_file(directory: Path) -> Path:
    """A SQLite file there with the newest schema and nothing in it."""
    return Path(shutil.copy(Path(_migrated().name, FILE), directory))


class NamedService(Service):
    """A service whose URL has a name: browsers offer passkeys there, and not on an IP address."""

    @property
    def url(self) -> str:
        return f"http://localhost:{self.http_port}"

    @property
    def env(self) -> dict[str, str]:
        return {"DDNSD_PUBLIC_URL": self.url, **super().env}


@contextmanager
def dev(directory: Path, dns_port: int | None = None, /, **settings: str) -> Iterator[Service]:
    """`ddnsd dev` on free ports in `directory`; keyword settings become `DDNSD_…` variables."""
    with _running(Service(directory, free_port(), dns_port or free_port(), settings=_variables(settings))) as service:
        yield service


@contextmanager
def named_dev(directory: Path, **settings: str) -> Iterator[Service]:
    """Likewise, at a URL with a name."""
    with _running(NamedService(directory, free_port(), free_port(), settings=_variables(settings))) as service:
        yield service


def _variables(settings: Mapping[str, str]) -> dict[str, str]:
    return {f"DDNSD_{name.upper()}": value for name, value in settings.items()}


@contextmanager
def _running(service: Service) -> Iterator[Service]:
    try:
        service.start()
        yield service
    finally:
        service.stop()


@contextmanager
def beside(
    first: Service, directory: Path, url: str, environment: Mapping[str, str] | None = None, **settings: str
) -> Iterator[Service]:
    """One more process, `ddnsd serve`, on the database of the first, with the first one's BIND."""
    given = _variables({"database_url": url, **settings})
    process = Service(directory, free_port(), first.dns_port, ("serve",), {**given, **(environment or {})})
    with _running(process) as service:
        yield service
