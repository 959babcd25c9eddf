# SPDX-License-Identifier: GPL-3.0-or-later
"""§1, opening paragraph: paths, methods, HTTP versions, and the form of an answer."""

from typing import Any

import pytest
import requests
from support.clients import raw_http
from support.clients.dyndns import GIVEN, Host, refused, said
from support.servers.service import Service

NEW, NEWER = "192.0.2.77", "192.0.2.78"

PATHS = [
    "/nic/update",
    "/v3/update",
    "/nic/update/",
    "/dyndns/update",
    "/v3/update/",
    "/dyndns/update/",
    "//nic/update",
    "/nic//update",
    "///nic///update///",
    "//update",
    "/%5c/nic/update",
    "/%5C/nic/update",
    "/\\/nic/update",
    "/%2f/nic/update",
    "/%2Fnic/update",
    "/nic%2fupdate",
    "/%6eic/update",
    "//v3//update",
]


@pytest.mark.parametrize("path", PATHS)
def test_every_path_of_update(service: Service, host: Host, path: str) -> None:
    headers = {"Authorization": raw_http.basic(*host.auth)}
    octets = raw_http.request(f"{path}?myip={NEW}", headers=headers)
    for word in ("good", "nochg"):
        said(raw_http.exchange(octets, service.http_port), 200, f"{word} {NEW}")
        assert host.addresses() == [NEW]


@pytest.mark.parametrize("path", PATHS)
def test_every_path_of_update_challenges(service: Service, path: str) -> None:
    for _ in range(2):
        answer = raw_http.exchange(raw_http.request(path), service.http_port)
        refused(answer, 401, "badauth")
        assert answer.headers["www-authenticate"].startswith('Basic realm="')


@pytest.mark.parametrize("path", ["/nic/delete", "//nic/delete", "/%5c/nic/delete", "/nic/delete/"])
def test_delete_is_served_at_collapsed_paths_too(service: Service, host: Host, path: str) -> None:
    octets = raw_http.request(f"{path}?myip=0.0.0.0", headers={"Authorization": raw_http.basic(*host.auth)})
    for _ in range(2):
        said(raw_http.exchange(octets, service.http_port), 200, "deleted A")
        assert host.addresses() == []


def test_post_with_a_form(service: Service, host: Host) -> None:
    for word in ("good", "nochg"):
        answer = service.request("POST", "/nic/update", auth=host.auth, data={"hostname": host.fqdn, "myip": NEW})
        said(answer, 200, f"{word} {NEW}")
        assert host.addresses() == [NEW]


def test_post_with_a_query(service: Service, host: Host) -> None:
    for word in ("good", "nochg"):
        answer = service.request("POST", "/nic/update", auth=host.auth, params={"hostname": host.fqdn, "myip": NEW})
        said(answer, 200, f"{word} {NEW}")
        assert host.addresses() == [NEW]


@pytest.mark.parametrize("path", ["/nic/update", "/nic/delete", "/v3/update", "//update"])
@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods_are_405_without_effect(service: Service, host: Host, method: str, path: str) -> None:
    before = host.row()
    octets = raw_http.request(
        f"{path}?myip={NEW}", method=method, headers={"Authorization": raw_http.basic(*host.auth)}
    )
    for _ in range(2):
        answer = raw_http.exchange(octets, service.http_port, method=method)
        assert answer.status == 405
        assert "content-length" in answer.headers
        assert "good" not in answer.text
    assert host.addresses() == [GIVEN]
    assert host.row() == before


@pytest.mark.parametrize("path", ["/nic/update", "//update"])
def test_http_1_0_works(service: Service, host: Host, path: str) -> None:
    octets = raw_http.request(
        f"{path}?myip={NEW}", version="1.0", headers={"Authorization": raw_http.basic(*host.auth)}
    )
    for word in ("good", "nochg"):
        answer = raw_http.exchange(octets, service.http_port, until_closed=3)
        said(answer, 200, f"{word} {NEW}")
        assert answer.closed
    assert host.addresses() == [NEW]


def test_http_1_0_form(service: Service, host: Host) -> None:
    headers = {"Authorization": raw_http.basic(*host.auth), "Content-Type": "application/x-www-form-urlencoded"}
    octets = raw_http.request(
        "/nic/update", method="POST", version="1.0", headers=headers, body=f"myip={NEW}&hostname={host.fqdn}".encode()
    )
    for word in ("good", "nochg"):
        said(raw_http.exchange(octets, service.http_port), 200, f"{word} {NEW}")


@pytest.mark.parametrize("value", ["close", "Close"])
def test_connection_close_is_honoured(service: Service, host: Host, value: str) -> None:
    headers = {"Authorization": raw_http.basic(*host.auth), "Connection": value}
    for target, status in ((f"/nic/update?myip={NEW}", 200), ("/nic/update?hostname=nodot", 200)):
        answer = raw_http.exchange(raw_http.request(target, headers=headers), service.http_port, until_closed=3)
        assert (answer.status, answer.closed) == (status, True)
    answer = raw_http.exchange(
        raw_http.request("/nic/update", headers={"Connection": value}), service.http_port, until_closed=3
    )
    assert (answer.status, answer.closed) == (401, True)


def test_connection_is_kept_otherwise(service: Service, host: Host) -> None:
    with requests.Session() as session:
        for word in ("good", "nochg"):
            answer = session.get(f"{service.url}/nic/update", params={"myip": NEW}, auth=host.auth, timeout=10)
            said(answer, 200, f"{word} {NEW}")


@pytest.mark.parametrize(
    ("params", "body"),
    [
        ({"myip": NEWER}, f"good {NEWER}"),
        ({"myip": GIVEN}, f"nochg {GIVEN}"),
        ({"myip": "zzz"}, "dnserr"),
        ({"hostname": "nodot"}, "notfqdn"),
        ({"hostname": "nobody.example.net"}, "nohost"),
        ({"hostname": ",".join(f"n{i}.example.net" for i in range(21))}, "numhost"),
        ({"offline": "YES"}, "good"),
    ],
)
def test_answers_are_plain_text_with_a_length_and_without_a_newline(
    host: Host, params: dict[str, Any], body: str
) -> None:
    answer = host.update(**params)
    said(answer, 200, body)
    assert not answer.text.endswith("\n")


def test_a_large_request_has_a_length_too(service: Service, host: Host) -> None:
    for target in (f"/nic/update?myip={'9' * 4000}", f"/nic/update?hostname={'a.' * 2000}"):
        answer = raw_http.exchange(
            raw_http.request(target, headers={"Authorization": raw_http.basic(*host.auth)}), service.http_port
        )
        assert answer.status == 200
        assert "content-length" in answer.headers


def test_no_429_and_no_redirect_however_often_it_is_asked(service: Service, host: Host) -> None:
    for _ in range(40):
        said(host.update(myip=GIVEN), 200, f"nochg {GIVEN}")
        refused(service.get("/nic/update", auth=(host.fqdn, "wrong")), 401, "badauth")
