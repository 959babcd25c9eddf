# SPDX-License-Identifier: GPL-3.0-or-later
"""All doors of a second service on the same database, which runs in this process."""

import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from support.browser.portal import entered
from support.clients.devices import Device, add_fleet
from support.clients.dns_update import Client, absent, add, delete, present
from support.clients.signing import csr
from support.ports import free_port, wait_until
from support.servers.in_process import in_process
from support.servers.pebble import pebble
from support.servers.service import Service, dev
from support.servers.webhook_receiver import receiver

from ddnsctl.external_dns.provider import Provider
from ddnsctl.external_dns.server import Routes, serve
from ddnsctl.sync.connect import open_server
from ddnsctl.transport import RequestsTransport
from ddnsd.auth.tsig_secrets import tsig_secret


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with (
        dev(tmp_path_factory.mktemp("first")) as first,
        pebble(tmp_path_factory.mktemp("pebble"), first.dns_port) as authority,
        in_process(
            first,
            acme_directory=authority.directory,
            acme_ca_file=authority.front,
            acme_caa_identities=("ca.example.org",),
            webhook_networks=("127.0.0.0/8",),
        ) as running,
    ):
        yield running


def api(service: Service, method: str, path: str, status: int, body: Any = None, **headers: str) -> Any:
    answer = service.request(method, f"/api{path}", service.admin_token, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def update(service: Service, fqdn: str, secret: str, **params: str) -> str:
    return service.get("/nic/update", auth=(fqdn, secret), params=params).text


def test_update_paths(service: Service) -> None:
    fqdn = f"nic.{service.domain}"
    secret = service.register(fqdn, ip="192.0.2.1", wildcard="true")
    assert update(service, fqdn, secret, myip="192.0.2.2") == "good 192.0.2.2"
    assert update(service, fqdn, secret, myip="192.0.2.2,2001:db8::1") == "good 192.0.2.2,2001:db8::1"
    assert update(service, fqdn, secret, myip="192.0.2.2,2001:db8::1").startswith("nochg")
    assert update(service, fqdn, secret, myip="nonsense") == "dnserr"
    assert update(service, fqdn, secret, hostname="other.example.org", myip="192.0.2.2") == "nohost"
    assert update(service, fqdn, secret, hostname="label", myip="192.0.2.2") == "notfqdn"
    assert update(service, fqdn, "wrong", myip="192.0.2.3") == "badauth"
    assert update(service, fqdn, secret, offline="YES") == "good"
    assert service.get("/nic/delete", auth=(fqdn, secret)).text.startswith("deleted")
    assert service.get("/update", params={"domains": "nic", "token": secret, "ip": "192.0.2.4"}).text == "OK"
    assert service.get("/update", params={"domains": "nic", "token": "wrong"}).text == "KO"
    assert service.get("/myip").text == "127.0.0.1"
    token = service.admin_token
    assert service.domain in service.get("/nic/domains", token).text
    assert fqdn in service.get("/nic/hosts", token, params={"domain": service.domain}).text
    assert service.get("/nic/register", token, params={"fqdn": fqdn}).status_code == 400
    new = service.get("/nic/generate_secret", token, params={"fqdn": fqdn}).json()["secret"]
    assert update(service, fqdn, new, myip="192.0.2.5") == "good 192.0.2.5"
    assert service.dig(f"any.{fqdn}") == ["192.0.2.5"]
    assert service.get("/nic/unregister", token, params={"fqdn": fqdn}).status_code == 200
    assert service.dig(fqdn) == []
    for path in ("/healthz", "/readyz", "/healthz/dns", "/metrics"):
        assert service.get(path, token).status_code == 200


def test_devices_of_a_fleet(service: Service) -> None:
    fleet = add_fleet(service, "cams", "--quota", "2")
    device, signing, other = (fleet.device(f"00112233440{n}") for n in range(3))
    assert device.update("192.0.2.1") == "good 192.0.2.1"
    assert device.update("192.0.2.1") == "nochg 192.0.2.1"
    assert Device(service, fleet.id, device.mac, "wrong").update("192.0.2.1") == "badauth"
    params = signing.signed("192.0.2.2")
    assert (signing.send(params), signing.send(params)) == ("good 192.0.2.2", "badauth")
    assert other.update("192.0.2.3") == "numhost"
    service.cli("fleet", "revoke", "cams", device.mac)
    assert device.update("192.0.2.2") == "badauth"
    assert other.update("192.0.2.3") == "good 192.0.2.3"


def test_hosts_by_rest(service: Service) -> None:
    fqdn = f"rest.{service.domain}"
    body = {"fqdn": fqdn, "ipv4": "192.0.2.1", "labels": {"a": "b"}, "records": {"TXT": ["x"]}, "stack": "here"}
    api(service, "POST", "/hosts", 201, body)
    api(service, "POST", "/hosts", 409, body)
    assert api(service, "GET", f"/hosts/{fqdn}", 200)["ipv4"] == "192.0.2.1"
    assert (
        api(service, "PATCH", f"/hosts/{fqdn}", 200, {"comment": "one", "ttl": 90, "ipv6": "2001:db8::5"})["ttl"] == 90
    )
    api(service, "PATCH", f"/hosts/{fqdn}", 422, {"ttl": 0})
    api(service, "PUT", f"/hosts/{fqdn}/records/_x/TXT", 200, {"values": ["y"], "ttl": 60})
    assert len(api(service, "GET", f"/hosts/{fqdn}/records", 200)["items"]) == 2
    api(service, "DELETE", f"/hosts/{fqdn}/records/_x/TXT", 204)
    api(service, "PUT", f"/hosts/{fqdn}/related/nas", 200, {"interface_id": "::7"})
    assert service.dig(f"nas.{fqdn}", "AAAA") == ["2001:db8::7"]
    api(service, "DELETE", f"/hosts/{fqdn}/related/nas", 204)
    secret = api(service, "POST", f"/hosts/{fqdn}/secret", 200)["secret"]
    assert api(service, "POST", f"/hosts/{fqdn}/verify-secret", 200, {"secret": secret}) == {"valid": True}
    assert api(service, "POST", "/verify-secrets", 200, {"secrets": {fqdn: secret}}) == {"valid": {fqdn: True}}
    enrolment = api(service, "POST", f"/hosts/{fqdn}/enrolments", 201, {})["token"]
    answer = service.request("POST", "/api/enrol", enrolment, json={"secret": "m" * 43})
    assert (answer.json()["fqdn"], answer.json()["tsig"]["name"]) == (fqdn, fqdn)
    assert api(service, "GET", f"/hosts/{fqdn}/history", 200)["items"]
    assert fqdn in str(api(service, "GET", "/hosts?stack=here&records=true", 200))
    moved = api(service, "PATCH", f"/hosts/{fqdn}", 200, {"fqdn": f"moved.{service.domain}"})["fqdn"]
    api(service, "PATCH", f"/hosts/{moved}", 200, {"abuse_blocked": True, "block_reason": "tried"})
    api(service, "PATCH", f"/hosts/{moved}", 200, {"abuse_blocked": False})
    api(service, "DELETE", f"/hosts/{moved}", 204)
    api(service, "GET", f"/hosts/{moved}", 404)


def test_changes_and_stacks(service: Service) -> None:
    one, two, alias = (f"bulk{n}.{service.domain}" for n in range(3))

    def make(*changes: dict[str, Any], **headers: str) -> list[str]:
        found = api(service, "POST", "/changes", 200, {"changes": list(changes)}, **headers)
        return [result["status"] for result in found["results"]]

    sets = (
        (one, {"ipv4": "192.0.2.1", "records": {"MX": ["10 mail.example.net."]}, "related": {"nas": "::7"}}),
        (two, {"ipv4": ["192.0.2.1", "192.0.2.2"]}),
        (alias, {"alias": "front.example.net."}),
    )
    creations = [{"action": "create", "fqdn": fqdn, "set": {"stack": "bulk", **fields}} for fqdn, fields in sets]
    assert make(*creations, **{"Idempotency-Key": "one"}) == ["applied"] * 3
    assert make(*creations, **{"Idempotency-Key": "one"}) == ["applied"] * 3, "the same answer again"
    assert make(*creations) == ["failed"] * 3
    assert sorted(service.dig(two)) == ["192.0.2.1", "192.0.2.2"]
    assert service.dig(alias, "CNAME") == ["front.example.net."]
    back = {"action": "update", "fqdn": alias, "set": {"alias": None, "ipv4": "192.0.2.3"}, "if": {"stack": "bulk"}}
    renamed = {"action": "update", "fqdn": one, "set": {"fqdn": f"bulk9.{service.domain}"}}
    assert make(back, renamed, {"action": "rotate", "fqdn": two}) == ["applied"] * 3
    assert service.dig(alias) == ["192.0.2.3"]
    assert api(service, "GET", f"/hosts/{two}", 200)["stack"] == "bulk"
    lease = api(service, "POST", "/stacks/bulk/lease", 201, {"note": "here"})
    assert lease["holder"]
    api(service, "POST", "/stacks/bulk/lease", 409, {})
    assert api(service, "GET", "/stacks/bulk", 200)["lease"]["holder"] == lease["holder"]
    api(service, "PUT", "/stacks/bulk/lease", 200, None, **{"Stack-Lease": lease["id"]})
    api(service, "DELETE", "/stacks/bulk/lease", 204, None, **{"Stack-Lease": lease["id"]})
    api(service, "PATCH", "/stacks/bulk", 200, {"protect": True})
    assert api(service, "GET", "/stacks", 200)["items"]


def test_credentials_and_lists(service: Service) -> None:
    fqdn = f"key.{service.domain}"
    service.register(fqdn, ip="192.0.2.1")
    token = api(service, "POST", "/tokens", 201, {"name": "in-process", "scopes": ["read"]})
    assert api(service, "GET", f"/tokens/{token['id']}", 200)["name"] == "in-process"
    api(service, "DELETE", f"/tokens/{token['id']}", 204)
    key = api(service, "POST", "/keys", 201, {"name": "pair", "hosts": [fqdn]})
    client = Client(service, key["login"], key["secret"])
    assert client.send(delete(fqdn, "A"), add(fqdn, "A", "192.0.2.7")) == "NOERROR"
    api(service, "DELETE", f"/keys/{key['login']}", 204)
    for path in (
        "/domains",
        "/users",
        "/events",
        "/status",
        "/quotas",
        "/deny",
        "/abuse-reports",
        "/domain-requests",
        "/keys",
        "/tokens",
    ):
        api(service, "GET", path, 200)


@pytest.mark.parametrize("tcp", [True, False])
def test_dns_update(service: Service, tcp: bool) -> None:
    fqdn = f"dns{int(tcp)}.{service.domain}"
    host = Client(service, fqdn, service.register(fqdn, ip="192.0.2.1"))
    challenge = f"_acme-challenge.{fqdn}"
    assert (
        host.send(present(fqdn, "A", "192.0.2.1"), delete(fqdn, "A"), add(fqdn, "A", "192.0.2.9"), tcp=tcp) == "NOERROR"
    )
    assert host.send(add(challenge, "TXT", '"one"'), tcp=tcp) == "NOERROR"
    assert host.send(add(challenge, "TXT", '"two"'), add(fqdn, "AAAA", "2001:db8::1"), tcp=tcp) == "NOERROR"
    assert sorted(service.dig(challenge, "TXT")) == ['"one"', '"two"']
    assert host.send(delete(challenge, "TXT", '"one"'), tcp=tcp) == "NOERROR"
    assert host.send(absent(fqdn), tcp=tcp) == "YXDOMAIN"
    assert host.send(absent(fqdn, "A"), tcp=tcp) == "YXRRSET"
    assert host.send(present(fqdn, "MX"), tcp=tcp) == "NXRRSET"
    assert host.send(add(fqdn, "A", "192.0.2.10"), tcp=tcp) == "REFUSED"
    assert host.send(add(fqdn, "NS", "ns.example.net."), tcp=tcp) == "REFUSED"
    assert host.send(delete(fqdn), tcp=tcp) == "NOERROR"
    assert service.dig(fqdn) == []


def test_acme_clients(service: Service) -> None:
    fqdn = f"acme.{service.domain}"
    secret = service.register(fqdn, ip="192.0.2.1")
    name = f"_acme-challenge.{fqdn}"

    def call(path: str, status: int, body: Any, **headers: str) -> requests.Response:
        answer = service.request("POST", path, json=body, headers=headers, auth=(fqdn, secret))
        assert answer.status_code == status, answer.text
        return answer

    for value in ("one", "two"):
        call("/acme/present", 200, {"fqdn": f"{name}.", "value": value})
    call("/acme/present", 200, {"domain": fqdn, "token": "t", "keyAuth": "a.b"})
    assert len(service.dig(name, "TXT")) == 3
    call("/acme/cleanup", 200, {"domain": fqdn, "token": "t", "keyAuth": "a.b"})
    nothing: tuple[Any, ...] = ({}, [])
    for body in nothing:
        call("/acme/present", 400, body)
    call("/acme/present", 422, {"fqdn": f"{name}.", "value": "a b"})
    call("/acme/present", 404, {"fqdn": "x", "value": "y"})
    headers = {"X-Api-User": fqdn, "X-Api-Key": secret}
    assert call("/acme-dns/update", 200, {"subdomain": fqdn, "txt": "three"}, **headers).json() == {"txt": "three"}
    assert sorted(service.dig(name, "TXT")) == ['"three"', '"two"']
    call("/acme-dns/update", 401, {"txt": "x"}, **{"X-Api-User": fqdn, "X-Api-Key": "wrong"})
    call("/acme-dns/register", 403, {})


def test_certificates(service: Service) -> None:
    fqdn = f"certificate.{service.domain}"
    api(service, "POST", "/hosts", 201, {"fqdn": fqdn, "ipv4": "192.0.2.1", "wildcard": True})
    path = f"/hosts/{fqdn}/certificate"
    api(service, "GET", path, 404)
    api(service, "POST", path, 422, {"csr": "nonsense"})
    api(service, "POST", path, 422, {"csr": csr("other.example.org")})
    answer = service.request("POST", f"/api{path}", service.admin_token, json={"csr": csr(fqdn, f"*.{fqdn}")})
    assert answer.status_code == 200, answer.text
    assert answer.text.startswith("-----BEGIN CERTIFICATE-----")
    assert service.get(f"/api{path}", service.admin_token).text == answer.text
    wait_until(lambda: service.dig(f"_acme-challenge.{fqdn}", "TXT") == [], 20, "the values are removed")
    api(service, "PUT", f"/hosts/{fqdn}/records/@/CAA", 200, {"values": ['0 issue "ca.example.net"']})
    answer = service.request("POST", f"/api{path}", service.admin_token, json={"csr": csr(fqdn)})
    assert answer.status_code not in (200, 500), answer.text


def test_reverse_names(service: Service) -> None:
    service.cli("domain", "add", "2.0.192.in-addr.arpa", "--owner", "admin", "--reverse", "all")
    fqdn = f"pointed.{service.domain}"
    secret = service.register(fqdn, ip="192.0.2.77")
    assert api(service, "PATCH", f"/hosts/{fqdn}", 200, {"ptr": True})["ptr"] is True
    wait_until(lambda: service.dig("77.2.0.192.in-addr.arpa", "PTR") == [f"{fqdn}."], 20, "the reverse name")
    assert update(service, fqdn, secret, myip="192.0.2.78") == "good 192.0.2.78"
    wait_until(lambda: service.dig("78.2.0.192.in-addr.arpa", "PTR") == [f"{fqdn}."], 20, "it follows")
    assert service.dig("77.2.0.192.in-addr.arpa", "PTR") == []
    (pointer,) = api(service, "GET", f"/hosts/{fqdn}", 200)["pointers"]
    assert pointer["address"] == "192.0.2.78"
    api(service, "DELETE", f"/hosts/{fqdn}", 204)
    wait_until(lambda: service.dig("78.2.0.192.in-addr.arpa", "PTR") == [], 20, "it goes")


def test_ds_records_and_delegations(service: Service) -> None:
    child = f"signed.{service.domain}"
    service.cli("domain", "add", child, "--owner", "admin", "--dnssec-policy", "default")
    wait_until(lambda: api(service, "GET", f"/domains/{child}/ds", 200)["lines"] != [], 30, "the zone has keys")
    assert child in service.cli("domain", "ds", child).stdout
    service.cli("doctor", check=False)
    service.cli("domain", "remove", child)


def test_a_transfer(service: Service) -> None:
    made = api(service, "POST", "/tokens", 201, {"name": "reader", "scopes": ["read"]})
    reader = Client(service, f"t-{made['id']}", made["token"])
    key = f"hmac-sha256:{reader.key_name}:{tsig_secret(reader.secret)}"
    command = ["dig", "+nocmd", "+tries=1", "@127.0.0.1", "-p", str(reader.port), "-y", key, service.domain, "AXFR"]
    assert "XFR size" in subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_external_dns(service: Service) -> None:
    def connect() -> Any:
        return open_server(RequestsTransport(service.url, service.admin_token))

    lines: list[str] = []
    routes, port = Routes(Provider(connect, "cluster", lines.append), lines.append), free_port()
    server = serve(routes, routes.webhook, "127.0.0.1", port)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def call(method: str, path: str, status: int, content: Any = None) -> Any:
        answer = requests.request(method, f"http://127.0.0.1:{port}{path}", json=content, timeout=60)
        assert answer.status_code == status, answer.text
        return answer.json() if status == 200 else None

    name = f"shop.{service.domain}"
    wanted = [
        {"dnsName": name, "recordType": "A", "targets": ["192.0.2.5"], "recordTTL": 300},
        {"dnsName": f"*.{name}", "recordType": "A", "targets": ["192.0.2.6"]},
        {"dnsName": name, "recordType": "MX", "targets": ["10 mail.example.org"]},
        {"dnsName": name, "recordType": "PTR", "targets": ["x"]},
        {"dnsName": "www.example.com", "recordType": "A", "targets": ["192.0.2.5"]},
    ]
    assert service.domain in call("GET", "/", 200)["include"]
    adjusted = call("POST", "/adjustendpoints", 200, wanted)
    call("POST", "/records", 204, {"create": adjusted})
    assert len(call("GET", "/records", 200)) == len(adjusted) == 3
    call("POST", "/records", 500, {"create": wanted})
    call("POST", "/records", 400, {"create": 1})
    call("POST", "/records", 204, {"delete": adjusted})
    assert call("GET", "/records", 200) == []
    assert "ddnsctl_external_dns_changes_total" in routes.metrics.text()
    server.shutdown()
    server.server_close()


def test_pages_of_the_portal(service: Service) -> None:
    fqdn = f"page.{service.domain}"
    service.register(fqdn, ip="192.0.2.1")
    browser = entered(service, "admin")
    of_host = ("", "/edit", "/configuration", "/history", "/records", "/related", "/certificate")
    of_domain = ("", "/edit", "/hosts", "/members")
    of_admin = ("", "/abuse", "/deny", "/domains", "/events", "/groups", "/hosts", "/requests", "/users", "/users/new")
    paths = [f"/hosts/{fqdn}{part}" for part in of_host]
    paths += [f"/domains/{service.domain}{part}" for part in of_domain]
    paths += [f"/admin{part}" for part in of_admin]
    paths += [
        "/",
        "/?q=page",
        "/hosts/new",
        "/domains",
        "/domains/new",
        "/domains/ask",
        "/tokens",
        "/tokens/new",
        "/keys",
    ]
    paths += [
        "/keys/new",
        "/dhcp-keys",
        "/dhcp-keys/new",
        "/account",
        "/account/log",
        "/status",
        "/help",
        "/report-abuse",
    ]
    for path in paths:
        assert browser.open(path).status == 200, path


def test_webhooks(service: Service) -> None:
    with receiver() as target:
        given = {"name": "w", "url": target.url, "types": ["host.created"]}
        made = api(service, "POST", "/webhooks", 201, given)
        target.secrets.append(made["secret"])
        api(service, "POST", "/webhooks", 422, given | {"url": "https://10.0.0.1/"})
        path = f"/webhooks/{made['id']}"
        assert api(service, "GET", "/webhooks", 200)["items"] == [api(service, "GET", path, 200)]
        assert api(service, "PATCH", path, 200, {"hosts": ["a-*"], "active": False})["hosts"] == ["a-*"]
        api(service, "POST", f"{path}/deliveries/1/redelivery", 404)
        tested = api(service, "POST", f"{path}/test", 200)
        assert tested["state"] == "delivered"
        again = f"{path}/deliveries/{tested['id']}/redelivery"
        api(service, "POST", again, 422)
        assert api(service, "PATCH", path, 200, {"active": True})["active"]
        assert api(service, "POST", f"{path}/secret", 200)["secret"] != made["secret"]
        assert api(service, "POST", again, 200)["message_id"] == tested["message_id"]
        assert len(api(service, "GET", f"{path}/deliveries", 200)["items"]) == 1
        api(service, "DELETE", path, 204)
        api(service, "GET", path, 404)
