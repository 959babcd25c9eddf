# SPDX-License-Identifier: GPL-3.0-or-later
"""A port without a front: what too much, too slow and ambiguous requests get, and that others are served meanwhile."""

import base64
import http.client
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest
from support.clients import raw_http
from support.clients.dyndns import GIVEN, Host, register, said
from support.clients.rest_api import Api, problem
from support.ports import wait_until
from support.servers.alive import alive, resident
from support.servers.service import Service, dev

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
H2C = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAoAAAAAIAAAAA"}
MEGABYTE = 1024 * 1024
MOST = 8


@pytest.fixture(scope="module")
def open_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service without a front, that takes few connections from one address."""
    settings = {"connections_per_address": str(MOST), "trusted_proxies": "127.0.9.0/24"}
    with dev(tmp_path_factory.mktemp("open"), **settings) as running:
        yield running


@pytest.fixture
def machine(open_port: Service) -> Host:
    return register(open_port, open_port.admin_token)


@pytest.fixture
def admin(open_port: Service) -> Api:
    return Api(open_port, open_port.admin_token)


def ask(service: Service, octets: bytes) -> raw_http.Answer:
    return raw_http.exchange(octets, service.http_port)


def refused_by(service: Service, octets: bytes, status: int) -> None:
    """It is refused, with a length, and the connection ends."""
    answer = raw_http.exchange(octets, service.http_port, until_closed=10)
    assert (answer.status, answer.headers["connection"], answer.closed) == (status, "close", True)
    assert "content-length" in answer.headers


@contextmanager
def connected(service: Service, number: int = 1, source: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """Connections of one client."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                socket.create_connection(("127.0.0.1", service.http_port), timeout=20, source_address=(source, 0))
            )
            for _ in range(number)
        ]


