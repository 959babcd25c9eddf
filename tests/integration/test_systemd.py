# SPDX-License-Identifier: GPL-3.0-or-later
"""The service as a unit of systemd: sockets that it is handed, what it tells, and restarts that nobody notices."""

import http.client
import socket
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from support.clients import raw_http
from support.ports import wait_until
from support.servers.faults import hung
from support.servers.service import Service, dev
from support.servers.systemd import Unit, unit

RESTARTS = 5


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("systemd") / "service") as running:
        yield running


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        yield listener


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "ddnsd.sock"))
        listener.listen(512)
        yield listener


def connect(listener: socket.socket) -> socket.socket:
    channel = socket.socket(listener.family)
    channel.settimeout(20)
    channel.connect(listener.getsockname())
    return channel


def get(path: str, **headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode()


def answer(channel: socket.socket) -> http.client.HTTPResponse:
    response = http.client.HTTPResponse(channel)
    response.begin()
    return response


def ask(listener: socket.socket, path: str, **headers: str) -> str:
    with connect(listener) as channel:
        channel.sendall(get(path, **headers))
        return answer(channel).read().decode()


def test_it_serves_the_socket_that_it_is_handed(service: Service, tcp: socket.socket) -> None:
    port = tcp.getsockname()[1]
    with unit(service, tcp) as running:
        assert f"ready: http://127.0.0.1:{port}\n" in running.log
        assert ask(tcp, "/healthz") == "ok"
        running.restart()
        assert ask(tcp, "/healthz") == "ok"
        assert running.stop() == 0
        running.hear("STOPPING=1")
    assert service.get("/healthz").text == "ok"  # its own address was left to the other one


def test_a_unix_socket_stays_where_it_is(service: Service, unix: socket.socket) -> None:
    path = Path(unix.getsockname())
    with unit(service, unix) as running:
        assert ask(unix, "/healthz") == "ok"
        running.restart()
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert ask(unix, "/healthz") == "ok"
        assert f"ready: unix:{path}\n" in running.log


@pytest.mark.parametrize(
    ("trusted", "headers", "address"),
    [
        ("unix", {"X_Forwarded_For": "198.51.100.7"}, "198.51.100.7"),
        ("unix,198.51.100.0/24", {"X_Forwarded_For": "203.0.113.9, 198.51.100.7"}, "203.0.113.9"),
        ("unix", {}, None),
        ("127.0.0.0/8", {"X_Forwarded_For": "198.51.100.7"}, None),
        ("", {"X_Forwarded_For": "198.51.100.7"}, None),
    ],
)
def test_the_address_behind_a_unix_socket(
    service: Service, unix: socket.socket, trusted: str, headers: dict[str, str], address: str | None
) -> None:
    name = f"unix-{len(trusted)}-{len(headers)}"
    fqdn = f"{name}.{service.domain}"
    basic = raw_http.basic(fqdn, service.register(name, ip="192.0.2.200"))
    with unit(service, unix, DDNSD_TRUSTED_PROXIES=trusted):
        words = [ask(unix, "/nic/update", Authorization=basic, User_Agent="test", **headers) for _ in range(2)]
        if address is None:
            wait_until(lambda: "FAIL front unix: " in service.cli("doctor", check=False).stdout, 20, "doctor knows")
    assert words == ([f"good {address}", f"nochg {address}"] if address else ["911", "911"])


def test_what_it_tells(service: Service, tcp: socket.socket) -> None:
    with unit(service, tcp, WATCHDOG_USEC="200000") as running:
        assert running.states == ["READY=1"] or running.states == ["WATCHDOG=1", "READY=1"]
        for _ in range(3):
            running.states.clear()
            running.hear("WATCHDOG=1")
        running.states.clear()
        assert running.stop() == 0
        running.hear("STOPPING=1")
    with unit(service, tcp) as running:
        assert running.stop() == 0
        running.hear("STOPPING=1")
        assert "WATCHDOG=1" not in running.states


def test_a_request_under_way_is_answered(service: Service, tcp: socket.socket) -> None:
    secret = service.register("slow", ip="192.0.2.1")
    basic = raw_http.basic(f"slow.{service.domain}", secret)
    with unit(service, tcp) as running, connect(tcp) as slow, connect(tcp) as fresh, connect(tcp) as kept:
        kept.sendall(get("/healthz"))
        response = answer(kept)
        assert (response.read(), response.getheader("connection")) == (b"ok", None)
        with hung(service.named_pid()):
            slow.sendall(get("/nic/update?myip=192.0.2.2", Authorization=basic, User_Agent="test"))
            kept.sendall(get("/healthz")[:-2])  # not the whole request yet
            assert running.process is not None
            running.process.terminate()
            running.hear("STOPPING=1")
            for channel in (kept, fresh):
                channel.sendall(get("/healthz") if channel is fresh else b"\r\n")
                response = answer(channel)
                assert (response.read(), response.getheader("connection")) == (b"ok", "close")
            response = answer(slow)
            assert (response.status, response.read(), response.getheader("connection")) == (503, b"911", "close")
        assert running.process.wait(30) == 0


def test_connections_that_stay_idle_do_not_hold_it_up(service: Service, tcp: socket.socket) -> None:
    with unit(service, tcp) as running, connect(tcp) as fresh, connect(tcp) as kept:
        kept.sendall(get("/healthz"))
        assert answer(kept).read() == b"ok"
        assert running.stop() == 0
        assert (fresh.recv(1), kept.recv(1)) == (b"", b"")
        later = connect(tcp)  # waits for the next process
        later.sendall(get("/healthz"))
        running.start()
        assert answer(later).read() == b"ok"
        later.close()


# ---- restarts that nobody notices


@dataclass
class Client:
    """Sends requests without a pause until told to end, on a new connection each or on kept ones, as a proxy would."""

    listener: socket.socket
    requests: list[bytes]
    keep: bool
    end: threading.Event
    answered: int = 0
    told_to_close: int = 0
    failures: list[str] = field(default_factory=list)

    def run(self) -> None:
        channel: socket.socket | None = None
        while not self.end.is_set():
            used = channel is not None
            channel = channel or connect(self.listener)
            octets = self.requests[self.answered % len(self.requests)]
            if not self._exchange(channel, octets, used) or not self.keep:
                channel.close()
                channel = None
        if channel is not None:
            channel.close()

    def _exchange(self, channel: socket.socket, octets: bytes, used: bool) -> bool:
        """Whether the connection may be used again. Where a kept one is closed before any octet a proxy repeats."""
        try:
            channel.sendall(octets)
            response = answer(channel)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            if not used:
                self.failures.append(f"a new connection: {error!r}")
            return False
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(repr(error))
            return False
        try:
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(f"cut off: {error!r}")
            return False
        if response.status != 200:
            self.failures.append(f"{response.status} {body!r}")
        self.answered += 1
        self.told_to_close += response.getheader("connection") == "close"
        return response.getheader("connection") != "close"


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_no_request_is_lost_over_restarts(
    service: Service, family: str, tcp: socket.socket, unix: socket.socket
) -> None:
    listener = tcp if family == "tcp" else unix
    hosts = [f"restart{n}-{family}" for n in range(3)]
    secrets = {host: service.register(host, ip="192.0.2.1") for host in hosts}

    def updates(host: str) -> list[bytes]:
        basic = raw_http.basic(f"{host}.{service.domain}", secrets[host])
        return [get(f"/nic/update?myip=192.0.2.{n}", Authorization=basic, User_Agent="test") for n in (2, 3)]

    end = threading.Event()
    clients = [
        Client(listener, updates(host), keep, end) for host, keep in zip(hosts, (True, False, True), strict=True)
    ]
    clients += [Client(listener, [get("/healthz")], keep, end) for keep in (True, False)]
    threads = [threading.Thread(target=client.run) for client in clients]
    with unit(service, listener) as running:
        for thread in threads:
            thread.start()
        try:
            _restart_again_and_again(running, clients)
        finally:
            end.set()
            for thread in threads:
                thread.join(30)
    assert [client.failures for client in clients] == [[]] * len(clients)
    assert sum(client.told_to_close for client in clients) >= RESTARTS


def _all_beyond(clients: list[Client], before: list[int]) -> bool:
    return all(client.answered > number + 5 for client, number in zip(clients, before, strict=True))


def _restart_again_and_again(running: Unit, clients: list[Client]) -> None:
    for _ in range(RESTARTS):
        before = [client.answered for client in clients]
        running.restart()
        wait_until(partial(_all_beyond, clients, before), what="all clients are answered again")
