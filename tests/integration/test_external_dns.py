# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl external-dns`: what external-dns sends to a webhook provider, against a running service.

The messages are those of external-dns's Go types. `Cluster.sync` compares as its planner does.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from support import programs
from support.ports import free_port, wait_until
from support.servers.service import Service

from ddnsctl.commands.external_dns import command

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "kubernetes" / "external-dns.yml"
MEDIA_TYPE = "application/external.dns.webhook+json;version=1"
numbers = count(1)
Endpoint = dict[str, Any]


def endpoint(name: str, rtype: str, *targets: str, ttl: int = 0) -> Endpoint:
    """As external-dns makes it from a source."""
    made: Endpoint = {"dnsName": name, "targets": list(targets), "recordType": rtype, "labels": {"resource": "x"}}
    return made | ({"recordTTL": ttl} if ttl else {})


@dataclass
class Cluster:
    """external-dns beside `ddnsctl external-dns`, with a domain and a user of its own."""

    service: Service
    domain: str
    token: str
    port: int
    probes: int
    log: Path

    def call(self, method: str, path: str, content: Any = None, **headers: str) -> requests.Response:
        headers = {"Accept": MEDIA_TYPE} | headers
        url = f"http://127.0.0.1:{self.port}{path}"
        return requests.request(method, url, json=content, headers=headers, timeout=60)

    def records(self) -> list[Endpoint]:
        answer = self.call("GET", "/records")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, MEDIA_TYPE)
        found: list[Endpoint] = answer.json()
        return found

    def changes(self, *wanted: Endpoint) -> dict[str, list[Endpoint]]:
        """The planner's changes: by name and type; a TTL counts if it is configured."""
        answer = self.call("POST", "/adjustendpoints", list(wanted))
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, MEDIA_TYPE)
        desired = {(one["dnsName"], one["recordType"]): one for one in answer.json()}
        current = {(one["dnsName"], one["recordType"]): one for one in self.records()}
        differing = [
            key
            for key in desired.keys() & current.keys()
            if sorted(desired[key]["targets"]) != sorted(current[key]["targets"])
            or desired[key].get("recordTTL", current[key].get("recordTTL")) != current[key].get("recordTTL")
            or desired[key].get("providerSpecific")
        ]
        return {
            "create": [desired[key] for key in desired.keys() - current.keys()],
            "updateOld": [current[key] for key in differing],
            "updateNew": [desired[key] for key in differing],
            "delete": [current[key] for key in current.keys() - desired.keys()],
        }

    def sync(self, *wanted: Endpoint) -> None:
        """Bring the service to what is wanted; then nothing is left to do."""
        answer = self.call("POST", "/records", self.changes(*wanted))
        assert (answer.status_code, answer.text) == (204, "")
        assert not any(self.changes(*wanted).values())

    def dig(self, label: str, rtype: str = "A") -> list[str]:
        return sorted(self.service.dig(f"{label}.{self.domain}", rtype))

    def put(self, label: str, **fields: Any) -> None:
        """Register a host of the same user, past external-dns."""
        body = {"fqdn": f"{label}.{self.domain}", **fields}
        answer = self.service.request("POST", "/api/hosts", self.token, json=body)
        assert answer.status_code == 201, answer.text


@contextmanager
def sidecar(service: Service, folder: Path, domain: str, token: str) -> Iterator[Cluster]:
    port, probes, log = free_port(), free_port(), folder / "external-dns.log"
    (folder / "token").write_text(token)
    words = ["ddnsctl", "external-dns", "--stack", "cluster", "--token-file", str(folder / "token")]
    words += ["--server", service.url, "--listen", f"127.0.0.1:{port}", "--probes", f"127.0.0.1:{probes}"]
    with log.open("wb") as stream:
        process = programs.start(words, dict(os.environ), stream)
    try:
        wait_until(lambda: "serving" in log.read_text(), 20, "it serves")
        yield Cluster(service, domain, token, port, probes, log)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.fixture
def cluster(ddnsd: Service, tmp_path: Path) -> Iterator[Cluster]:
    number = next(numbers)
    user, domain = f"cluster{number}", f"cluster{number}.example.net"
    token = ddnsd.user(user)
    ddnsd.cli("domain", "add", domain, "--owner", user)
    with sidecar(ddnsd, tmp_path, domain, token) as running:
        yield running


def test_negotiation(cluster: Cluster) -> None:
    answer = cluster.call("GET", "/")
    assert answer.status_code == 200
    assert (answer.headers["Content-Type"], answer.headers["Vary"]) == (MEDIA_TYPE, "Content-Type")
    assert cluster.domain in answer.json()["include"]
    assert answer.json()["include"] == answer.json()["filters"]