def is_closed(connection: socket.socket) -> bool:
    """Whether the server closes it, or has reset it, without a word."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


# ---- heads


@pytest.mark.parametrize("path", ["/nic/update", "/update", "/api/hosts", "/", "/nowhere"])
@pytest.mark.parametrize("size", [15_000, 17_000, 300_000])
def test_sixteen_kibibytes_of_head(open_port: Service, path: str, size: int) -> None:
    for octets in (
        raw_http.request(f"{path}?x={'x' * size}"),
        raw_http.request(path, headers={"X-Long": "x" * size}),
        raw_http.request(path, headers={"Cookie": "; ".join(f"c{n}=1" for n in range(size // 8))}),
    ):
        if size > 16 * 1024:
            refused_by(open_port, octets, 431)
        else:
            assert ask(open_port, octets).status in (200, 303, 401, 404)


def test_headers_and_parameters_are_counted(open_port: Service) -> None:
    def headers(number: int) -> bytes:
        return raw_http.request("/myip", headers={f"X-{n}": "" for n in range(number)})

    assert ask(open_port, headers(100)).status == 200
    refused_by(open_port, headers(300), 431)
    assert ask(open_port, raw_http.request(f"/myip?{'&'.join('a' * 900)}")).status == 200
    refused_by(open_port, raw_http.request(f"/myip?{'&' * 1500}"), 414)


def test_heads_without_end(open_port: Service) -> None:
    """Clients that send headers for ever, and go on after the answer."""
    endless = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 2 * MEGABYTE

    def flood(number: int) -> raw_http.Answer:
        with connected(open_port, source=f"127.0.1.{number}") as (connection,):
            with suppress(ConnectionError):  # it was told enough
                connection.sendall(endless)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return raw_http.Answer(answer.status, {}, answer.read())

    with alive(open_port), ThreadPoolExecutor(8) as pool:
        assert [answer.status for answer in pool.map(flood, range(1, 33))] == [431] * 32


def test_clients_that_send_nothing_or_nothing_more(open_port: Service, machine: Host) -> None:
    """10 s for a head, for a body of somebody unknown, and for the next octet of a body of somebody known."""
    bearer = {"Authorization": f"Bearer {machine.token}", "Content-Length": "1000"} | JSON
    begun = {
        b"": b"",
        raw_http.request("/myip")[:-2]: b"HTTP/1.1 408 ",
        raw_http.request("/nic/update", method="POST", headers=FORM | {"Content-Length": "99"}): b"HTTP/1.1 408 ",
        raw_http.request("/api/changes", method="POST", headers=bearer, body=b'{"changes":'): b"HTTP/1.1 408 ",
        raw_http.request("/login", method="POST", headers=FORM | {"Content-Length": "99"}): b"HTTP/1.1 408 ",
    }
    with connected(open_port, len(begun)) as connections:
        for connection, octets in zip(connections, begun, strict=True):
            connection.sendall(octets)
        for connection, answer in zip(connections, begun.values(), strict=True):
            received = b""
            while part := connection.recv(4096):
                received += part
            assert received.startswith(answer) if answer else received == b""
    assert "unexpected error" not in open_port.log.read_text()


def test_half_a_form_changes_nothing(open_port: Service, machine: Host) -> None:
    headers = FORM | {"Authorization": raw_http.basic(*machine.auth), "Content-Length": "99"}
    octets = raw_http.request("/nic/update", method="POST", headers=headers, body=b"myip=192.0.2.1")
    with connected(open_port) as (connection,):
        connection.sendall(octets)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    said(machine.update(myip=GIVEN), 200, f"nochg {GIVEN}")


# ---- framing


@pytest.mark.parametrize(
    "lines",
    [
        b"Host: a\r\nHost: b\r\n",
        b"Host: a\r\nhost: a\r\n",
        b"Host: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n",
        b"Host: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n",
        b"Host: a\r\nContent-Length: 4, 4\r\n",
        b"Host: a\r\nContent-Length: +4\r\n",
        b"Host: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"Host: a\r\nTransfer-Encoding: chunked, identity\r\n",
        b"Host: a\r\nTransfer-Encoding: xchunked\r\n",
        b"Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Host : a\r\n",
        b"Host: a\r\nX: a\r\n b\r\n",
        b"Host: a\nX: a\r\n",
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(open_port: Service, machine: Host, lines: bytes) -> None:
    secret = b"Authorization: " + raw_http.basic(*machine.auth).encode() + b"\r\n"
    for version in (b"1.1", b"1.0"):
        octets = b"POST /nic/update?myip=192.0.2.7 HTTP/" + version + b"\r\n" + secret + lines + b"\r\n0\r\n\r\n"
        refused_by(open_port, octets, 400)
    assert machine.addresses() == [GIVEN]


def test_chunks_in_http_1_0_are_refused(open_port: Service) -> None:
    octets = raw_http.request("/myip", method="POST", version="1.0", headers={"Transfer-Encoding": "chunked"})
    assert ask(open_port, octets.replace(b"Content-Length: 0\r\n", b"")).status == 400


def test_who_sends_no_more_is_answered(open_port: Service, machine: Host) -> None:
    headers = {"Authorization": raw_http.basic(*machine.auth)}
    for target, text in (
        ("/healthz", "ok"),
        ("/nic/update?myip=192.0.2.8", "good 192.0.2.8"),
        ("/login", "<!doctype html>"),
    ):
        with connected(open_port) as (connection,):
            connection.sendall(raw_http.request(target, headers=headers))
            connection.shutdown(socket.SHUT_WR)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert answer.status == 200
            assert answer.read().decode().lower().startswith(text)
            assert is_closed(connection)


# ---- an upgrade that is asked for is ignored


@pytest.mark.parametrize(
    "upgrade",
    [
        H2C,
        H2C | {"Connection": "close, Upgrade, HTTP2-Settings"},
        {"Connection": "keep-alive, upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="},
        {"Connection": "Upgrade", "Upgrade": "TLS/1.0, h2c"},
    ],
)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_request_that_asks_for_another_protocol(
    open_port: Service, machine: Host, upgrade: dict[str, str], version: str
) -> None:
    basic = {"Authorization": raw_http.basic(*machine.auth)} | upgrade
    form = raw_http.request(
        "/nic/update", method="POST", version=version, headers=basic | FORM, body=b"myip=192.0.2.9&hostname="
    )
    for word in ("good", "nochg"):
        said(ask(open_port, form), 200, f"{word} 192.0.2.9")
    chunked = raw_http.request("/nic/update", method="POST", headers=basic | FORM | {"Transfer-Encoding": "chunked"})
    chunked = chunked.replace(b"Content-Length: 0\r\n", b"") + b"f\r\nmyip=192.0.2.10\r\n0\r\n\r\n"
    said(ask(open_port, chunked), 200, "good 192.0.2.10")
    said(ask(open_port, raw_http.request("/nic/update?myip=192.0.2.11", headers=basic)), 200, "good 192.0.2.11")
    said(ask(open_port, raw_http.request("/healthz", headers=upgrade)), 200, "ok")
    bearer = upgrade | JSON | {"Authorization": f"Bearer {machine.token}"}
    body = json.dumps({"comment": f"{version} {upgrade['Upgrade']}"}).encode()
    answer = ask(open_port, raw_http.request(f"/api/hosts/{machine.fqdn}", method="PATCH", headers=bearer, body=body))
    assert (answer.status, json.loads(answer.text)["comment"]) == (200, json.loads(body)["comment"])


def test_requests_after_an_upgrade_that_was_ignored(open_port: Service, machine: Host) -> None:
    headers = {"Authorization": raw_http.basic(*machine.auth)} | FORM
    with connected(open_port) as (connection,):
        for number, more in ((12, H2C), (13, {}), (14, H2C)):
            octets = raw_http.request(
                "/nic/update", method="POST", headers=headers | more, body=f"myip=192.0.2.{number}".encode()
            )
            for octet in octets:  # each on its own
                connection.send(bytes([octet]))
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert answer.read().decode() == f"good 192.0.2.{number}"


def test_curl_that_would_like_http_2(open_port: Service, machine: Host) -> None:
    curl = shutil.which("curl")
    assert curl is not None
    for word in ("good", "nochg"):
        ran = subprocess.run(
            [
                curl,
                "--silent",
                "--http2",
                "--user",
                ":".join(machine.auth),
                "--data",
                "myip=192.0.2.15",
                f"{open_port.url}/nic/update",
            ],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert ran.stdout == f"{word} 192.0.2.15"


# ---- bodies


def chunks(body: bytes) -> bytes:
    parts = [body[start : start + 60_000] for start in range(0, len(body), 60_000)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("path", "kind", "octets"),
    [
        ("/nic/update", FORM, 64 * 1024),
        ("/update", FORM, 64 * 1024),
        ("/nic/register", FORM, 64 * 1024),
        ("/myip", FORM, 64 * 1024),
        ("/login", FORM, 64 * 1024),
        ("/api/hosts", JSON, 64 * 1024),
        ("/api/tokens", JSON, 64 * 1024),
        ("/api/changes", JSON, 16 * MEGABYTE),
    ],
)
def test_too_large_a_body(
    open_port: Service, admin: Api, path: str, kind: dict[str, str], octets: int, chunked: bool
) -> None:
    headers = kind | {"Authorization": f"Bearer {admin.token}"}
    body = b" " * (octets + 1)
    if chunked:
        sent = raw_http.request(path, method="POST", headers=headers | {"Transfer-Encoding": "chunked"})
        sent = sent.replace(b"Content-Length: 0\r\n", b"") + chunks(body)
    else:
        sent = raw_http.request(path, method="POST", headers=headers, body=body)
    assert raw_http.exchange(sent, open_port.http_port).status == 413


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


BOMBS = {
    "lists": b'{"changes":[' + b"[]," * 5_000_000 + b"[]]}",
    "objects": b'{"changes":[' + b"{}," * 5_000_000 + b"{}]}",
    "texts": b"[]" * 8_000_000,
    "list of lists": b"[" + b"[]," * 5_000_000 + b"[]]",
    "depth": nested(8_000_000),
    "depth in it": b'{"changes":' + nested(8_000_000) + b"}",
    "long texts": b'{"changes":["' + b"a" * 16_000_000 + b'"]}',
    "long numbers": b'{"changes":[' + b"1" * 16_000_000 + b"]}",
    "members": b"{" + b",".join(b'"%x":1' % n for n in range(1_000_000)) + b"}",
    "members of an item": b'{"changes":[{' + b",".join(b'"%x":1' % n for n in range(1_000_000)) + b"}]}",
    "items": b'{"changes":[' + b",".join([b'{"action":"delete","fqdn":"a.b"}'] * 500_000) + b"]}",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_json_that_would_be_much_when_it_is_built(open_port: Service, admin: Api, kind: str) -> None:
    before = resident(open_port)
    with alive(open_port):
        answer = admin.call("POST", "/changes", data=BOMBS[kind], headers=JSON)
        assert answer.status_code in (400, 413, 422)
        problem(answer, answer.status_code, fields=set(answer.json().get("errors", ())) or None)
    assert resident(open_port) - before < 200 * MEGABYTE


def test_many_large_calls_at_once(open_port: Service, admin: Api) -> None:
    """They wait for each other: at no time are all of them in memory."""
    users = [admin, *(Api(open_port, open_port.user(f"many{n}")) for n in range(3))]
    before = resident(open_port)

    def send(api: Api, kind: str) -> int:
        headers = JSON | {"Authorization": f"Bearer {api.token}"}
        octets = raw_http.request("/api/changes", method="POST", headers=headers, body=BOMBS[kind])
        return raw_http.exchange(octets, open_port.http_port, source="127.0.9.7", timeout=300).status

    kinds = ["lists", "objects", "items", "members of an item"]
    with alive(open_port), ThreadPoolExecutor(len(users) * len(kinds)) as pool:
        calls = [pool.submit(send, api, kind) for kind in kinds for api in users]
        assert {call.result() for call in calls} <= {413, 422, 429}
    assert resident(open_port) - before < 200 * MEGABYTE


def begun(service: Service, token: str, content: bytes) -> socket.socket:
    """A large call that has its turn, and of which the last octet is missing."""
    headers = JSON | {"Authorization": f"Bearer {token}", "Content-Length": str(len(content))}
    head = raw_http.request("/api/changes", method="POST", headers=headers | {"Expect": "100-continue"})
    connection = socket.create_connection(("127.0.0.1", service.http_port), timeout=60)
    connection.sendall(head)
    assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection.sendall(content[:-1])
    return connection


def test_one_large_call_at_a_time_per_user(open_port: Service, admin: Api) -> None:
    large = b'{"changes":[]' + b" " * 100_000 + b"}"
    with begun(open_port, str(admin.token), large) as first, ThreadPoolExecutor(1) as pool:
        second = pool.submit(admin.call, "POST", "/changes", data=large, headers=JSON)
        for api in (Api(open_port, open_port.user("other")), Api(open_port, open_port.user("another"))):
            assert api.call("POST", "/changes", data=large, headers=JSON).status_code == 200
        assert admin.service.get("/api/users/me", admin.token).status_code == 200
        small = raw_http.request(
            "/api/changes",
            method="POST",
            headers=JSON | {"Authorization": f"Bearer {admin.token}"},
            body=b'{"changes":[]}',
        )
        assert ask(open_port, small).status == 200
        assert not second.done()
        first.sendall(large[-1:])
        assert first.recv(15) == b"HTTP/1.1 200 OK"
        assert second.result().status_code == 200


def test_a_client_that_leaves_gives_its_turn_back(open_port: Service, admin: Api) -> None:
    large = b'{"changes":[]' + b" " * 100_000 + b"}"
    for _ in range(3):
        begun(open_port, str(admin.token), large).close()
    assert admin.call("POST", "/changes", data=large, headers=JSON).status_code == 200


BODIES = {
    "depth": nested(30_000),
    "depth of objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "lists": b"[" + b"[]," * 20_000 + b"[]]",
    "numbers": b"[" + b"1," * 30_000 + b"1]",
    "text": b'"' + b"a" * 60_000 + b'"',
    "number": b"1" * 60_000,
    "exponent": b"1e" + b"9" * 60_000,
    "null": b"null",
    "not UTF-8": b'{"name":"\xff"}',
}


def doors(service: Service) -> list[tuple[str, str]]:
    """All routes with a body."""
    paths = service.get("/api/schema/").json()["paths"]
    return [(m.upper(), p) for p, calls in paths.items() for m, one in calls.items() if "requestBody" in one]


@pytest.mark.parametrize("kind", BODIES)
def test_every_door_for_json(open_port: Service, admin: Api, kind: str) -> None:
    fqdn = admin.host()["fqdn"]
    tried = 0
    with alive(open_port):
        for method, path in doors(open_port):
            values = {"fqdn": fqdn, "name": "admin" if "users" in path else open_port.domain}
            values |= {"label": "a", "rtype": "TXT", "id": "1", "login": "k"}
            answer = admin.call(method, path.removeprefix("/api").format(**values), data=BODIES[kind], headers=JSON)
            assert 400 <= answer.status_code < 500, (method, path, answer.text)
            assert len(answer.content) < 20_000
            tried += 1
    assert tried >= 15


@pytest.mark.parametrize("path", ["/hosts", "/tokens", "/keys", "/domains", "/users", "/deny", "/domain-requests"])
def test_json_for_one_thing(open_port: Service, admin: Api, path: str) -> None:
    members = b"{" + b",".join(b'"%x":1' % n for n in range(6000)) + b"}"
    lists = b'{"hosts":[' + b"1," * 30_000 + b'1],"domains":[' + b"1," * 500 + b"1]}"
    for body in (nested(30_000), members, lists, b"[" + b"{}," * 20_000 + b"{}]", b'{"name":' + b"1" * 60_000 + b"}"):
        answer = admin.call("POST", path, data=body, headers=JSON)
        assert answer.status_code in ((413,) if body is members else (400, 422)), answer.text
        assert len(answer.content) < 20_000


def test_forms_with_too_many_fields(open_port: Service, machine: Host) -> None:
    many = b"&".join(b"a%d=" % n for n in range(5000))
    headers = FORM | {"Authorization": raw_http.basic(*machine.auth)}
    for path in ("/nic/update", "/update", "/login"):
        octets = raw_http.request(path, method="POST", headers=headers, body=many)
        assert raw_http.exchange(octets, open_port.http_port).status == 413
    assert machine.addresses() == [GIVEN]


@pytest.mark.parametrize(("path", "status"), [("/nic/update", 400), ("/api/hosts", 415), ("/login", 415)])
def test_a_form_in_parts_is_no_form(open_port: Service, machine: Host, path: str, status: int) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x", "Authorization": f"Bearer {machine.token}"}
    part = b'--x\r\nContent-Disposition: form-data; name="myip"\r\n\r\n192.0.2.77\r\n'
    octets = raw_http.request(path, method="POST", headers=kind, body=part * 500 + b"--x--\r\n")
    assert raw_http.exchange(octets, open_port.http_port).status == status
    assert machine.addresses() == [GIVEN]


# ---- connections


def test_connections_of_one_address(open_port: Service) -> None:
    with connected(open_port, MOST, "127.0.2.1") as held:
        for _ in range(3):
            with connected(open_port, 1, "127.0.2.1") as (excess,):
                assert is_closed(excess)
        assert raw_http.exchange(raw_http.request("/healthz"), open_port.http_port, source="127.0.2.2").text == "ok"
        for connection in held:
            connection.sendall(raw_http.request("/healthz"))
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
        metrics = raw_http.exchange(raw_http.request("/metrics"), open_port.http_port, source="127.0.2.2").text
        assert re.search(r"^ddnsd_refused_connections_total [1-9]", metrics, re.MULTILINE)
        held[0].close()
        octets = raw_http.request("/healthz")

        def is_let_in() -> bool:
            try:
                return raw_http.exchange(octets, open_port.http_port, source="127.0.2.1").text == "ok"
            except (OSError, http.client.HTTPException):
                return False

        wait_until(is_let_in, what="a connection after one has ended")


def test_a_proxy_has_as_many_connections_as_it_likes(open_port: Service) -> None:
    with connected(open_port, 5 * MOST, "127.0.9.1") as held:
        for connection in held:
            connection.sendall(raw_http.request("/healthz"))
            assert connection.recv(15) == b"HTTP/1.1 200 OK"


def test_hundreds_of_silent_connections(open_port: Service, machine: Host) -> None:
    with connected(open_port, 600, "127.0.9.2"), alive(open_port):
        said(machine.update(myip="192.0.2.30"), 200, "good 192.0.2.30")
    said(machine.update(myip="192.0.2.30"), 200, "nochg 192.0.2.30")


def test_no_secret_and_no_noise_in_the_log_but_counters(open_port: Service, machine: Host) -> None:
    """Stands last: what was refused above is not told line by line, and nothing of it is."""
    text = open_port.log.read_text(errors="replace")
    for status, octets in (
        (400, b"GET\r\n\r\n"),
        (414, raw_http.request(f"/?{'&' * 1500}")),
        (431, raw_http.request("/", headers={"X": "x" * 17_000})),
    ):
        refused_by(open_port, octets, status)
        counted = rf'^ddnsd_refused_requests_total{{status="{status}"}} [1-9]'
        assert re.search(counted, open_port.get("/metrics").text, re.MULTILINE)
    assert "Traceback" not in text
    assert "Invalid HTTP request" not in text
    assert machine.secret not in text
    assert base64.b64encode(":".join(machine.auth).encode()).decode() not in text
