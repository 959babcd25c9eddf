# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input of every kind, on every parameter of every route: an answer that the contract knows, and never a 5xx.

The name server is up, so `911` would be a fault of ours as well, but where a front does not tell the client's address.
"""

import base64
import http.client
from collections.abc import Mapping
from urllib.parse import quote, quote_from_bytes, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clients import raw_http
from support.clients.dyndns import Host, new_label, register
from support.servers.service import Service
from support.spice import TEXTS, bounded

ADDRESSES = ("myip", "myipv4", "ipv4", "ip", "myipv6", "ipv6", "ip6")
UPDATE = ("hostname", *ADDRESSES, "offline", "wildcard", "mx", "system", "url")
ROUTES = {
    "/nic/update": (*UPDATE, "username", "password"),
    "/v3/update": UPDATE,
    "/nic/delete": ("hostname", "myip", "username", "password"),
    "/nic/register": ("fqdn", "name", "domain", "ip", "wildcard", "comment"),
    "/nic/hosts": ("domain",),
    "/nic/unregister": ("fqdn", "name", "domain"),
    "/nic/generate_secret": ("fqdn", "name", "domain"),
    "/nic/domains": ("x",),
    "/update": ("domains", "token", "ip", "ipv6", "clear", "txt", "hostname"),
    "/myip": ("x",),
    "/healthz": ("x",),
    "/readyz": ("x",),
    "/healthz/dns": ("x",),
    "/metrics": ("name[]",),
}
OPEN = {"/myip", "/healthz", "/healthz/dns", "/readyz", "/metrics", "/update"}
"""Paths that ask for no credentials, or take them otherwise."""

STATUSES = {200, 400, 401, 403, 404, 405, 411, 413, 414, 431}

OCTETS = st.one_of(TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")), st.binary(max_size=60))
# what may stand in a header's value, or in a request target: everything but line ends and (in a target) blanks
VALUES = OCTETS.map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"").strip())
TARGETS = OCTETS.map(lambda raw: bytes(octet for octet in raw if octet not in b" \t\r\n\0#"))


@pytest.fixture(scope="session")
def victim(service: Service, alice: str) -> Host:
    """The host whose name and secret the bad requests carry."""
    return register(service, alice)


def ask(
    service: Service, target: str | bytes, headers: Mapping[str, str | bytes], method: str = "GET", body: bytes = b""
) -> raw_http.Answer:
    """Send it and assert what holds for every answer."""
    octets = raw_http.request(target, method=method, headers=headers, body=body)
    answer = raw_http.exchange(octets, service.http_port, method=method)
    if "X-Forwarded-For" in headers and answer.status == 503:  # what a front sends is no fault of the client
        assert "911" in answer.text, (octets, answer)
    else:
        assert answer.status in STATUSES, (octets, answer)
    text = answer.text
    for trace in ("Traceback", 'File "', "ddnsd.", "sqlalchemy", "Exception", "Internal Server Error"):
        assert trace not in text or trace.encode() in octets, (octets, answer)
    assert "location" not in answer.headers
    assert "transfer-encoding" not in answer.headers
    return answer


def credentials(host: Host, kind: str) -> dict[str, str]:
    return {
        "basic": {"Authorization": raw_http.basic(*host.auth)},
        "bearer": {"Authorization": f"Bearer {host.token}"},
        "none": {},
    }[kind]


KINDS = st.sampled_from(["basic", "bearer", "bearer", "none"])


@pytest.mark.parametrize("route", ROUTES)
@bounded
@given(data=st.data())
def test_bad_values_of_every_parameter(service: Service, victim: Host, route: str, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(ROUTES[route]), min_size=1, max_size=3))
    pairs = [(name, data.draw(OCTETS)) for name in names]
    if route in ("/nic/unregister", "/nic/generate_secret"):
        pairs = [(name, value) for name, value in pairs if victim.name.encode() not in value]
    headers = credentials(victim, data.draw(KINDS))
    query = urlencode(pairs)
    if data.draw(st.booleans()):
        ask(service, f"{route}?{query}", headers)
    else:
        form = headers | {"Content-Type": "application/x-www-form-urlencoded"}
        ask(service, route, form, "POST", query.encode())


@bounded
@given(raw=TARGETS, kind=KINDS, route=st.sampled_from(sorted(ROUTES)))
def test_raw_octets_in_the_query(service: Service, victim: Host, raw: bytes, kind: str, route: str) -> None:
    ask(service, route.encode() + b"?" + raw, credentials(victim, kind))


@bounded
@given(raw=TARGETS, kind=KINDS)
def test_raw_octets_in_the_path(service: Service, victim: Host, raw: bytes, kind: str) -> None:
    ask(service, b"/" + raw, credentials(victim, kind))


@bounded
@given(raw=OCTETS, kind=KINDS, prefix=st.sampled_from(["/", "/nic/", "/nic/update", "/nic/update/", "/\\"]))
def test_percent_encoded_octets_in_the_path(service: Service, victim: Host, raw: bytes, kind: str, prefix: str) -> None:
    ask(service, prefix + quote_from_bytes(raw, safe=""), credentials(victim, kind))


@bounded
@given(user=TEXTS, password=TEXTS, route=st.sampled_from(["/nic/update", "/nic/delete", "/nic/hosts", "//update"]))
def test_user_names_and_passwords(service: Service, user: str, password: str, route: str) -> None:
    pair = f"{user}:{password}".encode("utf-8", "surrogatepass")
    answer = ask(service, route, {"Authorization": b"Basic " + base64.b64encode(pair)})
    assert answer.status == 401 or answer.text == "notfqdn"


@bounded
@given(pair=st.binary(max_size=80), route=st.sampled_from(["/nic/update", "/nic/delete", "/nic/hosts"]))
def test_octets_as_basic_credentials(service: Service, pair: bytes, route: str) -> None:
    answer = ask(service, route, {"Authorization": b"Basic " + base64.b64encode(pair)})
    assert answer.status == 401 or answer.text == "notfqdn"


@bounded
@given(
    scheme=st.one_of(st.sampled_from([b"Basic", b"Bearer", b"bearer", b"Digest", b"", b"Basic Basic"]), VALUES),
    rest=VALUES,
    route=st.sampled_from(
        sorted(set(ROUTES) - {"/myip", "/healthz", "/healthz/dns", "/readyz", "/metrics", "/update"})
    ),
)
def test_authorization_headers_of_every_kind(service: Service, scheme: bytes, rest: bytes, route: str) -> None:
    answer = ask(service, route, {"Authorization": scheme + b" " + rest})
    assert answer.status in (400, 401) or answer.text == "notfqdn"


@bounded
@given(
    value=VALUES,
    header=st.sampled_from(
        ["User-Agent", "X-Forwarded-For", "X-Forwarded-Proto", "Content-Type", "Cookie", "Accept", "Expect", "Host"]
    ),
    method=st.sampled_from(["GET", "POST"]),
)
def test_other_headers(
    service: Service, proxied: Service, victim: Host, value: bytes, header: str, method: str
) -> None:
    for running, headers in ((service, credentials(victim, "basic")), (proxied, {})):
        for route in ("/nic/update?myip=192.0.2.1", "/myip"):
            ask(running, route, headers | {header: value}, method)


@pytest.mark.parametrize(
    "hop",
    ["fe80::1%eth0", "2001:db8::1%1", "zzz", ",", "[2001:db8::1]", "192.0.2.1:80", "unknown", "_hidden", "::ffff:0:0"],
)
def test_peers_that_a_proxy_may_tell_of(proxied: Service, hop: str) -> None:
    host = register(proxied, proxied.admin_token)
    for forwarded in (hop, f"192.0.2.1, {hop}", f"{hop}, 127.0.0.1"):
        for kind in ("basic", "bearer", "none"):
            headers = credentials(host, kind) | {"X-Forwarded-For": forwarded}
            for route in (*ROUTES, f"/update?domains={host.fqdn}&token={host.secret}"):
                if route not in ("/nic/unregister", "/nic/generate_secret"):
                    ask(proxied, route, headers)


@bounded
@given(
    body=st.binary(max_size=300),
    kind=st.sampled_from(["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json"]),
    route=st.sampled_from(sorted(ROUTES)),
    credential=KINDS,
)
def test_bodies_of_every_kind(
    service: Service, victim: Host, body: bytes, kind: str, route: str, credential: str
) -> None:
    headers = credentials(victim, credential) | {"Content-Type": kind}
    if victim.name.encode() not in body:
        ask(service, route, headers, "POST", body)


@bounded
@given(octets=st.one_of(st.binary(min_size=1, max_size=200), st.binary(max_size=80).map(b"GET / HTTP/1.1\r\n".__add__)))
def test_octets_that_are_no_http(service: Service, octets: bytes) -> None:
    ended = octets.replace(b"\r\n\r\n", b"") + b"\r\n\r\n"
    request = ended if b"HTTP/" in ended.split(b"\r\n")[0] else b"X" + ended
    try:
        answer = raw_http.exchange(request, service.http_port, timeout=3)
    except (OSError, ValueError, http.client.HTTPException):
        return  # hanging up, or waiting for the rest, is an answer as well
    assert answer.status < 500
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "blank", ["%20", "%0D%0A", "%09", "%0D%0A,%09", ",", "+,+", "%C2%A0", "%E2%80%83", "%00", "%1F", "."]
)
def test_blank_values(service: Service, victim: Host, blank: str) -> None:
    for route, names in ROUTES.items():
        for name in names:
            for kind in ("basic", "bearer"):
                ask(service, f"{route}?{name}={blank}", credentials(victim, kind))


@pytest.mark.parametrize("route", sorted(ROUTES))
def test_oversized_requests(service: Service, victim: Host, route: str) -> None:
    name = quote(ROUTES[route][0])
    for size in (8_000, 60_000):
        ask(service, f"{route}?{name}={'x' * size}", credentials(victim, "bearer"))
        form = credentials(victim, "bearer") | {"Content-Type": "application/x-www-form-urlencoded"}
        ask(service, route, form, "POST", f"{name}={'x' * size}".encode())
    ask(service, f"{route}?{'&'.join(f'p{i}=1' for i in range(2_000))}", credentials(victim, "bearer"))
    ask(service, route, credentials(victim, "basic") | {"X-Long": "x" * 5_000})


def test_the_service_works_after_all_of_it(service: Service, alice: str, victim: Host) -> None:
    """Stands last in the file: nothing above has broken the service, or left anything in its log that it should not."""
    fresh = register(service, alice, comment=new_label())
    assert fresh.update(myip="192.0.2.9").text == "good 192.0.2.9"
    assert service.get("/readyz").status_code == 200
    assert "Traceback" not in service.log.read_text(errors="replace")
    assert victim.is_listed()
