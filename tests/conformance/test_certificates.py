# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/hosts/{fqdn}/certificate`, with a real authority that asks the real name server."""

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from support.clients.dyndns import new_label
from support.clients.rest_api import Api, problem
from support.clients.signing import csr, new_key, verified
from support.ports import free_port, wait_until
from support.servers.pebble import Pebble, pebble
from support.servers.service import Service, dev

HOST_BUDGET = 2

IDENTITY = "ca.example.net"
AUTHORITY, RULE, QUOTA = "urn:ddns:authority", "urn:ddns:rule", "urn:ddns:quota"


@pytest.fixture(scope="module")
def dns_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def authority(dns_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with pebble(tmp_path_factory.mktemp("pebble"), dns_port, nonce_reject=30) as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def service(
    request: pytest.FixtureRequest, authority: Pebble, dns_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A service with an authority, once on each store."""
    settings = {
        "acme_directory": authority.directory,
        "acme_ca_file": str(authority.front),
        "acme_contact": "admin@example.org",
        "acme_caa_identities": IDENTITY,
        "acme_host_budget": str(HOST_BUDGET),
        "acme_domain_budget": "0",
    }
    if request.param == "postgres":
        settings["database_url"] = request.getfixturevalue("new_database")()
    with dev(tmp_path_factory.mktemp(request.param), dns_port, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def alice(service: Service) -> str:
    """A token of alice, who is no administrator."""
    return service.user("alice")


@pytest.fixture(scope="module")
def bob(service: Service) -> str:
    return service.user("bob")


@pytest.fixture(scope="module")
def reader(service: Service, alice: str) -> str:
    """A token of alice's that may only read."""
    return service.cli("token", "add", "alice", "--name", "reader", "--scope", "read").stdout.strip()


@dataclass
class Ordering:
    """A host, and calls for its certificate with one kind of credentials."""

    service: Service
    fqdn: str
    secret: str
    api: Api

    @property
    def path(self) -> str:
        return f"/hosts/{self.fqdn}/certificate"

    @property
    def names(self) -> tuple[str, str]:
        return self.fqdn, f"*.{self.fqdn}"

    def order(self, text: str, **basic: str) -> requests.Response:
        if basic:
            return self.with_basic("POST", json={"csr": text}, **basic)
        return self.api.call("POST", self.path, {"csr": text})

    def with_basic(self, method: str, *, user: str, password: str, **kwargs: Any) -> requests.Response:
        header = base64.b64encode(f"{user}:{password}".encode()).decode()
        return self.service.request(method, f"/api{self.path}", headers={"Authorization": f"Basic {header}"}, **kwargs)

    def texts(self) -> list[str]:
        return self.service.dig(f"_acme-challenge.{self.fqdn}", "TXT")


def new(service: Service, token: str, **fields: object) -> Ordering:
    api = Api(service, token)
    fqdn = f"{new_label()}.{service.domain}"
    made = api.post("/hosts", {"fqdn": fqdn, **fields})
    return Ordering(service, fqdn, made["secret"], api)


@pytest.fixture
def host(service: Service, alice: str) -> Ordering:
    """A host without an address, and with a wildcard."""
    return new(service, alice, wildcard=True)


# ---- issuing


def test_a_host_without_an_address(host: Ordering, authority: Pebble, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    answer = host.order(csr(*host.names, key=key, common=host.fqdn))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pem-certificate-chain"
    assert answer.text.startswith("-----BEGIN CERTIFICATE-----")
    assert verified(answer.text, authority.root(), tmp_path) == set(host.names)
    first = x509.load_pem_x509_certificate(answer.content)
    assert first.public_key() == key.public_key()
    assert host.api.call("GET", host.path).text == answer.text
    assert host.with_basic("GET", user=host.fqdn, password=host.secret).text == answer.text
    wait_until(lambda: host.texts() == [], 10, "the challenge removed")
    (event,) = host.api.items("/events", action="certificate.issued", object=host.fqdn)
    assert event["actor"] == "alice"
    kinds = {(entry["kind"], entry["actor"]) for entry in host.api.items(f"/hosts/{host.fqdn}/history")}
    assert ("issued", "alice") in kinds
    mode = (host.service.dir / "acme_account.key").stat().st_mode
    assert mode & 0o777 == 0o600


def test_the_host_and_a_key_may_order(service: Service, alice: str, authority: Pebble, tmp_path: Path) -> None:
    host, other = new(service, alice), new(service, alice)
    answer = host.order(csr(host.fqdn), user=host.fqdn, password=host.secret)
    assert verified(answer.text, authority.root(), tmp_path) == {host.fqdn}
    problem(other.order(csr(other.fqdn), user=host.fqdn, password=host.secret), 404)
    problem(host.order(csr(host.fqdn), user=host.fqdn, password="wrong"), 401)
    key = host.api.post("/keys", {"name": new_label(), "hosts": [other.fqdn]})
    assert other.order(csr(other.fqdn), user=key["login"], password=key["secret"]).status_code == 200
    (event,) = host.api.items("/events", action="certificate.issued", object=host.fqdn)
    assert event["actor"] == host.fqdn


def test_the_same_request_gets_the_same_chain(host: Ordering) -> None:
    text = csr(host.fqdn)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(host.order, [text, text]))
    answers.append(host.order(text))
    assert [answer.status_code for answer in answers] == [200] * 3, [answer.text for answer in answers]
    assert len({answer.text for answer in answers}) == 1
    assert len(host.api.items("/events", action="certificate.issued", object=host.fqdn)) == 1


def test_another_request_at_the_same_time(host: Ordering) -> None:
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(host.order, [csr(host.fqdn), csr(host.fqdn)]))
    first, second = sorted(answers, key=lambda answer: answer.status_code)
    assert first.status_code == 200
    assert "is being issued for another request" in problem(second, 409, AUTHORITY)["detail"]


def test_the_budget_of_a_host(service: Service, host: Ordering, alice: str) -> None:
    for _ in range(HOST_BUDGET):
        assert host.order(csr(host.fqdn)).status_code == 200
    refused = host.order(csr(host.fqdn))
    assert (
        f"The limit is {HOST_BUDGET} certificates for {host.fqdn} within a week"
        in problem(refused, 429, QUOTA)["detail"]
    )
    assert 6 * 86_400 < int(refused.headers["retry-after"]) <= 7 * 86_400
    host.api.call("DELETE", f"/hosts/{host.fqdn}")
    host.api.post("/hosts", {"fqdn": host.fqdn})
    problem(host.api.call("GET", host.path), 404)
    problem(host.order(csr(host.fqdn)), 429, QUOTA)


def test_metrics(service: Service, host: Ordering) -> None:
    assert host.order(csr(host.fqdn)).status_code == 200
    text = service.get("/metrics").text
    (line,) = [line for line in text.splitlines() if line.startswith('ddnsd_host_certificate_orders_total{result="iss')]
    assert float(line.split()[-1]) >= 1
    assert "ddnsd_host_certificate_order_duration_seconds_count" in text


def test_the_service_says_that_it_issues_certificates(service: Service) -> None:
    assert "certificates" in service.get("/api").json()["features"]


# ---- refused requests


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "not a valid certificate request"),
        ("é", "not a valid certificate request"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "not a valid"),
    ],
)
def test_text_that_is_no_request(host: Ordering, text: str, said: str) -> None:
    assert said in problem(host.order(text), 422, RULE, {"csr"})["detail"]


