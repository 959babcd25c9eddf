# SPDX-License-Identifier: GPL-3.0-or-later
"""Reverse names follow their hosts through every door, in zones of a real name server; PTR records of others stay."""

import json
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from itertools import count
from typing import Any

import dns.query
import dns.rcode
import dns.update
import pytest
from support.clients.dns_update import Client, add, delete
from support.clients.dyndns import Host, register, said
from support.clients.rest_api import Api
from support.ports import free_port, wait_until
from support.servers.second_bind import SecondBind, second_bind
from support.servers.service import Service, dev

from ddnsd.dns.tsig import TsigKey

V4, PART, V6 = "2.0.192.in-addr.arpa", "64-127.100.51.198.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"
VERIFIED = "113.0.203.in-addr.arpa"
SECONDS = 60.0

numbers = count(1)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    given = {"update_listen": f"127.0.0.1:{free_port()}", "trusted_proxies": "127.0.0.0/8"}
    if request.param == "postgres":
        given["database_url"] = request.getfixturevalue("new_database")()
    with dev(tmp_path_factory.mktemp("reverse"), **given) as running:
        for zone in (V4, PART, V6):
            running.cli("domain", "add", zone, "--owner", "admin", "--reverse", "all")
        running.cli("domain", "add", VERIFIED, "--owner", "admin", "--reverse", "verified")
        yield running


@pytest.fixture(scope="module")
def other_primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondBind]:
    with second_bind(tmp_path_factory.mktemp("second")) as running:
        yield running


@pytest.fixture(scope="module")
def alice(service: Service) -> str:
    return service.user("alice")


@pytest.fixture
def address() -> str:
    """An address that no other test uses."""
    return f"192.0.2.{next(numbers)}"


def reverse(address: str) -> str:
    return ip_address(address).reverse_pointer


def pointer(service: Service, address: str) -> list[str]:
    """What a resolver that asks for the name of the address gets."""
    return service.dig(reverse(address), "PTR")


def becomes(service: Service, address: str, *hosts: Host | str) -> None:
    """Wait until the address has the names of these hosts."""
    wanted = sorted(f"{host if isinstance(host, str) else host.fqdn}." for host in hosts)
    name = address if address.endswith(".arpa") else reverse(address)
    try:
        wait_until(lambda: service.dig(name, "PTR") == wanted, SECONDS, f"{address} is {wanted}")
    except AssertionError as error:
        raise AssertionError(f"{name}: {service.dig(name, 'PTR')} instead of {wanted}") from error


def wants(service: Service, token: str, ipv4: str | None = None, **fields: Any) -> Host:
    """A new host with `ptr`."""
    made = Api(service, token).host(ptr=True, ipv4=ipv4, **fields)
    return Host(service, made["fqdn"], made["secret"], token)


def shown(host: Host) -> list[tuple[str, str]]:
    found = Api(host.service, host.token).get(f"/hosts/{host.fqdn}")
    return [(one["address"], one["state"]) for one in found["pointers"]]


def becomes_shown(host: Host, *wanted: tuple[str, str]) -> None:
    try:
        wait_until(lambda: shown(host) == list(wanted), SECONDS, f"{host.fqdn} shows {wanted}")
    except AssertionError as error:
        raise AssertionError(f"{shown(host)} instead of {wanted}") from error


@dataclass
class Stranger:
    """Somebody with the key of the zone itself."""

    service: Service
    zone: str

    def send(self, add: Sequence[tuple[str, str, str]] = (), remove: Sequence[tuple[str, ...]] = ()) -> None:
        key = TsigKey.from_text((self.service.dir / "bind" / "keys" / f"{self.zone}.key").read_text())
        message = dns.update.UpdateMessage(self.zone, keyring=key.dnspython)
        for one in remove:
            message.delete(f"{one[0]}.", *one[1:])
        for name, rtype, value in add:
            message.add(f"{name}.", 60, rtype, value)
        answer = dns.query.tcp(message, "127.0.0.1", port=self.service.dns_port, timeout=5)
        assert answer.rcode() == dns.rcode.NOERROR


