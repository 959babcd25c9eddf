# SPDX-License-Identifier: GPL-3.0-or-later
"""The port for DNS UPDATE: who may change which records, and every answer of the contract."""

import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.tsig
import dns.update
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clients.dns_update import Client, Fill, absent, add, delete, exchange, present
from support.clients.dyndns import new_label
from support.ports import free_port, wait_until
from support.servers.faults import hung
from support.servers.service import Service, beside, dev

from ddnsd.auth.tsig_secrets import tsig_secret

NewClient = Callable[..., Client]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    given = {"update_listen": f"127.0.0.1:{free_port()}", "update_algorithms": "hmac-sha256,hmac-sha512,hmac-md5"}
    if request.param == "postgres":
        given["database_url"] = request.getfixturevalue("new_database")()
    with dev(tmp_path_factory.mktemp("dnsupdate"), address_deny="198.18.0.0/15", **given) as running:
        yield running


@pytest.fixture
def host(service: Service, request: pytest.FixtureRequest) -> Client:
    """A client with the key of a host of its own, which has an address."""
    fqdn = f"h{abs(hash(request.node.nodeid))}.{service.domain}"
    return Client(service, fqdn, service.register(fqdn, ip="192.0.2.1"))


def txt(service: Service, name: str) -> list[str]:
    return sorted(service.dig(name, "TXT"))


# ---- what may be changed


@pytest.mark.parametrize("tcp", [True, False])
def test_a_host_changes_its_addresses(service: Service, host: Client, tcp: bool) -> None:
    name = host.key_name
    assert (
        host.send(delete(name, "A"), add(name, "A", "192.0.2.7"), add(name, "AAAA", "2001:db8::7"), tcp=tcp)
        == "NOERROR"
    )
    assert (service.dig(name), service.dig(name, "AAAA")) == (["192.0.2.7"], ["2001:db8::7"])
    assert host.send(delete(name, "A", "192.0.2.99")) == "NOERROR"
    assert service.dig(name) == ["192.0.2.7"]
    assert host.send(delete(name, "A", "192.0.2.7")) == "NOERROR"
    assert (service.dig(name), service.dig(name, "AAAA")) == ([], ["2001:db8::7"])
    assert host.send(delete(name)) == "NOERROR"
    assert service.dig(name, "AAAA") == []


def test_the_history_names_the_key(service: Service, host: Client) -> None:
    assert host.send(delete(host.key_name, "A"), add(host.key_name, "A", "192.0.2.8")) == "NOERROR"
    last = service.get(f"/api/hosts/{host.key_name}/history", service.admin_token).json()["items"][0]
    assert (last["actor"], last["via"], last["agent"]) == (host.key_name, "host", "DNS UPDATE")
    assert last["after"] == {"ipv4": "192.0.2.8"}


def test_values_come_and_go_one_by_one(service: Service, host: Client) -> None:
    """Two certificates for one name at the same time: each adds and removes its own value."""
    name = f"_acme-challenge.{host.key_name}"
    assert host.send(add(name, "TXT", '"one"', ttl=120)) == "NOERROR"
    assert host.send(add(name, "TXT", '"two"', ttl=120)) == "NOERROR"
    assert txt(service, name) == ['"one"', '"two"']
    assert host.send(delete(name, "TXT", '"one"')) == "NOERROR"
    assert txt(service, name) == ['"two"']
    assert host.send(delete(name, "TXT")) == "NOERROR"
    assert txt(service, name) == []
    assert service.dig(host.key_name) == ["192.0.2.1"]


def test_records_of_other_types(service: Service, host: Client) -> None:
    name, tlsa = host.key_name, f"_443._tcp.{host.key_name}"
    changes = (add(name, "MX", "10 Mail.Example.NET."), add(tlsa, "TLSA", "3 1 1 " + 64 * "a"))
    assert host.send(*changes) == "NOERROR"
    assert service.dig(name, "MX") == ["10 mail.example.net."]
    assert len(service.dig(tlsa, "TLSA")) == 1
    shown = service.get(f"/api/hosts/{name}/records", service.admin_token).json()["items"]
    assert {(one["name"], one["type"]) for one in shown} == {("@", "MX"), ("_443._tcp", "TLSA")}


def test_all_or_nothing(service: Service, host: Client) -> None:
    name = host.key_name
    changes = (delete(name, "A"), add(name, "A", "192.0.2.9"), add(f"_x.{name}", "TXT", '"x"'))
    assert host.send(*changes, add(name, "NS", "ns.example.net.")) == "REFUSED"
    assert (service.dig(name), txt(service, f"_x.{name}")) == (["192.0.2.1"], [])