def test_names_of_others(host: Ordering, service: Service, alice: str) -> None:
    other = f"www.{service.domain}"
    requests_ = [
        csr(other),
        csr(host.fqdn, other),
        csr(host.fqdn, common=other),
        csr(f"a.{host.fqdn}"),
        csr(),
        csr(host.fqdn, others=(x509.IPAddress(IPv4Address("192.0.2.1")),)),
        csr(host.fqdn, others=(x509.RFC822Name("a@example.org"),)),
    ]
    for text in requests_:
        problem(host.order(text), 422, RULE, {"csr"})
    plain = new(service, alice)
    assert "has no wildcard" in problem(plain.order(csr(*plain.names)), 422, RULE, {"csr"})["detail"]
    assert host.api.items("/events", action="certificate.failed", object=host.fqdn) == []


def test_weak_and_strange_keys(host: Ordering) -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    for key in (weak, ed25519.Ed25519PrivateKey.generate()):
        assert "RSA with 2048" in problem(host.order(csr(host.fqdn, key=key)), 422, RULE, {"csr"})["detail"]


def test_a_forged_request(host: Ordering) -> None:
    lines = csr(host.fqdn, key=new_key()).splitlines()
    der = bytearray(base64.b64decode("".join(lines[1:-1])))
    der[-1] ^= 1
    text = "\n".join([lines[0], base64.b64encode(bytes(der)).decode(), lines[-1], ""])
    problem(host.order(text), 422, RULE, {"csr"})