def test_every_door_moves_the_name(service: Service, alice: str) -> None:
    addresses = [f"192.0.2.{next(numbers)}" for _ in range(7)]
    host = wants(service, alice, addresses[0])
    becomes(service, addresses[0], host)
    becomes_shown(host, (addresses[0], "published"))
    api = Api(service, alice)

    def moved(n: int) -> None:
        becomes(service, addresses[n], host)
        becomes(service, addresses[n - 1])

    said(host.update(myip=addresses[1]), 200, f"good {addresses[1]}")
    moved(1)
    assert Client(service, host.fqdn, host.secret).send(delete(host.fqdn, "A"), add(host.fqdn, "A", addresses[2])) == (
        "NOERROR"
    )
    moved(2)
    api.patch(f"/hosts/{host.fqdn}", {"ipv4": addresses[3]})
    moved(3)
    change = {"action": "update", "fqdn": host.fqdn, "set": {"ipv4": addresses[4]}}
    assert api.call("POST", "/changes", {"changes": [change]}).json()["results"][0]["status"] == "applied"
    moved(4)
    renamed = f"renamed{next(numbers)}.{service.domain}"
    api.patch(f"/hosts/{host.fqdn}", {"fqdn": renamed})
    becomes(service, addresses[4], renamed)
    host = Host(service, renamed, host.secret, alice)
    Api(service, service.admin_token).patch(f"/hosts/{host.fqdn}", {"abuse_blocked": True})
    becomes(service, addresses[4])
    Api(service, service.admin_token).patch(f"/hosts/{host.fqdn}", {"abuse_blocked": False})
    becomes(service, addresses[4], host)
    api.patch(f"/hosts/{host.fqdn}", {"ptr": False})
    becomes(service, addresses[4])
    assert shown(host) == []
    api.patch(f"/hosts/{host.fqdn}", {"ptr": True})
    becomes(service, addresses[4], host)
    said(host.delete(myip="0.0.0.0"), 200, "deleted A")
    becomes(service, addresses[4])
    said(host.update(myip=addresses[5]), 200, f"good {addresses[5]}")
    moved(5)
    api.delete(f"/hosts/{host.fqdn}")
    becomes(service, addresses[5])


def test_a_zone_of_rfc_2317_and_one_of_ipv6(service: Service, alice: str) -> None:
    host = wants(service, alice, "198.51.100.77", ipv6=["2001:db8::77", "2001:db8::78"])
    becomes(service, f"77.{PART}", host)
    becomes(service, "2001:db8::77", host)
    becomes(service, "2001:db8::78", host)
    becomes_shown(host, *((one, "published") for one in ("198.51.100.77", "2001:db8::77", "2001:db8::78")))
    Api(service, alice).patch(f"/hosts/{host.fqdn}", {"ipv4": "198.51.100.7", "ipv6": "2001:db8::78"})
    becomes(service, f"77.{PART}")
    becomes(service, "2001:db8::77")
    assert pointer(service, "2001:db8::78") == [f"{host.fqdn}."]
    assert shown(host) == [("198.51.100.7", "no_zone"), ("2001:db8::78", "published")]
    network = Api(service, service.admin_token).get(f"/domains/{PART}")["network"]
    assert network == "198.51.100.64/26"


def test_the_first_host_keeps_the_address_and_the_next_follows(service: Service, alice: str, address: str) -> None:
    first, second, third = (wants(service, alice, address) for _ in range(3))
    plain = register(service, alice, ip=address)
    becomes(service, address, first)
    becomes_shown(second, (address, "taken"))
    assert shown(plain) == []
    Api(service, alice).delete(f"/hosts/{first.fqdn}")
    becomes(service, address, second)
    becomes_shown(third, (address, "taken"))
    said(second.update(myip="10.0.0.9"), 200, "good 10.0.0.9")
    becomes(service, address, third)


