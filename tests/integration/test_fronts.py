# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role's nginx and Caddy pass on to the service, and what they refuse."""

import base64
import threading
import time
from collections.abc import Iterator

import pytest
from support.ports import wait_until
from support.servers import front
from support.servers.front import Front

NETWORKS = ["192.0.2.0/24"]
UPDATES = [
    "/nic/update",
    "/nic/update/",
    "//nic//update",
    "/%5c/nic/update",
    "/v3/update",
    "/dyndns/update",
    "/nic/delete",
    "//update",
    "/update",
    "/myip",
    "/dynamic/update.php",
    "/u/abc/",
]
OTHERS = [
    "/",
    "/login",
    "/api/hosts",
    "/nic/register",
    "/nic/hosts",
    "/nic/generate_secret",
    "/nic/updates",
    "/nic/update/x",
    "/metrics",
    "/readyz",
    "/healthz",
    "/updateX",
    "/u/",
    "/static/a/../x",
]
INNER = [
    path
    for name in ("metrics", "readyz", "healthz/dns")
    for path in (f"/{name}", f"//{name}", f"/{name}/", f"/%5c{name}", f"/./{name}", f"/%2f{name}", f"/{name}%5C")
] + ["/%6detrics", "/healthz%2f%5Cdns//", "/healthz/./dns"]
HSTS = "max-age=31536000"
HASH = "$2b$10$o3R5B71CH9ODGJsHgnHUBuFEiHCBg.JKDSpGvI7pUGDXQzr1uMJwC"
"""bcrypt of `pw`."""


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def each(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Each front; loopback is none of the networks of monitoring."""
    folder = tmp_path_factory.mktemp(request.param)
    with front.running(folder, request.param, ddns_server_inner_networks=NETWORKS) as found:
        yield found


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """nginx behind a load balancer, which says where a request is from."""
    variables = {
        "ddns_server_proxies": ["127.0.0.1/32"],
        "ddns_server_update_connections": "2",
        "ddns_server_tls": "acme",
    }
    with front.running(
        tmp_path_factory.mktemp("nginx"), "nginx", ddns_server_inner_networks=NETWORKS, **variables
    ) as found:
        yield found


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def discreet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Each front on one address, with a user of monitoring, and without clients' addresses in its log."""
    variables = {
        "ddns_server_monitoring_users": {"prometheus": HASH},
        "ddns_server_log_addresses": "false",
        "ddns_server_front_addresses": ["127.0.0.1"],
    }
    with front.running(
        tmp_path_factory.mktemp(request.param), request.param, ddns_server_inner_networks=NETWORKS, **variables
    ) as found:
        yield found


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def patient(found: Front, path: str, authorization: str) -> front.Answer:
    """The answer, after pauses while nginx slows down guesses of passwords."""
    while (answer := found.ask(443, path, Authorization=authorization)).status == 429:
        time.sleep(0.2)
    return answer


@pytest.mark.parametrize("path", INNER)
def test_monitoring_reads_with_a_password(discreet: Front, path: str) -> None:
    answer = patient(discreet, path, basic("prometheus", "pw"))
    assert answer.status == 200
    assert answer.headers["x-seen"] == ""  # it is no account of the service
    for wrong in (basic("prometheus", "px"), basic("somebody", "pw"), "Bearer ddns_1", ""):
        refused = patient(discreet, path, wrong)
        assert refused.status == 401
        assert refused.headers["www-authenticate"].lower() == 'basic realm="monitoring"'


def test_other_paths_pass_credentials_on(discreet: Front) -> None:
    for path in ("/nic/update", "/api/hosts", "/nic/hosts"):
        sent = basic("prometheus", "px")
        assert discreet.ask(443, path, Authorization=sent).headers["x-seen"] == sent


def test_passwords_are_asked_for_with_tls_alone(discreet: Front) -> None:
    assert [discreet.ask(port, "/metrics", Authorization=basic("prometheus", "pw")).target for port in (80, 8245)] == [
        "",
        "",
    ]


def test_the_log_has_no_address_and_no_secret(discreet: Front) -> None:
    """nginx has an access log. Caddy logs no request at all, also if the service gives no answer."""
    sent = basic("host", "never-to-be-logged")
    answer = discreet.ask(443, "/dyndns/update?password=never-to-be-logged&then=drop", Authorization=sent)
    assert (answer.status, answer.body) == (503, "911")
    access, own = discreet.folder / "logs" / "access.log", discreet.folder / "front.log"
    wait_until(lambda: not access.exists() or "/dyndns/update" in access.read_text(), 10, "nginx logs after the answer")
    lines = [line for file in (access, own) if file.exists() for line in file.read_text().splitlines()]
    told = [line for line in lines if "/dyndns/update 503 " in line]
    assert len(told) == access.exists()
    assert not [line for line in told if "127.0.0.1" in line]
    assert not [line for line in lines if "never-to-be-logged" in line or sent.split()[1] in line]


@pytest.mark.parametrize("port", front.PORTS)
@pytest.mark.parametrize("path", UPDATES)
def test_every_port_serves_updates(each: Front, port: int, path: str) -> None:
    answer = each.ask(port, f"{path}?myip=192.0.2.1", Authorization="Basic YTpi")
    assert answer.target.endswith("?myip=192.0.2.1")
    assert each.ask(port, path, "POST", b"myip=192.0.2.1").status == 200


@pytest.mark.parametrize("path", OTHERS)
def test_plain_http_serves_nothing_else(each: Front, path: str) -> None:
    for method in ("GET", "POST"):
        answer = each.ask(80, f"{path}?a=b", method)
        assert (answer.status, answer.headers["location"]) == (301, f"https://ddns.example.org{path}?a=b")
        assert each.ask(8245, path, method).status == 404


@pytest.mark.parametrize("path", ["/login/../nic/update", "/api/hosts/..%2f..%2f/nic/update", "/static/%2e%2e/myip"])
@pytest.mark.parametrize("port", [80, 8245])
def test_the_path_that_is_compared_is_the_one_that_is_asked_for(each: Front, port: int, path: str) -> None:
    assert each.ask(port, path).target in ("", "/nic/update", "/myip")


@pytest.mark.parametrize("port", [80, 8245])
@pytest.mark.parametrize("word", ["Bearer", "bearer"])
def test_no_token_is_taken_without_tls(each: Front, port: int, word: str) -> None:
    refused = each.ask(port, "/nic/update", Authorization=f"{word} ddns_1")
    assert (refused.status, refused.body) == (401, "badauth")
    assert refused.headers["www-authenticate"] == 'Basic realm="Dynamic DNS"'
    assert each.ask(port, "/update?domains=a&token=ddns_1").body == "KO"
    assert each.ask(port, "/update?domains=a&token=secret").target == "/update?domains=a&token=secret"
    assert each.ask(port, "/api/hosts", Authorization=f"{word} ddns_1").status == {80: 403, 8245: 404}[port]
    assert each.ask(443, "/nic/update", Authorization=f"{word} ddns_1").status == 200
    assert each.ask(443, "/update?token=ddns_1").status == 200


@pytest.mark.parametrize("path", INNER)
def test_what_is_for_monitoring_alone_in_every_spelling(each: Front, path: str) -> None:
    assert each.ask(443, path).status == 403
    assert [each.ask(port, path).target for port in (80, 8245)] == ["", ""]


def test_monitoring_reads_it(nginx: Front) -> None:
    for path in ("/metrics", "/readyz/", "/healthz/dns"):
        assert nginx.ask(443, path, X_Forwarded_For="192.0.2.7").target == path
        assert nginx.ask(443, path, X_Forwarded_For="198.51.100.7").status == 403


def test_browsers_are_told_to_use_tls_for_this_name_alone(each: Front) -> None:
    for path in ("/", "/login", "/nic/update", "/api/hosts", "/metrics"):
        assert each.ask(443, path).headers["strict-transport-security"] == HSTS
    assert "strict-transport-security" not in each.ask(80, "/nic/update").headers


def test_no_page_is_compressed(each: Front) -> None:
    for path in ("/", "/login", "/hosts"):
        answer = each.ask(443, path, Accept_Encoding="gzip, deflate, br")
        assert answer.status == 200
        assert "content-encoding" not in answer.headers


def test_bodies_have_a_limit(each: Front) -> None:
    assert each.ask(443, "/api/changes", "POST", bytes(15_000_000)).body.split()[2] == "15000000"
    assert each.ask(443, "/api/changes", "POST", bytes(17_000_000)).status == 413


def sources(kind: str) -> Iterator[str]:
    """Addresses of one source, without end."""
    for n in range(1_000_000):
        high, low = divmod(n, 65536)
        yield {
            "IPv4": "198.51.100.9",
            "IPv6": f"2001:db8:1:2:{high + 1:x}:{low + 1:x}:7:8",
            "IPv6 with zeros": f"2001:db8::{low + 1:x}",
        }[kind]


@pytest.mark.parametrize("kind", ["IPv4", "IPv6", "IPv6 with zeros"])
@pytest.mark.parametrize("path", ["/", "/login", "/login/egi", "/hosts", "/report-abuse", "/login/"])
def test_people_are_slowed_down(nginx: Front, path: str, kind: str) -> None:
    for _, source in zip(range(5000), sources(kind), strict=False):
        answer = nginx.ask(443, path, X_Forwarded_For=source)
        if answer.status != 200:
            break
    assert answer.status == 429
    assert "Try again" in answer.body
    assert answer.headers["strict-transport-security"] == HSTS
    assert nginx.ask(443, path, X_Forwarded_For="203.0.113.77").status == 200


@pytest.mark.parametrize(
    "path", ["/nic/update", "/api/hosts", "/nic/hosts", "/static/a.css", "/healthz", "/login/egi/backchannel-logout"]
)
def test_machines_are_not(nginx: Front, path: str) -> None:
    assert {nginx.ask(443, path, X_Forwarded_For="198.51.100.8").status for _ in range(400)} == {200}


@pytest.mark.parametrize("other", ["203.0.113.1", "2001:db8:7:9::1"])
@pytest.mark.parametrize(("one", "same"), [("203.0.113.7", "203.0.113.7"), ("2001:db8:7:8::1", "2001:db8:7:8:1:2:3:4")])
def test_too_many_updates_at_once_are_told_to_come_again(nginx: Front, one: str, same: str, other: str) -> None:
    nginx.stub.release.clear()
    held = [
        threading.Thread(target=nginx.ask, args=(port, "/nic/update?hold"), kwargs={"X_Forwarded_For": one})
        for port in (80, 443)
    ]
    for thread in held:
        thread.start()
        assert nginx.stub.held.acquire(timeout=20)
    for port in front.PORTS:
        refused = nginx.ask(port, "/nic/update", X_Forwarded_For=same)
        assert (refused.status, refused.body, refused.headers["content-type"]) == (503, "911", "text/plain")
        assert nginx.ask(port, "/nic/update", X_Forwarded_For=other).status == 200
    assert nginx.ask(443, "/hosts", X_Forwarded_For="203.0.113.200").status == 200
    nginx.stub.release.set()
    for thread in held:
        thread.join()


def test_the_challenge_is_answered_without_tls(nginx: Front) -> None:
    folder = nginx.folder / "acme" / ".well-known" / "acme-challenge"
    folder.mkdir(parents=True)
    (folder / "abc").write_text("abc.key")
    assert nginx.ask(80, "/.well-known/acme-challenge/abc").body == "abc.key"
    assert nginx.ask(8245, "/.well-known/acme-challenge/abc").status == 404


def test_the_log_has_no_secret(nginx: Front) -> None:
    nginx.ask(80, "/u/never-to-be-logged/?x=never-to-be-logged")
    nginx.ask(443, "//u//never-to-be-logged")
    nginx.ask(443, "/nic/update?password=never-to-be-logged")
    log = (nginx.folder / "logs" / "access.log").read_text()
    assert " /u/... 200 " in log
    assert "never-to-be-logged" not in log