# ---- permissions


def test_who_may_not(service: Service, host: Ordering, bob: str, reader: str) -> None:
    text = csr(host.fqdn)
    for token, status in ((bob, 404), (reader, 403)):
        problem(Api(service, token).call("POST", host.path, {"csr": text}), status)
    problem(Api(service, bob).call("GET", host.path), 404)
    problem(Api(service, reader).call("GET", host.path), 404)  # there is none
    limited = service.cli("token", "add", "alice", "--name", new_label(), "--host", f"x.{service.domain}")
    problem(Api(service, limited.stdout.strip()).call("POST", host.path, {"csr": text}), 404)
    assert service.request("POST", f"/api{host.path}", json={"csr": text}).status_code == 401


def test_blocked_suspended_and_aliases(service: Service, alice: str) -> None:
    host = new(service, alice)
    service.cli("host", "block", host.fqdn)
    problem(host.order(csr(host.fqdn)), 403)
    problem(host.order(csr(host.fqdn), user=host.fqdn, password=host.secret), 403)
    alias = new(service, alice, alias="www.example.net.")
    problem(alias.order(csr(alias.fqdn)), 404)

    name = new_label()
    suspended = new(service, service.user(name))
    service.cli("user", "suspend", name)
    problem(suspended.order(csr(suspended.fqdn)), 401)
    answer = suspended.order(csr(suspended.fqdn), user=suspended.fqdn, password=suspended.secret)
    assert answer.status_code in (401, 404)
    assert suspended.texts() == []


# ---- CAA


def test_records_of_the_host_that_forbid_the_authority(host: Ordering) -> None:
    host.api.call("PUT", f"/hosts/{host.fqdn}/records/@/CAA", {"values": ['0 issue "other.example.net"']})
    detail = problem(host.order(csr(host.fqdn)), 422, AUTHORITY)["detail"]
    assert f"The CAA records of {host.fqdn} do not allow the authority of this service ({IDENTITY})" in detail
    values = [f'0 issue "{IDENTITY}"', '0 issuewild ";"']
    host.api.call("PUT", f"/hosts/{host.fqdn}/records/@/CAA", {"values": values})
    assert "*." in problem(host.order(csr(*host.names)), 422, AUTHORITY)["detail"]
    assert host.order(csr(host.fqdn)).status_code == 200
    assert host.texts() == [] or host.service.dig(host.fqdn, "CAA") == sorted(values)


def test_records_above_the_host(service: Service, alice: str) -> None:
    zone = f"{new_label()}.example.org"
    service.cli("domain", "add", zone, "--owner", "alice")
    api = Api(service, alice)
    above = f"team.{zone}"
    api.post("/hosts", {"fqdn": above, "records": {"CAA": {"values": ['0 issue "other.example.net"']}}})
    host = Ordering(service, f"www.{above}", api.post("/hosts", {"fqdn": f"www.{above}"})["secret"], api)
    assert f"CAA records of {above}" in problem(host.order(csr(host.fqdn)), 422, AUTHORITY)["detail"]
    (event,) = api.items("/events", action="certificate.failed", object=host.fqdn)
    assert "other.example.net" in event["detail"]
    api.call("DELETE", f"/hosts/{above}/records/@/CAA")
    assert host.order(csr(host.fqdn)).status_code == 200


def test_failures_are_limited(host: Ordering) -> None:
    host.api.call("PUT", f"/hosts/{host.fqdn}/records/@/CAA", {"values": ['0 issue ";"']})
    for _ in range(5):
        problem(host.order(csr(host.fqdn)), 422, AUTHORITY)
    detail = problem(host.order(csr(host.fqdn)), 429, QUOTA)["detail"]
    assert "failed within an hour" in detail
    assert "CAA" in detail, "the last problem is told"