def test_a_record_of_somebody_else_stays(service: Service, alice: str, address: str) -> None:
    name, stranger = reverse(address), Stranger(service, V4)
    stranger.send([(name, "PTR", "printer.example.net.")])
    host = wants(service, alice, address)
    becomes_shown(host, (address, "taken"))
    assert pointer(service, address) == ["printer.example.net."]
    reason = Api(service, alice).get(f"/hosts/{host.fqdn}")["pointers"][0]["reason"]
    assert reason == "The name cannot be used: the name is in the zone and is not ours."
    assert host.addresses() == [address]
    stranger.send(remove=[(name,)])
    becomes(service, address, host)
    becomes_shown(host, (address, "published"))


def test_a_removed_record_comes_back_and_a_replaced_one_stays(service: Service, alice: str, address: str) -> None:
    name, stranger = reverse(address), Stranger(service, V4)
    host = wants(service, alice, address)
    becomes(service, address, host)
    becomes_shown(host, (address, "published"))
    stranger.send(remove=[(name, "PTR")])
    becomes(service, address, host)
    becomes_shown(host, (address, "published"))
    stranger.send(remove=[(name, "PTR")], add=[(name, "PTR", "other.example.net.")])
    becomes_shown(host, (address, "taken"))
    assert pointer(service, address) == ["other.example.net."]
    Api(service, alice).delete(f"/hosts/{host.fqdn}")
    Stranger(service, V4).send([(name, "TXT", '"a mark"')])
    wait_until(lambda: not rows(service, name), SECONDS, "the name is given up")
    assert pointer(service, address) == ["other.example.net."]


def rows(service: Service, name: str) -> bool:
    """Whether the service knows the reverse name."""
    found = service.request("GET", "/api/hosts", service.admin_token, params={"fqdn": name}).json()
    assert found["items"] == []  # it is not among the hosts of anybody
    exported = json.loads(service.cli("export", "-").stdout)["tables"]["hosts"]
    return name in [row["fqdn"] for row in exported]


def test_a_name_with_dhcid_is_left(service: Service, alice: str, address: str) -> None:
    name, stranger = reverse(address), Stranger(service, V4)
    host = wants(service, alice, address)
    becomes(service, address, host)
    stranger.send([(name, "DHCID", "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=")])
    becomes_shown(host, (address, "taken"))
    said(host.update(myip="10.0.0.10"), 200, "good 10.0.0.10")
    becomes_shown(host, ("10.0.0.10", "no_zone"))
    wait_until(lambda: name not in waiting(service), SECONDS, "nothing waits")
    assert pointer(service, address) == [f"{host.fqdn}."]


def waiting(service: Service) -> str:
    return service.cli("queue", "list", "--json").stdout


def test_dhcp_writes_beside_and_keeps_its_names(service: Service, alice: str) -> None:
    free, ours = (f"192.0.2.{next(numbers)}" for _ in range(2))
    shown_key = service.cli("dhcp-key", "add", "office", "--domain", V4).stdout
    key = TsigKey.from_text(shown_key)
    dhcp = Client(service, key.name, "", tsig=key.secret)
    host = wants(service, alice, ours)
    becomes(service, ours, host)
    made = [delete(reverse(ours), "PTR"), add(reverse(ours), "PTR", "lease.example.net.")]
    assert dhcp.send(*made, zone=V4) in ("YXDOMAIN", "REFUSED", "NXRRSET")
    assert pointer(service, ours) == [f"{host.fqdn}."]
    leased = [delete(reverse(free), "PTR"), add(reverse(free), "PTR", "lease.example.net.")]
    assert dhcp.send(*leased, zone=V4) == "NOERROR"
    late = wants(service, alice, free)
    becomes_shown(late, (free, "taken"))
    renewed = [delete(reverse(free), "PTR"), add(reverse(free), "PTR", "lease2.example.net.")]
    assert dhcp.send(*renewed, zone=V4) == "NOERROR"
    assert pointer(service, free) == ["lease2.example.net."]
    assert dhcp.send(delete(reverse(free), "PTR"), zone=V4) == "NOERROR"
    becomes(service, free, late)