def test_records_of_all_types_come_change_and_go(cluster: Cluster) -> None:
    name = f"www.{cluster.domain}"
    cluster.sync(
        endpoint(name, "A", "192.0.2.10", "192.0.2.9", ttl=300),
        endpoint(name, "AAAA", "2001:DB8:0:0::1"),
        endpoint(name, "TXT", "heritage=none", '"b" "c"'),
        endpoint(name, "MX", "10 Mail.example.org"),
        endpoint(f"_sip._tcp.{name}", "SRV", "10 5 5060 sip.example.org", ttl=120),
        endpoint(name, "NAPTR", '10 20 "S" "SIP+D2U" "" _sip._udp.example.org'),
        endpoint(f"Shop.{cluster.domain}.", "CNAME", "Front.example.net"),
    )
    assert cluster.dig("www") == ["192.0.2.10", "192.0.2.9"]
    assert cluster.dig("www", "TXT") == ['"b" "c"', '"heritage=none"']
    assert cluster.dig("www", "MX") == ["10 mail.example.org."]
    assert cluster.dig("_sip._tcp.www", "SRV") == ["10 5 5060 sip.example.org."]
    assert cluster.dig("shop", "CNAME") == ["front.example.net."]
    cluster.sync(endpoint(name, "A", "192.0.2.11", ttl=60), endpoint(f"shop.{cluster.domain}", "A", "192.0.2.12"))
    assert (cluster.dig("www"), cluster.dig("www", "AAAA"), cluster.dig("www", "TXT")) == (["192.0.2.11"], [], [])
    assert cluster.dig("shop") == ["192.0.2.12"]
    cluster.sync()
    assert cluster.service.get("/api/hosts", cluster.token).json()["items"] == []


@pytest.mark.parametrize("own", [[], ["192.0.2.20"], ["192.0.2.21"]], ids=["alone", "same", "other"])
def test_a_wildcard_has_the_addresses_of_its_host(cluster: Cluster, own: list[str]) -> None:
    wanted = [endpoint(f"apps.{cluster.domain}", "A", address, ttl=90) for address in own]
    cluster.sync(*wanted, endpoint(f"*.apps.{cluster.domain}", "A", "192.0.2.20"))
    expected = own or ["192.0.2.20"]
    assert cluster.dig("apps") == cluster.dig("any.apps") == expected
    assert ("because a wildcard has the addresses of its host" in cluster.log.read_text()) == (own == ["192.0.2.21"])
    cluster.sync(*wanted)
    assert (cluster.dig("apps"), cluster.dig("any.apps")) == (own, [])


def test_what_the_service_cannot_store_is_left_out(cluster: Cluster) -> None:
    name = f"www.{cluster.domain}"
    cluster.sync(
        endpoint(name, "A", "192.0.2.1") | {"providerSpecific": [{"name": "alias", "value": "false"}]},
        endpoint(name, "PTR", "x.example.net"),
        endpoint(cluster.domain, "A", "192.0.2.1"),
        endpoint("www.example.com", "A", "192.0.2.1"),
        endpoint(f"weighted.{cluster.domain}", "A", "192.0.2.1") | {"setIdentifier": "one"},
        endpoint(f"wild.{cluster.domain}", "A", "not an address"),
    )
    assert [one["dnsName"] for one in cluster.records()] == [name]
    log = cluster.log.read_text()
    assert log.count(f"PTR {name} is left out: the service does not store this type") == 1
    assert "A www.example.com is left out: it is in no domain that the token may use" in log
    assert f"A weighted.{cluster.domain} is left out: the service has no routing policies" in log


