# SPDX-License-Identifier: GPL-3.0-or-later
"""No header, path or parameter costs work that grows with the square of its length, whatever it repeats."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from support.clients import raw_http
from support.clients.dyndns import Host, refused, register
from support.servers.service import Service

SIZE = 15_000
"""Nearly all that a head may have. A step per pair of octets takes a second or more."""

CPU_SECONDS = 0.25

PIECES = [
    *(bytes([octet]) for octet in b"0a_-.,:;=&<*?[]()/%'\"\\ \t+@#~{}|"),
    *(
        b"a,",
        b"a.",
        b"a-",
        b"_.",
        b"1.",
        b"::",
        b"0:",
        b"a=b;",
        b'\\"',
        b"\\1",
        b"\\101",
        b'W/"',
        b'"",',
        b"()",
        b"<>,",
    ),
    *(
        b"../",
        b"a/",
        b"%",
        b"%2",
        b"%41",
        b"%25",
        b"${",
        b"192.0.2.1,",
        b"2001:db8::1,",
        b"[::1],",
        b"q=0,",
        b"AA==",
        b"\xff",
    ),
]

HEADERS = {
    "Authorization": (b"", b"Basic ", b"Bearer ", b"Bearer eyJ", b"Bearer a.b.", b"Bearer ddns_"),
    "Cookie": (b"", b"ddns-said=", b'__Host-ddns="', b'a="'),
    "X-Forwarded-For": (b"", b'"', b"[", b"192.0.2.1, "),
    "X-Forwarded-Proto": (b"",),
    "User-Agent": (b"",),
    "Host": (b"",),
    "Accept": (b"",),
    "Accept-Language": (b"", b"de;q="),
    "Accept-Encoding": (b"",),
    "Connection": (b"", b"Upgrade, "),
    "Content-Type": (b"", b"application/x-www-form-urlencoded;", b"multipart/form-data; boundary="),
    "Forwarded": (b"for=",),
    "Idempotency-Key": (b"",),
    "If-Match": (b"", b'"', b"W/"),
    "If-None-Match": (b"", b'"'),
    "Origin": (b"", b"http://"),
    "Range": (b"bytes=",),
    "Referer": (b"", b"http://"),
}
PARAMETERS = (
    *(f"/nic/update?{name}=" for name in ("hostname", "myip", "ipv6", "offline", "username")),
    *(
        "/nic/delete?myip=",
        "/nic/register?ip=",
        "/nic/register?fqdn=",
        "/nic/hosts?domain=",
        "/nic/register?name=a&domain=",
    ),
    *(
        "/update?domains=a&ip=1&token=",
        "/update?token=a&domains=",
        "/nic/update?myip=192.0.2.1/",
        "/nic/update?myip=2001:db8::/",
    ),
    *("/api/hosts?fqdn=", "/api/hosts?cursor=", "/api/hosts?limit=", "/login?next=", "/login?next=/", "/?"),
)
PATHS = ("/", "//", "/nic/", "/api/hosts/", "/api/hosts/a.example.org/records/", "/hosts/", "/static/", "/login/")


@pytest.fixture(scope="module")
def known(proxied: Service) -> Host:
    return register(proxied, proxied.admin_token)


def cpu_seconds(service: Service) -> float:
    """CPU time of the service's process: waiting for a busy machine does not count."""
    assert service.process is not None
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def repeated(piece: bytes) -> bytes:
    return piece * (SIZE // len(piece))


def heads(host: Host) -> Iterator[bytes]:
    """Each header and each path, for clients and for browsers."""
    basic = {"Authorization": raw_http.basic(*host.auth)}
    bearer = {"Authorization": f"Bearer {host.token}"}
    for name, begins in HEADERS.items():
        for begin in begins:
            for target in ("/nic/update", "/login", f"/api/hosts/{host.fqdn}"):
                own = {} if name == "Authorization" else bearer if target.startswith("/api") else basic
                yield name.encode() + b"\0" + begin + b"\0" + raw_http.request(target, headers=own | {name: "PLACE"})


def send(service: Service, octets: bytes) -> int:
    answer = raw_http.exchange(octets, service.http_port, timeout=30)
    assert answer.status < 500 or answer.text == "911", (octets[:200], answer)
    return answer.status


@pytest.mark.parametrize("piece", PIECES, ids=repr)
def test_headers(proxied: Service, known: Host, piece: bytes) -> None:
    value = repeated(piece)
    for head in heads(known):
        name, begin, octets = head.split(b"\0", 2)
        before = cpu_seconds(proxied)
        send(proxied, octets.replace(b"PLACE", begin + value[len(begin) :].strip()))
        assert cpu_seconds(proxied) - before < CPU_SECONDS, (name, begin, piece)


@pytest.mark.parametrize("piece", PIECES, ids=repr)
def test_targets(proxied: Service, known: Host, piece: bytes) -> None:
    value = repeated(piece)
    plain = bytes(octet for octet in value if octet not in b" \t#\xff")
    quoted = quote_from_bytes(value[: SIZE // 3], safe="").encode()
    basic, bearer = {"Authorization": raw_http.basic(*known.auth)}, {"Authorization": f"Bearer {known.token}"}
    for begin in (*PARAMETERS, *PATHS):
        headers = basic if begin.startswith(("/nic/update", "/nic/delete")) else bearer
        for rest in (plain, quoted):
            before = cpu_seconds(proxied)
            send(proxied, raw_http.request(begin.encode() + rest[: SIZE - len(begin)], headers=headers))
            assert cpu_seconds(proxied) - before < CPU_SECONDS, (begin, piece)


@pytest.mark.parametrize("address", ["192.0.2.1/", "2001:db8::1/", "2001:db8::/"])
def test_a_length_of_thousands_of_digits_is_dnserr(known: Host, address: str) -> None:
    """Python refuses to make a number of it, and else takes a time that grows with the square."""
    for digits in ("9" * 5000, "0" * 5000 + "24", "0" * 4000 + "24"):
        refused(known.update(myip=address + digits), 200, "dnserr")