def test_a_verified_zone_wants_a_proof(service: Service, alice: str) -> None:
    one, two = (f"203.0.113.{next(numbers)}" for _ in range(2))
    host = wants(service, alice, one)
    assert shown(host) == [(one, "not_allowed")]
    said(host.update(myip=one), 200, f"nochg {one}")
    assert shown(host) == [(one, "not_allowed")]
    said(host.update(myip=one, headers={"X-Forwarded-For": one}), 200, f"nochg {one}")
    becomes(service, one, host)
    said(host.update(headers={"X-Forwarded-For": two}), 200, f"good {two}")
    becomes(service, two, host)
    becomes(service, one)
    said(host.update(myip=one, headers={"X-Forwarded-For": two}), 200, f"good {one}")
    becomes(service, two)
    becomes_shown(host, (one, "not_allowed"))
    Api(service, service.admin_token).patch(f"/hosts/{host.fqdn}", {"ipv4": one})
    becomes(service, one, host)
    udp = Client(service, host.fqdn, host.secret)
    assert udp.send(delete(host.fqdn, "A"), add(host.fqdn, "A", two), tcp=False) == "NOERROR"
    becomes(service, one)
    assert shown(host) == [(two, "not_allowed")]


def test_the_owner_of_the_reverse_zone_proves_addresses(service: Service, alice: str) -> None:
    zone = f"{next(numbers)}.198.in-addr.arpa"
    service.cli("domain", "add", zone, "--owner", "alice", "--reverse", "verified")
    one, two, three = (f"198.{zone.partition('.')[0]}.0.{n}" for n in (1, 2, 3))
    bob = service.user(f"bob{next(numbers)}")
    other = wants(service, bob)

    def update(host: Host, address: str) -> str:
        return service.get("/nic/update", host.token, params={"hostname": host.fqdn, "myip": address}).text

    assert update(other, one) == f"good {one}"
    becomes_shown(other, (one, "not_allowed"))
    host = wants(service, alice)
    said(host.update(myip=one), 200, f"good {one}")
    becomes_shown(host, (one, "not_allowed"))
    assert update(host, one) == f"nochg {one}"
    becomes(service, one, host)
    assert update(host, two) == f"good {two}"
    becomes(service, two, host)
    body = {"name": "rfc2136", "scopes": ["read", "write"]}
    made = service.request("POST", "/api/tokens", alice, json=body).json()
    key = Client(service, f"t-{made['id']}", made["token"])
    assert key.send(delete(host.fqdn, "A"), add(host.fqdn, "A", three), zone=service.domain) == "NOERROR"
    becomes(service, three, host)
    said(host.update(myip=two), 200, f"good {two}")
    becomes_shown(host, (two, "not_allowed"))
    becomes(service, three)
    assert service.get(f"/update?domains={host.fqdn}&token={alice}&ip={three}").text == "OK"
    becomes(service, three, host)


def test_options_of_the_zone_are_followed(service: Service, alice: str) -> None:
    zone, addresses = "10.in-addr.arpa", [f"10.7.7.{n}" for n in range(1, 4)]
    hosts = [wants(service, alice, one) for one in addresses]
    admin = Api(service, service.admin_token)
    admin.post("/domains", {"name": zone, "reverse": "all"})
    for host, one in zip(hosts, addresses, strict=True):
        becomes(service, one, host)
    service.cli("domain", "set", zone, "--reverse", "verified")
    for one in addresses:
        becomes(service, one)
    admin.patch(f"/domains/{zone}", {"reverse": "all"})
    becomes(service, addresses[2], hosts[2])
    inner = "7.7.10.in-addr.arpa"
    assert admin.call("DELETE", f"/domains/{zone}").status_code == 409
    admin.patch(f"/domains/{zone}", {"reverse": "off"})
    for one in addresses:
        becomes(service, one)
    admin.post("/domains", {"name": inner, "reverse": "all"})
    becomes(service, addresses[0], hosts[0])