def test_hosts_of_other_stacks_and_users_stay(cluster: Cluster) -> None:
    other = cluster.service.user(f"{cluster.domain.partition('.')[0]}-bob")
    cluster.service.request("PATCH", f"/api/domains/{cluster.domain}", cluster.token, json={"public": True})
    cluster.put("web", stack="web-prod", ipv4="192.0.2.1")
    cluster.put("own", ipv4="192.0.2.2")
    body = {"fqdn": f"bob.{cluster.domain}", "stack": "cluster", "ipv4": "192.0.2.3"}
    assert cluster.service.request("POST", "/api/hosts", other, json=body).status_code == 201
    assert cluster.records() == []
    names = [f"{label}.{cluster.domain}" for label in ("web", "own", "bob", "mine")]
    answer = cluster.call("POST", "/records", {"create": [endpoint(name, "A", "192.0.2.9") for name in names]})
    assert answer.status_code == 500, "which external-dns tries again"
    assert f"web.{cluster.domain} belongs to stack web-prod" in answer.text
    assert f"own.{cluster.domain} belongs to no stack" in answer.text
    assert f"bob.{cluster.domain}" in answer.text
    found = [cluster.service.dig(name) for name in names]
    assert found == [["192.0.2.1"], ["192.0.2.2"], ["192.0.2.3"], ["192.0.2.9"]]
    deleted = cluster.call("POST", "/records", {"delete": [endpoint(name, "A", "192.0.2.1") for name in names]})
    assert deleted.status_code == 500
    assert [cluster.service.dig(name) for name in names] == [["192.0.2.1"], ["192.0.2.2"], ["192.0.2.3"], []]


def test_messages_of_earlier_versions(cluster: Cluster) -> None:
    wanted = endpoint(f"old.{cluster.domain}", "A", "192.0.2.5")
    content = {"Create": [wanted], "UpdateOld": None, "UpdateNew": None, "Delete": None}
    assert cluster.call("POST", "/records", content).status_code == 204
    assert cluster.dig("old") == ["192.0.2.5"]
    answer = requests.post(f"http://127.0.0.1:{cluster.port}/adjustendpoints", data="null", timeout=60)
    assert (answer.status_code, answer.json()) == (200, [])


def test_other_requests_change_nothing(cluster: Cluster) -> None:
    url = f"http://127.0.0.1:{cluster.port}/records"
    for body in ("", "{", "[]", '{"create": 1}', '{"create": [{}]}', '{"create": ["x"]}'):
        assert requests.post(url, data=body, timeout=60).status_code == 400, body
    content = {"create": [endpoint(f"x.{cluster.domain}", "A", "192.0.2.5")]}
    for headers in ({"Origin": "http://127.0.0.1:8888"}, {"Sec-Fetch-Site": "cross-site"}):
        assert cluster.call("POST", "/records", content, **headers).status_code == 403, "a page in a browser"
    assert cluster.call("GET", "/nothing").status_code == 404
    assert cluster.records() == []


def test_a_token_that_changes(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("ddns_wrong")
    answer = cluster.call("GET", "/records")
    assert answer.status_code == 500
    assert "token" in answer.text
    (tmp_path / "token").write_text(cluster.token)
    assert cluster.records() == []


def test_probes_and_metrics(cluster: Cluster) -> None:
    cluster.sync(endpoint(f"www.{cluster.domain}", "A", "192.0.2.1"))
    probes = f"http://127.0.0.1:{cluster.probes}"
    assert requests.get(f"{probes}/healthz", timeout=60).status_code == 200
    text = requests.get(f"{probes}/metrics", timeout=60).text
    assert 'ddnsctl_external_dns_requests_total{method="POST",path="/records",status="204"} 1' in text
    assert 'ddnsctl_external_dns_changes_total{result="changed"} 1' in text
    assert requests.get(f"{probes}/records", timeout=60).status_code == 404, "only at the other port"


def test_the_example() -> None:
    """The deployment starts the command with options that it has, and gives it the token where it looks for it."""
    (deployment,) = (one for one in yaml.safe_load(EXAMPLE.read_text())["items"] if one["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    external_dns, sidecar = pod["containers"]
    assert {"--provider=webhook", "--registry=noop"} <= set(external_dns["args"])
    assert sidecar["command"] == ["ddnsctl", "external-dns"]
    given = dict(argument.split("=", 1) for argument in sidecar["args"])
    known = {name for parameter in command.params for name in parameter.opts}
    assert given.keys() <= known
    (mount,) = sidecar["volumeMounts"]
    assert str(Path(given["--token-file"]).parent) == mount["mountPath"]
    assert given["--probes"].endswith(f":{sidecar['ports'][0]['containerPort']}")
    assert "--listen" not in given, "external-dns connects to the default"


def test_wrong_options(ddnsd: Service) -> None:
    for options, reason in (
        (["--listen", "localhost"], "write ADDRESS:PORT"),
        (["--listen", "127.0.0.1:0"], "the port must be"),
        (["--stack", "a b"], "--stack"),
    ):
        words = ["ddnsctl", "external-dns", "--stack", "x", "--server", ddnsd.url, *options]
        done = programs.invoke(words, {"DDNS_TOKEN": ddnsd.admin_token})
        assert done.returncode == 1
        assert reason in done.stderr
