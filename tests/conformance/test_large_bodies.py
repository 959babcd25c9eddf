# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies of every shape, as large as 16 MB, at every door that reads one.

Each is refused with a clear 4xx, stores nothing, takes a bounded amount of memory, and delays nobody else.
"""

import base64
import gzip
import http.client
import json
import socket
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from urllib.parse import quote

import pytest
from support.clients import raw_http
from support.clients.dyndns import Host, register
from support.clients.rest_api import Api
from support.servers.alive import alive, resident
from support.servers.service import Service, dev

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
MEGABYTE = 1024 * 1024
LARGE = 16 * MEGABYTE - 200
"""As much as `/api/changes` reads, with what is around it."""

SMALL = 64 * 1024 - 200
"""As much as the other doors read."""

MEMORY = 200 * MEGABYTE
"""How much the process may grow."""

ISSUER = "http://127.0.0.1:9"
LOGOUT = "/login/idp/backchannel-logout"
numbers = count(1)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    provider = {"name": "idp", "label": "IdP", "issuer": ISSUER, "client_id": "ddns", "client_secret": "x"}
    settings = {"oidc_providers": json.dumps([provider]), "abuse_reports_per_hour": "10000"}
    with dev(tmp_path_factory.mktemp("bodies"), **settings) as running:
        yield running


@pytest.fixture(scope="module")
def machine(service: Service) -> Host:
    return register(service, service.admin_token)


@pytest.fixture(scope="module")
def admin(service: Service) -> Api:
    return Api(service, service.admin_token)


# ---- shapes


def repeated(unit: bytes, size: int, begin: bytes = b"[", end: bytes = b"]") -> bytes:
    """A list with as many units as fit."""
    number = (size - len(begin) - len(end)) // (len(unit) + 1)
    return begin + b",".join([unit] * number) + end


def text(unit: bytes, size: int) -> bytes:
    return b'"' + unit * ((size - 2) // len(unit)) + b'"'


def alternating(size: int) -> bytes:
    depth = size // 8
    return b'[{"a":' * depth + b"1" + b"}]" * depth


def members(size: int, *, same: bool) -> bytes:
    number = size // 12
    return b"{" + b",".join(b'"%07x":1' % (7 if same else n) for n in range(number)) + b"}"


SHAPES: dict[str, Callable[[int], bytes]] = {
    "lists in lists": lambda size: b"[" * (size // 2) + b"]" * (size // 2),
    "lists that do not end": lambda size: b"[" * size,
    "objects in objects": lambda size: b'{"a":' * (size // 6) + b"1" + b"}" * (size // 6),
    "lists and objects in turn": alternating,
    "lists": lambda size: repeated(b"[]", size),
    "objects": lambda size: repeated(b"{}", size),
    "nulls": lambda size: repeated(b"null", size),
    "empty texts": lambda size: repeated(b'""', size),
    "a text": lambda size: text(b"a", size),
    "a text that does not end": lambda size: b'"' + b"a" * size,
    "a name": lambda size: b"{" + text(b"a", size - 4) + b":1}",
    "names": lambda size: members(size, same=False),
    "the same name": lambda size: members(size, same=True),
    "a number": lambda size: b"1" * size,
    "a fraction": lambda size: b"0." + b"1" * (size - 2),
    "an exponent of many digits": lambda size: b"1e" + b"9" * (size - 2),
    "numbers beyond all bounds": lambda size: repeated(b"1e999999", size),
    "small numbers": lambda size: repeated(b"-1e-999999", size),
    "no numbers": lambda size: repeated(b"NaN", size),
    "infinities": lambda size: repeated(b"-Infinity", size),
    "escaped letters": lambda size: text(b"\\u0061", size),
    "halves of letters": lambda size: text(b"\\ud800", size),
    "escaped NUL": lambda size: text(b"\\u0000", size),
    "NUL in a text": lambda size: text(b"\0", size),
    "NUL": lambda size: b"\0" * size,
    "blanks": lambda size: b" \t\r\n" * (size // 4),
    "not UTF-8": lambda size: text(b"\xff", size),
    "half of UTF-8": lambda size: text(b"\xf0\x9f\x98", size),
    "overlong UTF-8": lambda size: text(b"\xc0\x80", size),
    "UTF-16": lambda size: members(size // 2, same=False).decode().encode("utf-16"),
    "UTF-32": lambda size: members(size // 4, same=False).decode().encode("utf-32"),
}


def as_changes(shape: bytes) -> bytes:
    return b'{"changes":' + shape + b"}"


def as_value(shape: bytes) -> bytes:
    item = b'{"action":"create","fqdn":"n%d.dyn.example.org","set":{"comment":' % next(numbers)
    return b'{"changes":[' + item + shape + b"}}]}"


# ---- what must hold


BACKGROUND = {"events", "contacts", "pending", "write_checks", "nodes", "zone_leases"}
"""Tables that the service writes without such a body, or for a failed sign-in."""


def stored(service: Service) -> dict[str, object]:
    """The number of rows in each table, and all hosts."""
    with closing(sqlite3.connect(service.dir / "ddnsd.db", timeout=10)) as store:
        names = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        counts = {n: store.execute(f'SELECT count(*) FROM "{n}"').fetchone() for n in sorted(names - BACKGROUND)}
        hosts = store.execute("SELECT id, fqdn, version, comment, ipv4 FROM hosts ORDER BY id").fetchall()
        return {**counts, "every host": hosts}


@contextmanager
def unharmed(service: Service) -> Iterator[None]:
    """Health is answered all the time, nothing is stored, and memory is bounded."""
    rows, memory = stored(service), resident(service)
    with alive(service):
        yield
    assert stored(service) == rows
    assert resident(service) - memory < MEMORY
    assert "unexpected error" not in service.log.read_text()


def exchange(service: Service, octets: bytes) -> raw_http.Answer:
    """Send everything, also if the answer comes before the end."""
    with socket.create_connection(("127.0.0.1", service.http_port), timeout=60) as connection:
        sending = threading.Thread(target=_send, args=(connection, octets))
        sending.start()
        answer = http.client.HTTPResponse(connection)
        try:
            answer.begin()
            return raw_http.Answer(answer.status, {}, answer.read())
        finally:
            answer.close()
            sending.join()


def _send(connection: socket.socket, octets: bytes) -> None:
    try:
        connection.sendall(octets)
    except OSError:
        return  # it was told enough


def refused(answer: raw_http.Answer, *what: object, statuses: tuple[int, ...] = (400, 403, 404, 413, 415, 422)) -> None:
    """A clear refusal, which repeats little of what was sent."""
    assert answer.status in statuses, (what, answer.status, answer.text[:500])
    assert 0 < len(answer.content) < 20_000, what


# ---- JSON


def doors(service: Service) -> list[tuple[str, str]]:
    """All routes with a body, by method and path."""
    paths = service.get("/api/schema/").json()["paths"]
    return [(m.upper(), p) for p, calls in paths.items() for m, one in calls.items() if "requestBody" in one]


def filled(path: str, machine: Host) -> str:
    values = {"fqdn": machine.fqdn, "name": "admin" if "users" in path else machine.service.domain}
    return path.format(**values | {"label": "a", "rtype": "TXT", "id": "1", "login": "k"})


@pytest.mark.parametrize("around", [bytes, as_changes, as_value])
@pytest.mark.parametrize("shape", SHAPES)
def test_changes(service: Service, admin: Api, shape: str, around: Callable[[bytes], bytes]) -> None:
    body = around(SHAPES[shape](LARGE))
    assert 10 * MEGABYTE < len(body) <= 16 * MEGABYTE
    headers = JSON | {"Authorization": f"Bearer {admin.token}", "Idempotency-Key": f"k{next(numbers)}"}
    octets = raw_http.request("/api/changes", method="POST", headers=headers, body=body)
    with unharmed(service):
        for _ in range(2):
            refused(exchange(service, octets), shape, statuses=(400, 413, 422))


@pytest.mark.parametrize("shape", SHAPES)
def test_changes_that_wait_for_no_turn(service: Service, admin: Api, shape: str) -> None:
    headers = JSON | {"Authorization": f"Bearer {admin.token}"}
    with unharmed(service):
        for around in (bytes, as_changes):
            octets = raw_http.request("/api/changes", method="POST", headers=headers, body=around(SHAPES[shape](SMALL)))
            refused(exchange(service, octets), shape, statuses=(400, 413, 422))
        value = exchange(
            service,
            raw_http.request("/api/changes", method="POST", headers=headers, body=as_value(SHAPES[shape](SMALL))),
        )
        if value.status == 200:
            (result,) = json.loads(value.text)["results"]
            assert result["status"] == "failed"
        else:
            refused(value, shape, statuses=(400, 413, 422))


@pytest.mark.parametrize("shape", SHAPES)
def test_every_other_door_of_the_api(service: Service, admin: Api, machine: Host, shape: str) -> None:
    headers = JSON | {"Authorization": f"Bearer {admin.token}"}
    small, large = SHAPES[shape](SMALL), SHAPES[shape](LARGE)
    tried = 0
    with unharmed(service):
        for method, path in doors(service):
            bodies = [small, b'{"comment":' + small + b"}", b'{"name":' + small + b"}"]
            if path == "/api/hosts":
                bodies.append(large)
            for body in bodies if path != "/api/changes" else ():
                octets = raw_http.request(filled(path, machine), method=method, headers=headers, body=body)
                refused(exchange(service, octets), method, path, shape, statuses=(400, 401, 403, 404, 413, 422))
                tried += 1
    assert tried >= 45


@pytest.mark.parametrize("body", [b'{"comment":"a","comment":"b"}', b'{"labels":{"a":"1","a":"2"}}'])
def test_a_member_that_comes_twice(service: Service, admin: Api, machine: Host, body: bytes) -> None:
    before = admin.get(f"/hosts/{machine.fqdn}")
    headers = JSON | {"Authorization": f"Bearer {admin.token}"}
    octets = raw_http.request(f"/api/hosts/{machine.fqdn}", method="PATCH", headers=headers, body=body)
    answer = exchange(service, octets)
    assert (answer.status, json.loads(answer.text)["detail"]) == (
        400,
        "An object has the same member twice. Send each member once.",
    )
    assert admin.get(f"/hosts/{machine.fqdn}") == before


def test_json_is_utf_8(service: Service, admin: Api, machine: Host) -> None:
    headers = JSON | {"Authorization": f"Bearer {admin.token}"}
    path = f"/api/hosts/{machine.fqdn}"
    for encoding, status in (("utf-8", 200), ("utf-8-sig", 200), ("utf-16", 400), ("utf-32", 400), ("utf-16-le", 400)):
        body = json.dumps({"comment": encoding}).encode(encoding)
        answer = exchange(service, raw_http.request(path, method="PATCH", headers=headers, body=body))
        assert answer.status == status, encoding
    assert admin.get(f"/hosts/{machine.fqdn}")["comment"] == "utf-8-sig"


def test_a_key_is_not_used_up_by_a_call_that_was_refused(service: Service, admin: Api) -> None:
    key = {"Idempotency-Key": f"k{next(numbers)}"}
    with unharmed(service):
        for shape in ("lists", "the same name", "not UTF-8"):
            answer = admin.call("POST", "/changes", data=as_changes(SHAPES[shape](MEGABYTE)), headers=JSON | key)
            assert answer.status_code in (400, 413, 422)
    body = json.dumps({"changes": [{"action": "delete", "fqdn": "none.dyn.example.org"}]})
    first, again = (admin.call("POST", "/changes", data=body, headers=JSON | key) for _ in range(2))
    assert first.status_code == again.status_code == 200
    assert first.text == again.text
    assert admin.call("POST", "/changes", data=body + " ", headers=JSON | key).status_code == 409


# ---- forms


def many(number: int) -> bytes:
    return b"&".join(b"a%d=1" % n for n in range(number))


FORMS: dict[str, Callable[[int], bytes]] = {
    "a million fields": lambda size: many(size // 11),
    "the same field": lambda size: b"&".join([b"hostname=a"] * (size // 11)),
    "separators": lambda size: b"&" * size,
    "semicolons": lambda size: b"a;" * (size // 2),
    "equal signs": lambda size: b"=" * size,
    "a value": lambda size: b"name=" + b"a" * (size - 5),
    "a name": lambda size: b"a" * size,
    "percent signs": lambda size: b"name=" + b"%" * (size - 5),
    "escaped NUL": lambda size: b"name=" + b"%00" * ((size - 5) // 3),
    "not UTF-8": lambda size: b"name=" + b"%FF" * ((size - 5) // 3),
    "octets": lambda size: b"name=" + b"\xff" * (size - 5),
    "plus signs": lambda size: b"name=" + b"+" * (size - 5),
}
PORTAL = ("/login", "/login/code", "/report-abuse", LOGOUT)
MANAGEMENT = ("/nic/register", "/nic/unregister")
UPDATES = ("/nic/update", "/update", *MANAGEMENT, "/myip", "/nic/delete")


def parts(size: int) -> bytes:
    """A form in thousands of parts."""
    part = b'--x\r\nContent-Disposition: form-data; name="myip"\r\n\r\n192.0.2.77\r\n'
    return part * (size // len(part)) + b"--x--\r\n"


def signed(service: Service, machine: Host, path: str) -> dict[str, str]:
    if path in PORTAL:
        return {}
    if path in MANAGEMENT:
        return {"Authorization": f"Bearer {service.admin_token}"}
    return {"Authorization": raw_http.basic(*machine.auth)}


@pytest.mark.parametrize("path", [*PORTAL, *UPDATES])
def test_forms_of_sixteen_megabytes(service: Service, machine: Host, path: str) -> None:
    statuses = (400, 404, 413) if path == LOGOUT else (404, 413)
    with unharmed(service):
        for name, make in FORMS.items():
            headers = FORM | signed(service, machine, path)
            octets = raw_http.request(path, method="POST", headers=headers, body=make(LARGE))
            refused(exchange(service, octets), path, name, statuses=statuses)


@pytest.mark.parametrize("shape", FORMS)
def test_forms_as_large_as_allowed(service: Service, machine: Host, shape: str) -> None:
    addresses = machine.addresses()
    body = FORMS[shape](SMALL)
    with unharmed(service):
        for path in PORTAL:
            answer = exchange(service, raw_http.request(path, method="POST", headers=FORM, body=body))
            assert 400 <= answer.status < 500 or answer.status == 303, (path, answer.status)
            assert len(answer.content) < 300_000
        for path in UPDATES:
            known = signed(service, machine, path) if path in MANAGEMENT else {}
            for more in (known, {"Authorization": raw_http.basic("nobody.dyn.example.org", "wrong")}):
                answer = exchange(service, raw_http.request(path, method="POST", headers=FORM | more, body=body))
                assert answer.status < 500, (path, answer.status)
                assert len(answer.content) < 300_000
    assert machine.addresses() == addresses


def jwt_of(header: bytes) -> bytes:
    encoded = base64.urlsafe_b64encode(header).rstrip(b"=")
    return encoded + b".e30.c2ln"


@pytest.mark.parametrize("shape", SHAPES)
def test_logout_tokens(service: Service, shape: str) -> None:
    with unharmed(service):
        for size in (11_000, 40_000):
            shaped = SHAPES[shape](size)
            for header in (shaped, b'{"alg":"RS256","kid":' + shaped + b"}", b'{"alg":' + shaped + b"}"):
                body = b"logout_token=" + jwt_of(header)
                answer = exchange(service, raw_http.request(LOGOUT, method="POST", headers=FORM, body=body))
                # the provider's keys would be asked for, and it does not answer
                assert answer.status in (400, 503), answer.text
                assert len(answer.content) < 1000


# ---- other ways to send much


@pytest.mark.parametrize("path", [*PORTAL, *UPDATES, "/api/hosts", "/api/changes"])
def test_a_form_in_thousands_of_parts(service: Service, machine: Host, path: str) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    token = {"Authorization": f"Bearer {service.admin_token}"} if path.startswith("/api") else {}
    addresses = machine.addresses()
    with unharmed(service):
        for size in (SMALL, LARGE):
            headers = kind | signed(service, machine, path) | token
            octets = raw_http.request(path, method="POST", headers=headers, body=parts(size))
            refused(exchange(service, octets), path, size, statuses=(400, 404, 413, 415))
    assert machine.addresses() == addresses


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda octets: gzip.compress(octets, 9),
    "x-gzip": lambda octets: gzip.compress(octets, 9),
    "deflate": zlib.compress,
    "gzip, gzip": lambda octets: gzip.compress(gzip.compress(octets, 9), 9),
    "br": bytes,
    "zstd": bytes,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_compressed_bodies(service: Service, machine: Host, encoding: str) -> None:
    bomb = ENCODINGS[encoding](b"0" * (50 * MEGABYTE) if "gzip" in encoding else b"myip=192.0.2.78")
    bomb = bomb[:SMALL]
    addresses = machine.addresses()
    with unharmed(service):
        for path in (*PORTAL, *UPDATES, "/api/hosts", "/api/changes", "/api/tokens"):
            token = {"Authorization": f"Bearer {service.admin_token}"} if path.startswith("/api") else {}
            kind = JSON if path.startswith("/api") else FORM
            headers = kind | {"Content-Encoding": encoding} | signed(service, machine, path) | token
            octets = raw_http.request(path, method="POST", headers=headers, body=bomb)
            refused(exchange(service, octets), path, encoding, statuses=(400, 404, 415))
    assert machine.addresses() == addresses


@pytest.mark.parametrize("path", [*PORTAL, *UPDATES, "/api/hosts", "/api/changes"])
@pytest.mark.parametrize("extension", [b"", b";" + b"x" * 50])
def test_chunks_of_one_octet(service: Service, machine: Host, path: str, extension: bytes) -> None:
    token = {"Authorization": f"Bearer {service.admin_token}"} if path.startswith("/api") else {}
    kind = JSON if path.startswith("/api") else FORM
    headers = kind | {"Transfer-Encoding": "chunked"} | signed(service, machine, path) | token
    head = raw_http.request(path, method="POST", headers=headers).replace(b"Content-Length: 0\r\n", b"")
    addresses = machine.addresses()
    with unharmed(service):
        chunk = b"1" + extension + b"\r\n \r\n"
        octets = head + chunk * (LARGE // len(chunk)) + b"0\r\n\r\n"
        refused(exchange(service, octets), path, statuses=(400, 404, 408, 413, 431))
    assert machine.addresses() == addresses


def test_the_service_works_after_all_of_it(service: Service, admin: Api, machine: Host) -> None:
    assert machine.update(myip="192.0.2.9").text in ("good 192.0.2.9", "nochg 192.0.2.9")
    name = quote(f"n{next(numbers)}.dyn.example.org")
    assert admin.call("POST", "/hosts", {"fqdn": name}).status_code == 201
    log = service.log.read_text(errors="replace")
    assert "Traceback" not in log
    assert "unexpected error" not in log