def test_a_dead_reverse_primary_delays_nobody(service: Service, alice: str, other_primary: SecondBind) -> None:
    zone = f"{next(numbers)}.100.in-addr.arpa"
    file = other_primary.make_zone(zone)
    where = ["--primary", other_primary.address, "--key-file", str(file)]
    service.cli("domain", "add", zone, "--owner", "admin", *where, "--reverse", "all")
    one = f"100.{zone.partition('.')[0]}.0.1"
    host = wants(service, alice, one)
    wait_until(lambda: other_primary.dig(reverse(one), "PTR") == [f"{host.fqdn}."], SECONDS, "published")
    os.kill(other_primary.pid, signal.SIGSTOP)
    try:
        said(host.update(myip="192.0.2.250"), 200, "good 192.0.2.250")
        said(host.update(myip=one), 200, f"good {one}")
        said(host.update(myip="192.0.2.251"), 200, "good 192.0.2.251")
        assert host.addresses() == ["192.0.2.251"]
    finally:
        os.kill(other_primary.pid, signal.SIGCONT)
    wait_until(lambda: other_primary.dig(reverse(one), "PTR") == [], SECONDS, "removed")
    becomes(service, "192.0.2.251", host)


def test_nothing_is_lost_when_the_service_is_killed(service: Service, alice: str) -> None:
    addresses = [f"192.0.2.{next(numbers)}" for _ in range(8)]
    hosts = [wants(service, alice, f"10.0.1.{n}") for n in range(len(addresses))]
    for host, one in zip(hosts, addresses, strict=True):
        said(host.update(myip=one), 200, f"good {one}")
    service.kill()
    service.start()
    for host, one in zip(hosts, addresses, strict=True):
        becomes(service, one, host)


def test_reconcile_restores_them(service: Service, alice: str, address: str) -> None:
    host = wants(service, alice, address)
    becomes_shown(host, (address, "published"))
    service.stop()
    service.start()
    Stranger(service, V4).send(remove=[(reverse(address), "PTR")])
    service.cli("reconcile", V4, check=False)
    becomes(service, address, host)


def has(primary: SecondBind, address: str, names: list[str]) -> bool:
    """Whether the primary has these names for the address."""
    return primary.dig(reverse(address), "PTR") == names


def test_they_move_with_their_zone(
    service: Service, alice: str, other_primary: SecondBind, tmp_path_factory: pytest.TempPathFactory
) -> None:
    zone = f"{next(numbers)}.172.in-addr.arpa"
    one, two = (f"172.{zone.partition('.')[0]}.0.{n}" for n in (1, 2))
    file = str(other_primary.make_zone(zone))
    at = ["--primary", other_primary.address, "--key-file", file]
    service.cli("domain", "add", zone, "--owner", "admin", "--reverse", "all", *at)
    host = wants(service, alice, one)
    becomes_shown(host, (one, "published"))
    with second_bind(tmp_path_factory.mktemp("third")) as third:
        key = str(third.make_zone(zone))
        service.cli("domain", "move", zone, "--primary", third.address, "--key-file", key, "--wait")
        assert third.dig(reverse(one), "PTR") == [f"{host.fqdn}."]
        said(host.update(myip=two), 200, f"good {two}")
        for primary in (third, other_primary):  # the former one still gets each change
            wait_until(partial(has, primary, two, [f"{host.fqdn}."]), SECONDS, "published")
            wait_until(partial(has, primary, one, []), SECONDS, "removed")
        service.cli("domain", "move", zone, "--finish")
        service.cli("domain", "set", zone, "--reverse", "off")
        wait_until(lambda: third.dig(reverse(two), "PTR") == [], SECONDS, "all are removed")