REFUSED = {
    "a second address": lambda name: add(name, "A", "192.0.2.2"),
    "a loopback address": lambda name: add(name, "AAAA", "::1"),
    "an IPv4 address as IPv6": lambda name: add(name, "AAAA", "::ffff:192.0.2.1"),
    "an alias": lambda name: add(name, "CNAME", "www.example.net."),
    "a delegation": lambda name: add(name, "NS", "ns.example.net."),
    "an address below": lambda name: add(f"_a.{name}", "A", "192.0.2.2"),
    "a name below": lambda name: add(f"below.{name}", "TXT", '"x"'),
    "the wildcard": lambda name: add(f"*.{name}", "A", "192.0.2.2"),
    "the domain": lambda name: add(name.partition(".")[2], "TXT", '"x"'),
    "the marker of the owner": lambda name: delete("_ddnsd." + name.partition(".")[2]),
    "a prerequisite on another name": lambda name: absent(f"other.{name.partition('.')[2]}"),
    "CAA below an underscore": lambda name: add(f"_x.{name}", "CAA", '0 issue "ca.example.net"'),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_a_host_may_not_change(service: Service, host: Client, what: str) -> None:
    assert host.send(REFUSED[what](host.key_name)) == "REFUSED"
    assert service.dig(host.key_name) == ["192.0.2.1"]


def test_a_host_with_several_addresses_keeps_them(service: Service, host: Client) -> None:
    """Its other records can be changed, for a certificate; an alias has none."""
    name = host.key_name
    path, both = f"/api/hosts/{name}", ["192.0.2.1", "192.0.2.2"]
    assert service.request("PATCH", path, service.admin_token, json={"ipv4": both}).status_code == 200
    assert host.send(add(f"_acme-challenge.{name}", "TXT", '"x"')) == "NOERROR"
    assert host.send(delete(name, "A"), add(name, "A", "192.0.2.3")) == "REFUSED"
    assert host.send(delete(name)) == "REFUSED"
    assert sorted(service.dig(name)) == both
    assert host.send(delete(f"_acme-challenge.{name}", "TXT")) == "NOERROR"
    alias = {"ipv4": None, "alias": "front.example.net."}
    assert service.request("PATCH", path, service.admin_token, json=alias).status_code == 200
    assert host.send(add(f"_acme-challenge.{name}", "TXT", '"x"')) == "REFUSED"
    assert host.send(present(name, "CNAME", "front.example.net.")) == "REFUSED"


def test_names_of_others(service: Service, host: Client) -> None:
    other = service.register(f"other-{host.key_name}", ip="192.0.2.50")
    assert host.send(delete(f"other-{host.key_name}", "A")) == "REFUSED"
    assert host.send(add("www.elsewhere.example", "A", "192.0.2.1"), zone="elsewhere.example") == "NOTAUTH"
    assert host.send(add("www.elsewhere.example", "A", "192.0.2.1")) == "NOTZONE"
    assert service.dig(f"other-{host.key_name}") == ["192.0.2.50"]
    assert other


def test_rules_hold_here_too(service: Service, host: Client) -> None:
    name = host.key_name
    assert host.send(delete(name, "A"), add(name, "A", "198.18.0.1")) == "REFUSED"
    shown = service.get(f"/api/hosts/{name}", service.admin_token).json()
    assert (shown["abuse_blocked"], service.dig(name)) == (True, [])
    assert host.send(add(name, "A", "192.0.2.2")) == "REFUSED"


def test_a_key_for_a_group(service: Service, host: Client) -> None:
    second = f"second-{host.key_name}"
    service.register(second, ip="192.0.2.1")
    body = {"name": "pair", "hosts": [host.key_name, second]}
    made = service.request("POST", "/api/keys", service.admin_token, json=body).json()
    client = Client(service, made["login"], made["secret"])
    changes = [change for name in body["hosts"] for change in (delete(name, "A"), add(name, "A", "192.0.2.60"))]
    assert client.send(*changes) == "NOERROR"
    assert [service.dig(name) for name in body["hosts"]] == [["192.0.2.60"], ["192.0.2.60"]]
    assert client.send(*changes, add(f"third-{host.key_name}", "A", "192.0.2.60")) == "REFUSED"


def test_a_token_registers_names_within_its_limits(service: Service) -> None:
    scope = {"name": f"dns{time.monotonic_ns()}", "scopes": ["read", "write"], "hosts": ["new-*"]}
    made = service.request("POST", "/api/tokens", service.admin_token, json=scope).json()
    client, name = Client(service, f"t-{made['id']}", made["token"]), f"new-{made['id']}.{service.domain}"
    assert client.send(absent(name), add(name, "A", "192.0.2.70")) == "NOERROR"
    assert service.dig(name) == ["192.0.2.70"]
    assert client.send(absent(name), add(name, "A", "192.0.2.71")) == "YXDOMAIN"
    assert client.send(delete(name, "A"), add(name, "A", "192.0.2.72")) == "NOERROR"
    assert client.send(add(f"_acme-challenge.new-{made['id']}x.{service.domain}", "TXT", '"x"')) == "NOERROR"
    assert client.send(add(f"other-{made['id']}.{service.domain}", "A", "192.0.2.70")) == "REFUSED"
    assert service.request("DELETE", f"/api/tokens/{made['id']}", service.admin_token).status_code == 204
    with pytest.raises(dns.tsig.PeerBadKey):
        client.send(delete(name, "A"))


def test_the_api_shows_the_tsig_key_of_a_new_secret(service: Service) -> None:
    admin, name = service.admin_token, f"shown{time.monotonic_ns()}.{service.domain}"
    made = service.request("POST", "/api/hosts", admin, json={"fqdn": name}).json()
    new = service.request("POST", f"/api/hosts/{name}/secret", admin).json()
    key = service.request("POST", "/api/keys", admin, json={"name": name, "hosts": [name]}).json()
    body = {"name": name, "scopes": ["read", "write"]}
    token = service.request("POST", "/api/tokens", admin, json=body).json()
    assert made["tsig"]["secret"] == tsig_secret(made["secret"])
    for number, (key_name, shown) in enumerate(
        [(name, new["tsig"]), (key["login"], key["tsig"]), (f"t-{token['id']}", token["tsig"])]
    ):
        assert (shown["name"], shown["algorithm"]) == (key_name, "hmac-sha256")
        message = dns.update.UpdateMessage(service.domain)
        message.replace(dns.name.from_text(name), 60, "A", f"192.0.2.{number + 1}")
        message.use_tsig(dns.tsig.Key(key_name, shown["secret"], shown["algorithm"]))
        assert Client(service, key_name, "").exchange(message) == "NOERROR"
    assert "tsig" not in service.get(f"/api/hosts/{name}", admin).json()
    assert "tsig" not in service.get(f"/api/keys/{key['login']}", admin).json()


def test_bulk_calls_and_enrolment_show_the_tsig_key_too(service: Service) -> None:
    admin, label = service.admin_token, f"bulk{time.monotonic_ns()}"
    names = [f"{label}-{part}.{service.domain}" for part in "ab"]
    changes = [{"action": "create", "fqdn": name} for name in names]
    key, made = {"Idempotency-Key": label}, []
    for _ in range(2):
        answer = service.request("POST", "/api/changes", admin, json={"changes": changes}, headers=key)
        made.append(answer.json()["results"])
    assert made[0] == made[1]
    body = {"changes": [{"action": "rotate", "fqdn": names[0]}, {"action": "update", "fqdn": names[1], "set": {}}]}
    dry = service.request(
        "POST", "/api/changes?dry_run=1", admin, json={"changes": [{**changes[0], "fqdn": "x" + names[0]}]}
    )
    assert not {"secret", "tsig"} & dry.json()["results"][0].keys()
    rotated, same = service.request("POST", "/api/changes", admin, json=body).json()["results"]
    assert not {"secret", "tsig"} & same.keys()
    token = service.request("POST", f"/api/hosts/{names[1]}/enrolments", admin, json={}).json()["token"]
    secret = secrets.token_urlsafe(32)
    enrolled = service.request("POST", "/api/enrol", token, json={"secret": secret}).json()
    for name, shown, secret_of in ((names[0], rotated, rotated["secret"]), (names[1], enrolled, secret)):
        expected = {"name": name, "algorithm": "hmac-sha256", "secret": tsig_secret(secret_of)}
        assert shown["tsig"] == expected
        client = Client(service, name, "", tsig=shown["tsig"]["secret"])
        assert client.send(delete(name, "A"), add(name, "A", "192.0.2.80")) == "NOERROR"
    assert [one["tsig"]["secret"] for one in made[0]] == [tsig_secret(one["secret"]) for one in made[0]]
    stored = b"".join(path.read_bytes() for path in (service.log, *service.dir.glob("ddnsd.db*")))
    shown_once = [one["tsig"]["secret"] for one in (*made[0], rotated, enrolled)]
    assert not [text for text in shown_once if text.encode() in stored]


def test_secrets_made_by_commands_work_at_once(service: Service, host: Client) -> None:
    name = host.key_name
    login, _, secret = service.cli("key", "add", "admin", "--host", name).stdout.strip().partition(":")
    assert Client(service, login, secret).send(delete(name, "A"), add(name, "A", "192.0.2.61")) == "NOERROR"
    token = service.cli("token", "add", "admin", "--name", name).stdout.strip()
    made = service.get("/api/tokens", service.admin_token, params={"limit": "100"}).json()["items"]
    (number,) = [one["id"] for one in made if one["name"] == name]
    assert Client(service, f"t-{number}", token).send(delete(name, "A"), add(name, "A", "192.0.2.62")) == "NOERROR"
    assert service.dig(name) == ["192.0.2.62"]


@pytest.fixture
def token(service: Service) -> Client:
    """A client with a token of the administrator."""
    scope = {"name": f"dns{time.monotonic_ns()}", "scopes": ["read", "write"]}
    made = service.request("POST", "/api/tokens", service.admin_token, json=scope).json()
    return Client(service, f"t-{made['id']}", made["token"])


def test_a_token_makes_aliases(service: Service, host: Client, token: Client) -> None:
    name = host.key_name
    assert token.send(add(name, "CNAME", "Front.Example.net.")) == "REFUSED"  # it has an address
    assert token.send(delete(name), add(name, "CNAME", f"{name}.")) == "REFUSED"
    alias = (delete(name), add(name, "CNAME", "Front.Example.net.", ttl=900))
    assert host.send(*alias) == "REFUSED"
    assert token.send(present(name, "A", "192.0.2.9"), *alias) == "NXRRSET"
    assert service.dig(name) == ["192.0.2.1"]
    wire = token.message(present(name, "A"), *alias).to_wire()
    for _ in range(2):  # the second time it is a replay
        assert dns.message.from_wire(token.raw(wire), keyring=False).rcode() == dns.rcode.NOERROR
    assert service.dig(name, "CNAME") == ["front.example.net."]
    assert service.get(f"/api/hosts/{name}", service.admin_token).json()["alias"] == "front.example.net."
    assert token.send(add(name, "TXT", '"x"')) == "REFUSED"
    assert token.send(add(name, "A", "192.0.2.1")) == "REFUSED"
    assert token.send(present(name, "CNAME", "FRONT.example.net."), add(name, "CNAME", "b.example.net.")) == "NOERROR"
    assert service.dig(name, "CNAME") == ["b.example.net."]
    assert host.send(delete(name), add(name, "A", "192.0.2.5")) == "REFUSED"
    assert token.send(delete(name, "CNAME"), add(name, "A", "192.0.2.5"), add(name, "TXT", '"x"')) == "NOERROR"
    assert (service.dig(name), service.dig(name, "CNAME"), txt(service, name)) == (["192.0.2.5"], [], ['"x"'])
    assert host.send(delete(name, "A")) == "NOERROR"
    entries = service.get(f"/api/hosts/{name}/history", service.admin_token).json()["items"]
    (last,) = [one for one in entries if (one["before"] or {}).get("alias") == "b.example.net."]
    assert (last["agent"], last["via"]) == ("DNS UPDATE", "token")


def test_a_name_of_another_zone_is_an_alias_of_a_host(service: Service, host: Client, token: Client) -> None:
    """A custom domain: a CNAME in a second zone, with its own TTL, follows the host's address."""
    zone = f"custom{time.monotonic_ns()}.example.org"
    service.cli("domain", "add", zone, "--owner", "admin", "--ttl", "300")
    name, target = f"www.{zone}", f"{host.key_name}."
    assert token.send(absent(name), add(name, "CNAME", target), zone=zone) == "NOERROR"
    for address in ("192.0.2.1", "192.0.2.2"):
        assert host.send(delete(host.key_name, "A"), add(host.key_name, "A", address)) == "NOERROR"
        shown = []
        for asked in (name, target):  # as a resolver does
            found = dns.query.udp(dns.message.make_query(asked, "A"), "127.0.0.1", port=service.dns_port, timeout=10)
            shown.append((found.answer[0].name.to_text(), found.answer[0].ttl, found.answer[0][0].to_text()))
        assert shown == [(f"{name}.", 300, target), (target, 60, address)]


def test_a_domain_that_takes_no_updates_by_dns(service: Service) -> None:
    zone, admin = f"off{time.monotonic_ns()}.example.org", service.admin_token
    service.cli("domain", "add", zone, "--owner", "admin", "--no-dns-updates")
    assert service.get(f"/api/domains/{zone}", admin).json()["dns_updates"] is False
    name = f"a.{zone}"
    host = Client(service, name, service.register(name, ip="192.0.2.1"))
    made = service.request("POST", "/api/tokens", admin, json={"name": zone, "scopes": ["read", "write"]}).json()
    token = Client(service, f"t-{made['id']}", made["token"])
    change, new = (delete(name, "A"), add(name, "A", "192.0.2.2")), add(f"new.{zone}", "A", "192.0.2.3")
    assert (host.send(*change, zone=zone), token.send(new, zone=zone)) == ("REFUSED", "REFUSED")
    assert service.request("PATCH", f"/api/domains/{zone}", admin, json={"dns_updates": True}).status_code == 200
    assert (host.send(*change, zone=zone), token.send(new, zone=zone)) == ("NOERROR", "NOERROR")
    assert service.dig(name) == ["192.0.2.2"]
    service.cli("domain", "set", zone, "--no-dns-updates")
    assert host.send(*change, zone=zone) == "REFUSED"
    assert service.get("/nic/update", auth=(name, host.secret), params={"myip": "192.0.2.4"}).text == "good 192.0.2.4"


def test_a_new_secret_ends_the_old_key(service: Service, host: Client) -> None:
    new = service.request("POST", f"/api/hosts/{host.key_name}/secret", service.admin_token).json()["secret"]
    with pytest.raises(dns.tsig.PeerBadSignature):
        host.send(delete(host.key_name, "A"))
    host.secret = new
    assert host.send(delete(host.key_name, "A")) == "NOERROR"


# ---- prerequisites


def test_prerequisites(host: Client) -> None:
    name = host.key_name
    change = (delete(name, "AAAA"), add(name, "AAAA", "2001:db8::1"))
    assert host.send(absent(name), *change) == "YXDOMAIN"
    assert host.send(absent(name, "A"), *change) == "YXRRSET"
    assert host.send(present(name, "TXT"), *change) == "NXRRSET"
    assert host.send(present(name, "A", "192.0.2.2"), *change) == "NXRRSET"
    assert host.send(present(f"_x.{name}"), *change) == "NXDOMAIN"
    assert (
        host.send(present(name), present(name, "A"), present(name, "A", "192.0.2.1"), absent(f"_x.{name}")) == "NOERROR"
    )
    assert host.send(present(name, "A", "192.0.2.1"), absent(name, "AAAA"), *change) == "NOERROR"
    assert host.service.dig(name, "AAAA") == ["2001:db8::1"]


def test_compare_and_swap_loses_nothing(service: Service, host: Client) -> None:
    name = f"_count.{host.key_name}"
    assert host.send(add(name, "TXT", '"0"')) == "NOERROR"

    def increase(_thread: int) -> list[int]:
        seen: list[int] = []
        while len(seen) < 10:
            value = int(txt_of(service, host, name))
            new = (delete(name, "TXT"), add(name, "TXT", f'"{value + 1}"'))
            if host.send(present(name, "TXT", f'"{value}"'), *new) == "NOERROR":
                seen.append(value + 1)
        return seen

    with ThreadPoolExecutor(8) as pool:
        made = [value for values in pool.map(increase, range(8)) for value in values]
    assert sorted(made) == list(range(1, 81))


def txt_of(service: Service, host: Client, name: str) -> str:
    query = dns.message.make_query(name, "TXT")
    found = dns.query.udp(query, "127.0.0.1", port=host.port, timeout=10)
    return str(found.answer[0][0]).strip('"')


# ---- signatures


def test_unsigned_messages_are_refused(service: Service, host: Client) -> None:
    message = dns.update.UpdateMessage(service.domain)
    message.delete(dns.name.from_text(host.key_name), "A")
    assert host.exchange(message) == "REFUSED"


def test_wrong_secrets_and_unknown_keys(host: Client) -> None:
    change = delete(host.key_name, "A")
    with pytest.raises(dns.tsig.PeerBadSignature):
        Client(host.service, host.key_name, "wrong").send(change)
    with pytest.raises(dns.tsig.PeerBadKey):
        Client(host.service, f"nobody.{host.service.domain}", host.secret).send(change)
    with pytest.raises(dns.tsig.PeerBadKey):
        Client(host.service, "t-999999", host.secret).send(change)


def test_algorithms(host: Client) -> None:
    change = delete(host.key_name, "AAAA")
    for algorithm in (dns.tsig.HMAC_SHA512, dns.tsig.HMAC_MD5):
        assert Client(host.service, host.key_name, host.secret, algorithm).send(change) == "NOERROR"
    for algorithm in (dns.tsig.HMAC_SHA1, dns.tsig.HMAC_SHA384):
        with pytest.raises(dns.tsig.PeerBadKey):
            Client(host.service, host.key_name, host.secret, algorithm).send(change)


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_wrong_clock_is_told_with_ours(host: Client, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    """RFC 8945, 5.2.3: the answer is signed, and has the server's time in Other Data."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3600 * hours)
    message = host.message(delete(host.key_name, "A"))
    wire = message.to_wire()
    with pytest.raises(dns.tsig.PeerBadTime):
        dns.query.tcp(message, "127.0.0.1", port=host.port, timeout=10)
    answer = dns.message.from_wire(host.raw(wire), keyring=False)
    assert answer.tsig is not None
    record = answer.tsig[0]
    assert (answer.rcode(), record.error, len(record.mac)) == (dns.rcode.NOTAUTH, dns.rcode.BADTIME, 32)
    assert abs(int.from_bytes(record.other) - now) < 60
    assert host.service.dig(host.key_name) == ["192.0.2.1"]


def test_short_macs(host: Client) -> None:
    for octets, rcode in ((8, "FORMERR"), (20, "NOTAUTH")):
        message = host.message(delete(host.key_name, "A"))
        wire = message.to_wire()
        assert message.tsig is not None
        record = message.tsig[0]
        cut = record.replace(mac=record.mac[:octets])
        size = len(wire) - len(record.to_wire()) - 2
        shortened = wire[:size] + len(cut.to_wire()).to_bytes(2) + cut.to_wire()
        answer = dns.message.from_wire(host.raw(shortened), keyring=False)
        assert dns.rcode.to_text(answer.rcode()) == rcode
    assert answer.tsig is not None
    assert answer.tsig[0].error == dns.rcode.BADTRUNC
    assert host.service.dig(host.key_name) == ["192.0.2.1"]


def test_the_same_message_again_changes_nothing(service: Service, host: Client) -> None:
    name = host.key_name
    wire = host.message(delete(name, "A"), add(name, "A", "192.0.2.20")).to_wire()
    first = dns.message.from_wire(host.raw(wire), keyring=False)
    assert host.send(delete(name, "A"), add(name, "A", "192.0.2.21")) == "NOERROR"
    again = dns.message.from_wire(host.raw(wire), keyring=False)
    assert first.rcode() == again.rcode() == dns.rcode.NOERROR
    assert service.dig(name) == ["192.0.2.21"]
    failed = host.message(present(name, "A", "192.0.2.30"), delete(name, "A")).to_wire()
    assert dns.message.from_wire(host.raw(failed), keyring=False).rcode() == dns.rcode.NXRRSET
    assert host.send(delete(name, "A"), add(name, "A", "192.0.2.30")) == "NOERROR"
    assert dns.message.from_wire(host.raw(failed), keyring=False).rcode() == dns.rcode.NXRRSET
    assert service.dig(name) == ["192.0.2.30"]


def test_a_successful_exchange_of_values_again_has_the_same_answer(service: Service, host: Client) -> None:
    name = host.key_name
    swap = host.message(present(name, "A", "192.0.2.1"), delete(name, "A"), add(name, "A", "192.0.2.2")).to_wire()
    for _ in range(2):
        assert dns.message.from_wire(host.raw(swap), keyring=False).rcode() == dns.rcode.NOERROR
        assert service.dig(name) == ["192.0.2.2"]


def test_a_registration_that_failed_fails_again(service: Service, token: Client) -> None:
    name = f"late{time.monotonic_ns()}.{service.domain}"
    service.add_record(f"{name}.", "TXT", "somebody's")
    wire = token.message(add(name, "A", "192.0.2.70")).to_wire()
    assert dns.message.from_wire(token.raw(wire), keyring=False).rcode() == dns.rcode.REFUSED
    service.remove_records(f"{name}.", "TXT")
    assert dns.message.from_wire(token.raw(wire), keyring=False).rcode() == dns.rcode.REFUSED
    assert service.get(f"/api/hosts/{name}", service.admin_token).status_code == 404
    assert token.send(add(name, "A", "192.0.2.70")) == "NOERROR"


def test_a_record_that_was_replaced_does_not_come_back(service: Service, host: Client) -> None:
    """Replays of what set it and of what was refused for a record of somebody else keep their answers."""
    name, other = f"_x.{host.key_name}", f"_other.{host.key_name}"
    first = host.message(delete(name, "TXT"), add(name, "TXT", '"first"')).to_wire()
    assert dns.message.from_wire(host.raw(first), keyring=False).rcode() == dns.rcode.NOERROR
    assert host.send(delete(name, "TXT"), add(name, "TXT", '"second"')) == "NOERROR"
    service.add_record(f"{other}.", "TXT", "somebody's")
    displaced = host.message(add(name, "TXT", '"third"'), add(other, "TXT", '"ours"')).to_wire()
    assert dns.message.from_wire(host.raw(displaced), keyring=False).rcode() == dns.rcode.REFUSED
    service.remove_records(f"{other}.", "TXT")
    assert dns.message.from_wire(host.raw(displaced), keyring=False).rcode() == dns.rcode.REFUSED
    assert dns.message.from_wire(host.raw(first), keyring=False).rcode() == dns.rcode.NOERROR
    assert (txt(service, name), txt(service, other)) == (['"second"'], [])


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with quotas, and the algorithms of the default."""
    listen = f"127.0.0.1:{free_port()}"
    with dev(
        tmp_path_factory.mktemp("limited"),
        update_listen=listen,
        rules="on",
        changes_per_hour="4",  # the registration counts, too
        record_changes_per_hour="3",
    ) as running:
        yield running


def test_the_same_message_again_does_not_count(limited: Service) -> None:
    fqdn = f"counted.{limited.domain}"
    owner = limited.user("alice")  # administrators have no quotas
    host = Client(limited, fqdn, limited.register(fqdn, owner, ip="192.0.2.1"))
    made = [host.message(delete(fqdn, "A"), add(fqdn, "A", f"192.0.2.{n}")) for n in (2, 3, 4, 5)]
    first, *others = (message.to_wire() for message in made)
    rcodes = [dns.message.from_wire(host.raw(wire), keyring=False).rcode() for wire in (first, others[0], *[first] * 5)]
    assert set(rcodes) == {dns.rcode.NOERROR}
    rcodes = [dns.message.from_wire(host.raw(wire), keyring=False).rcode() for wire in others[1:]]
    assert rcodes == [dns.rcode.NOERROR, dns.rcode.REFUSED]
    assert limited.dig(fqdn) == ["192.0.2.4"]
    one, two = (host.message(delete(f"_x.{fqdn}"), add(f"_x.{fqdn}", "TXT", f'"{n}"')).to_wire() for n in (1, 2))
    rcodes = [dns.message.from_wire(host.raw(wire), keyring=False).rcode() for wire in (one, two, *[one] * 4)]
    assert set(rcodes) == {dns.rcode.NOERROR}
    assert host.send(add(f"_x.{fqdn}", "TXT", '"3"')) == "NOERROR"


def test_hmac_md5_where_it_is_not_allowed(limited: Service) -> None:
    fqdn = f"old.{limited.domain}"
    host = Client(limited, fqdn, limited.register(fqdn, ip="192.0.2.1"), dns.tsig.HMAC_MD5)
    with pytest.raises(dns.tsig.PeerBadKey):
        host.send(*mikrotik(fqdn, "192.0.2.2"), tcp=False)
    assert limited.dig(fqdn) == ["192.0.2.1"]


def nsupdate(client: Client, algorithm: str, *lines: str) -> str:
    """What nsupdate says; empty if the change was made. It verifies the answer's signature."""
    key = f"{algorithm}:{client.key_name}:{tsig_secret(client.secret)}"
    script = [f"server 127.0.0.1 {client.port}", f"zone {client.service.domain}", *lines, "send", ""]
    command = ["nsupdate", "-y", key]
    return subprocess.run(
        command, input="\n".join(script), capture_output=True, text=True, timeout=60, check=False
    ).stderr.strip()


def test_programs_use_hmac_md5_where_it_is_allowed(service: Service, limited: Service, host: Client) -> None:
    lines = f"update delete {host.key_name} A", f"update add {host.key_name} 60 A 192.0.2.92"
    assert nsupdate(host, "hmac-md5", *lines) == ""
    assert service.dig(host.key_name) == ["192.0.2.92"]
    allowed = dig(host, service.domain, rtype="SOA", algorithm="hmac-md5")
    assert ("status: NOERROR" in allowed, "verify" in allowed) == (True, False)

    old = f"{new_label()}.{limited.domain}"
    there = Client(limited, old, limited.register(old, ip="192.0.2.1"))
    changes = f"update delete {old} A", f"update add {old} 60 A 192.0.2.92"
    assert "NOTAUTH(BADKEY)" in nsupdate(there, "hmac-md5", *changes)
    refused = dig(there, limited.domain, rtype="SOA", algorithm="hmac-md5")
    assert "status: NOTAUTH" in refused
    assert "BADKEY" in refused
    assert limited.dig(old) == ["192.0.2.1"]
    assert nsupdate(there, "hmac-sha256", *changes) == ""
    assert limited.dig(old) == ["192.0.2.92"]


def mikrotik(fqdn: str, address: str) -> tuple[Fill, Fill]:
    """What RouterOS sends for `/tool dns-update`: the RRset is deleted, and the record added with its TTL."""
    return delete(fqdn, "A"), add(fqdn, "A", address, ttl=60)


def test_a_message_as_of_mikrotik(service: Service, host: Client) -> None:
    client = Client(service, host.key_name, host.secret, dns.tsig.HMAC_MD5)
    for _ in range(2):
        assert client.send(*mikrotik(host.key_name, "192.0.2.91"), tcp=False) == "NOERROR"
    assert service.dig(host.key_name) == ["192.0.2.91"]


def test_messages_as_of_cert_manager(service: Service, host: Client) -> None:
    """It removes the RRset before it adds a value with a TTL of 60 seconds, and removes this value in the end."""
    name = f"_acme-challenge.{host.key_name}"
    service.request("PATCH", f"/api/hosts/{host.key_name}", service.admin_token, json={"ttl": 300})
    assert host.send(add(name, "TXT", '"left"', ttl=60), tcp=False) == "NOERROR"
    assert host.send(delete(name, "TXT"), add(name, "TXT", '"value"', ttl=60), tcp=False) == "NOERROR"
    found = dns.query.udp(dns.message.make_query(name, "TXT"), "127.0.0.1", port=host.port, timeout=10)
    assert (found.answer[0].ttl, found.answer[0][0].to_text()) == (60, '"value"')
    assert host.send(delete(name, "TXT", '"value"'), tcp=False) == "NOERROR"
    assert txt(service, name) == []


def test_another_node_knows_the_message(
    tmp_path_factory: pytest.TempPathFactory, service: Service, host: Client
) -> None:
    if "DDNSD_DATABASE_URL" not in service.settings:
        url = f"sqlite:///{service.dir}/ddnsd.db"
    else:
        url = service.settings["DDNSD_DATABASE_URL"]
    key = str(service.dir / "second_factor.key")
    listen = f"127.0.0.1:{free_port()}"
    two_dir = tmp_path_factory.mktemp("two")
    with beside(service, two_dir, url, update_listen=listen, second_factor_key=key) as two:
        there, name = Client(two, host.key_name, host.secret), host.key_name
        wire = host.message(delete(name, "A"), add(name, "A", "192.0.2.40")).to_wire()
        assert dns.message.from_wire(host.raw(wire), keyring=False).rcode() == dns.rcode.NOERROR
        assert there.send(delete(name, "A"), add(name, "A", "192.0.2.41"), zone=service.domain) == "NOERROR"
        assert dns.message.from_wire(there.raw(wire), keyring=False).rcode() == dns.rcode.NOERROR
        assert service.dig(name) == ["192.0.2.41"]


# ---- zone transfers


def reader_of(service: Service, owner: str | None = None, **limits: object) -> Client:
    """A client with the key of a new token."""
    maker = owner or service.admin_token
    body = {"name": f"t{time.monotonic_ns()}", "scopes": ["read"], **limits}
    made = service.request("POST", "/api/tokens", maker, json=body).json()
    return Client(service, f"t-{made['id']}", made["token"])


def dig(client: Client, zone: str, *more: str, rtype: str = "AXFR", algorithm: str = "hmac-sha256") -> str:
    """What dig prints. It verifies signatures, and ends a transfer that is not signed."""
    key = f"{algorithm}:{client.key_name}:{client.tsig or tsig_secret(client.secret)}"
    command = ["dig", "+nocmd", "+tries=1", "@127.0.0.1", "-p", str(client.port), zone, rtype, *more]
    signed = ["-y", key] if client.key_name else []
    return subprocess.run([*command, *signed], capture_output=True, text=True, timeout=60, check=False).stdout


def records(text: str) -> list[list[str]]:
    """The records that dig prints, without TSIG records, sorted."""
    lines = (line.split() for line in text.splitlines() if line and not line.startswith(";"))
    return sorted(fields for fields in lines if fields[3] != "TSIG")


def test_the_owner_of_a_domain_reads_the_whole_zone(service: Service, host: Client) -> None:
    zone = service.domain
    names = [f"{host.key_name.split('.')[0]}-{number}.{zone}" for number in range(1200)]
    changes = [
        {"action": "create", "fqdn": name, "set": {"ipv4": "192.0.2.9", "ipv6": "2001:db8::9"}} for name in names
    ]
    made = service.request("POST", "/api/changes", service.admin_token, json={"changes": changes})
    assert made.status_code == 200
    wait_until(lambda: all(service.dig(name) == ["192.0.2.9"] for name in names[-2:]), 30, "DNS has them")
    reader = reader_of(service)
    for algorithm in ("hmac-sha256", "hmac-sha512", "hmac-md5"):
        found = dig(reader, zone.title(), algorithm=algorithm)
        assert int(found.split("messages ")[1].split(",")[0]) > 1, found[-200:]
        assert len(records(found)) > 2 * len(names)
        assert {fields[4] for fields in records(found) if fields[0] == f"{names[0]}."} == {"192.0.2.9", "2001:db8::9"}
    assert "status: NOERROR" in dig(reader, zone, "+tcp", rtype="SOA")
    logged = [line for line in service.log.read_text().splitlines() if "zone transfer" in line]
    assert logged
    assert all(zone in line and reader.key_name in line for line in logged[-3:])


@pytest.mark.parametrize(
    "kind", ["unsigned", "host", "key", "wrong", "hosts", "stacks", "others", "user", "name", "foreign", "ixfr", "udp"]
)
def test_nobody_else_reads_the_zone(service: Service, host: Client, kind: str) -> None:
    zone, rtype, more, expected = service.domain, "AXFR", ["+tcp"], "REFUSED"
    reader = reader_of(service)
    match kind:
        case "unsigned":
            reader = Client(service, "", "x")
        case "host":
            reader = host
        case "key":
            body = {"name": host.key_name, "hosts": [host.key_name]}
            made = service.request("POST", "/api/keys", service.admin_token, json=body).json()
            reader = Client(service, made["login"], made["secret"])
        case "wrong":
            reader, expected = Client(service, reader.key_name, "wrong"), "NOTAUTH"
        case "hosts" | "stacks":
            reader = reader_of(service, hosts=["a*"]) if kind == "hosts" else reader_of(service, stacks=["a*"])
        case "others":
            reader = reader_of(service, domains=["lab.example.org"])
        case "user":
            service.cli("user", "add", "carol")
            reader = reader_of(service, service.cli("token", "add", "carol", "--name", "carol").stdout.strip())
        case "name":
            zone = host.key_name
        case "foreign":
            zone = "example.com"
        case "ixfr":
            rtype = "IXFR=1"
        case "udp":
            rtype, more = "AXFR", ["+notcp", "+ignore"]
    if kind == "udp":
        message = dns.message.make_query(zone, "AXFR")
        message.use_tsig(reader.key)
        answer = dns.query.udp(message, "127.0.0.1", port=reader.port, timeout=10)
        assert (answer.rcode(), answer.answer) == (dns.rcode.REFUSED, [])
        return
    found = dig(reader, zone, *more, rtype=rtype)
    assert records(found) == []
    if rtype == "AXFR":
        query = dns.message.make_query(zone, rtype)
        if reader.key_name:
            query.use_tsig(reader.key)
        answer = dns.message.from_wire(reader.raw(query.to_wire()), keyring=False)
        assert dns.rcode.to_text(answer.rcode()) == expected
        assert answer.answer == []


def test_a_zone_is_not_read_while_the_name_server_is_silent(service: Service) -> None:
    reader = reader_of(service)
    query = dns.message.make_query(service.domain, "AXFR")
    query.use_tsig(reader.key)

    def begun() -> int:
        return sum(reader.key_name in line for line in service.log.read_text().splitlines() if "zone transfer" in line)

    def ask() -> str:
        answer = dns.message.from_wire(reader.raw(query.to_wire()), keyring=reader.key, request_mac=query.mac)
        return dns.rcode.to_text(answer.rcode())

    with ThreadPoolExecutor(2) as pool, hung(service.named_pid()):
        waiting = [pool.submit(dig, reader, service.domain, "+time=30") for _ in range(2)]
        wait_until(lambda: begun() == 2, 20, "two transfers are under way")
        assert ask() == "SERVFAIL"
        assert begun() == 2, "a third one is not begun"
        assert [records(one.result()) for one in waiting] == [[], []], "the service does not wait for ever"
    assert records(dig(reader, service.domain)) != []


# ---- faults


def test_a_silent_name_server(service: Service, host: Client) -> None:
    with hung(service.named_pid()):
        assert host.send(delete(host.key_name, "A"), add(host.key_name, "A", "192.0.2.80")) == "SERVFAIL"
    wait_until(lambda: service.dig(host.key_name) == ["192.0.2.80"], 20, "DNS follows")


def test_what_was_answered_survives_a_kill(tmp_path_factory: pytest.TempPathFactory) -> None:
    with dev(tmp_path_factory.mktemp("killed"), update_listen=f"127.0.0.1:{free_port()}") as service:
        name = f"a.{service.domain}"
        host = Client(service, name, service.register(name, ip="192.0.2.1"))
        assert (
            host.send(delete(name, "A"), add(name, "A", "192.0.2.90"), add(f"_x.{name}", "TXT", '"kept"')) == "NOERROR"
        )
        assert service.process is not None
        os.kill(service.process.pid, signal.SIGKILL)
        service.kill()
        service.start()
        assert (service.dig(name), txt(service, f"_x.{name}")) == (["192.0.2.90"], ['"kept"'])
        assert service.get(f"/api/hosts/{name}", service.admin_token).json()["ipv4"] == "192.0.2.90"
        assert host.send(delete(name, "A")) == "NOERROR"


def test_a_client_that_sends_no_more_gets_its_answer(host: Client) -> None:
    wire = host.message(delete(host.key_name, "A"), add(host.key_name, "A", "192.0.2.81")).to_wire()
    with socket.create_connection(("127.0.0.1", host.port), timeout=10) as connection:
        connection.sendall(len(wire).to_bytes(2) + wire)
        connection.shutdown(socket.SHUT_WR)
        assert connection.makefile("rb").read()[5] & 15 == dns.rcode.NOERROR


# ---- queries


def test_queries_for_our_zones(service: Service, host: Client) -> None:
    def ask(name: str, rtype: str, key: dns.tsig.Key | None = None) -> dns.message.Message:
        query = dns.message.make_query(name, rtype)
        if key is not None:
            query.use_tsig(key)
        return dns.query.udp(query, "127.0.0.1", port=host.port, timeout=10)

    soa = ask(service.domain, "SOA")
    assert soa.flags & dns.flags.AA
    assert soa.answer[0].rdtype == dns.rdatatype.SOA
    below = ask(f"nothing.{host.key_name}", "SOA")
    assert (below.rcode(), below.authority[0].name.to_text()) == (dns.rcode.NXDOMAIN, service.domain + ".")
    assert ask(host.key_name, "A", host.key).answer[0][0].to_text() == "192.0.2.1"
    for name, rtype in (("example.com", "A"), ("org", "SOA"), (service.domain, "ANY"), (service.domain, "AXFR")):
        query = dns.message.make_query(name, rtype)
        answer = dns.message.from_wire(exchange(host.port, query.to_wire()), keyring=False)
        assert answer.rcode() == dns.rcode.REFUSED, name


def test_large_answers_are_cut_for_unsigned_questions(service: Service, host: Client) -> None:
    name = f"_big.{host.key_name}"
    assert host.send(add(name, "TXT", *(f'"{n}{"x" * 200}"' for n in range(5)))) == "NOERROR"
    query = dns.message.make_query(name, "TXT", use_edns=0, payload=4096)
    cut = dns.query.udp(query, "127.0.0.1", port=host.port, timeout=10)
    assert cut.flags & dns.flags.TC
    assert not cut.answer
    assert len(dns.query.tcp(query, "127.0.0.1", port=host.port, timeout=10).answer[0]) == 5


# ---- anything else


SIGNED = st.sampled_from(["cut", "changed"])


@settings(max_examples=60)
@given(octets=st.binary(max_size=300), flags=st.sampled_from([0, 0x2800, 0x8000, 0x1000, 0x2000]))
def test_octets_of_any_kind_change_nothing(fuzzed: Client, octets: bytes, flags: int) -> None:
    wire = b"\x12\x34" + flags.to_bytes(2) + octets
    answer = fuzzed.raw(wire) if not flags & 0x8000 else b""
    assert answer == b"" or (answer[:2] == b"\x12\x34" and (not flags & 0x2800 or answer[3] & 15 != dns.rcode.NOERROR))


@settings(max_examples=60)
@given(data=st.data(), kind=SIGNED)
def test_changed_messages_are_never_accepted(fuzzed: Client, data: st.DataObject, kind: str) -> None:
    wire = fuzzed.message(delete(fuzzed.key_name, "A")).to_wire()
    at = data.draw(st.integers(2, len(wire) - 1))
    if kind == "cut":
        wire = wire[:at]
    else:
        wire = wire[:at] + bytes([wire[at] ^ data.draw(st.integers(1, 255))]) + wire[at + 1 :]
    if wire[2:3] and wire[2] & 0x80:
        return  # an answer, which gets none
    answer = fuzzed.raw(wire)
    letters = wire.lower() == fuzzed.message(delete(fuzzed.key_name, "A")).to_wire().lower()
    assert letters or answer == b"" or answer[3] & 15 != dns.rcode.NOERROR
    assert fuzzed.service.get(f"/api/hosts/{fuzzed.key_name}", fuzzed.service.admin_token).json()["ipv4"] == "192.0.2.1"


@pytest.fixture(scope="module")
def fuzzed(service: Service) -> Client:
    name = f"fuzzed.{service.domain}"
    return Client(service, name, service.register(name, ip="192.0.2.1"))
