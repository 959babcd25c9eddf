# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of DHCP servers: who has them, which names they change, and that names of hosts are never among them."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import dns.message
import dns.query
import dns.rcode
import dns.tsig
import dns.update
import pytest
from support.clients.dns_update import Client, Fill, absent, add, delete, present
from support.clients.rest_api import Api, problem
from support.ports import free_port
from support.servers.service import Service, beside, dev

from ddnsd.auth.tsig_callers import may_name_dhcp_key
from ddnsd.dns.tsig import TsigKey

DHCID = "AAIBY2/AuCccgoJbsaxcQc9TUapptP69 lOjxfNuVAA2kjEA="  # as dnspython writes it
REVERSE, OTHER = "99.10.in-addr.arpa", "other.example.net"
RULE, TAKEN = "urn:ddns:rule", "urn:ddns:taken"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    given = {"update_listen": f"127.0.0.1:{free_port()}", "address_deny": "198.18.0.0/15"}
    if request.param == "postgres":
        given["database_url"] = request.getfixturevalue("new_database")()
    with dev(tmp_path_factory.mktemp("dhcp"), **given) as running:
        for zone in (REVERSE, OTHER):
            running.cli("domain", "add", zone, "--owner", "admin")
        yield running


@pytest.fixture(scope="module")
def dhcp(service: Service) -> Client:
    """A DHCP server with a key of the service's domain and of a reverse zone."""
    shown = service.cli("dhcp-key", "add", "office", "--domain", service.domain, "--domain", REVERSE).stdout
    key = TsigKey.from_text(shown)
    assert (key.name, key.algorithm) == ("office", "hmac-sha256")
    return Client(service, key.name, "", tsig=key.secret)


@pytest.fixture
def name(service: Service, request: pytest.FixtureRequest) -> str:
    return f"c{abs(hash(request.node.nodeid))}.{service.domain}"


@pytest.fixture
def host(service: Service, name: str) -> str:
    """A host with an address."""
    service.register(name, ip="192.0.2.1")
    return name


def lease(name: str, address: str) -> list[Fill]:
    """What Kea and dhcpd send first: only a name without records is taken."""
    return [absent(name), add(name, "A", address), add(name, "DHCID", DHCID)]


def test_a_name_is_taken_renewed_and_left(service: Service, dhcp: Client, name: str) -> None:
    assert dhcp.send(*lease(name, "10.99.0.7")) == "NOERROR"
    assert (service.dig(name), service.dig(name, "DHCID")) == (["10.99.0.7"], [DHCID])
    assert dhcp.send(*lease(name, "10.99.0.8")) == "YXDOMAIN"
    renewed = [present(name, "DHCID", DHCID), delete(name, "A"), add(name, "A", "10.99.0.8")]
    assert dhcp.send(*renewed) == "NOERROR"
    assert service.dig(name) == ["10.99.0.8"]
    other = "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjAA="
    assert dhcp.send(present(name, "DHCID", other), delete(name, "A")) == "NXRRSET"
    assert dhcp.send(present(name, "DHCID", DHCID), delete(name, "A", "10.99.0.8")) == "NOERROR"
    gone = [present(name, "DHCID", DHCID), absent(name, "A"), absent(name, "AAAA"), delete(name)]
    assert dhcp.send(*gone, tcp=False) == "NOERROR"
    assert (service.dig(name), service.dig(name, "DHCID")) == ([], [])
    assert dhcp.send(present(name), delete(name)) == "NXDOMAIN"


def test_a_pointer_is_written_and_left(service: Service, dhcp: Client, name: str) -> None:
    pointer = f"7.0.{REVERSE}"
    made = [delete(pointer, "PTR"), add(pointer, "PTR", f"{name}."), add(pointer, "DHCID", DHCID)]
    assert dhcp.send(*made, zone=REVERSE) == "NOERROR"
    assert service.dig(pointer, "PTR") == [f"{name}."]
    assert dhcp.send(present(pointer, "PTR", f"{name}."), delete(pointer), zone=REVERSE) == "NOERROR"
    assert service.dig(pointer, "PTR") == []


def test_all_records_are_those_of_dhcp(service: Service, dhcp: Client, name: str) -> None:
    """An operator's record at the name stays when the lease ends."""
    assert dhcp.send(*lease(name, "10.99.0.9")) == "NOERROR"
    service.add_record(name.removesuffix(f".{service.domain}"), "MX", "10 mail.example.net.")
    assert dhcp.send(delete(name)) == "NOERROR"
    assert (service.dig(name), service.dig(name, "MX")) == ([], ["10 mail.example.net."])


TAKING: dict[str, tuple[str, Callable[[str], list[Fill]]]] = {
    "a free name": ("YXDOMAIN", lambda name: lease(name, "10.99.0.7")),
    "its own name": ("NXRRSET", lambda name: [present(name, "DHCID", DHCID), add(name, "A", "10.99.0.7")]),
    "a used name": ("NXRRSET", lambda name: [present(name), add(name, "A", "10.99.0.7")]),
    "without a condition": ("YXDOMAIN", lambda name: [delete(name, "A"), add(name, "A", "10.99.0.7")]),
    "with the true address as condition": (
        "NXRRSET",
        lambda name: [present(name, "A", "192.0.2.1"), delete(name, "A")],
    ),
    "to end": ("NXRRSET", lambda name: [delete(name)]),
    "to remove the address": ("NXRRSET", lambda name: [delete(name, "A", "192.0.2.1")]),
    "a mark": ("YXDOMAIN", lambda name: [add(name, "DHCID", DHCID)]),
    "below it": ("YXDOMAIN", lambda name: [add(f"pc.{name}", "A", "10.99.0.7")]),
}


@pytest.mark.parametrize("kind", TAKING)
@pytest.mark.parametrize("place", ["host", "related", "wildcard"])
def test_no_name_of_a_host_is_taken(service: Service, dhcp: Client, host: str, kind: str, place: str) -> None:
    at, api = host, Api(service, service.admin_token)
    if place == "related":
        at = f"nas.{host}"
        api.call("PUT", f"/hosts/{host}/related/nas", {"interface_id": "::7"})
    elif place == "wildcard":
        at = f"any.{host}"
        api.patch(f"/hosts/{host}", {"wildcard": True})
    before = service.dig(at)
    rcode, fill = TAKING[kind]
    assert dhcp.send(*fill(at)) == rcode
    assert (service.dig(at), service.dig(at, "DHCID"), service.dig(host)) == (before, [], ["192.0.2.1"])
    assert api.get(f"/hosts/{host}")["dns"] == "current"


def test_a_host_may_take_the_name_of_an_ended_lease(service: Service, dhcp: Client, name: str) -> None:
    assert dhcp.send(*lease(name, "10.99.0.7")) == "NOERROR"
    api = Api(service, service.admin_token)
    problem(api.call("POST", "/hosts", {"fqdn": name, "ipv4": "192.0.2.1"}), 409, TAKEN, {"fqdn"})
    assert dhcp.send(delete(name)) == "NOERROR"
    api.post("/hosts", {"fqdn": name, "ipv4": "192.0.2.1"})
    assert service.dig(name) == ["192.0.2.1"]
    assert dhcp.send(*lease(name, "10.99.0.7")) == "YXDOMAIN"


def test_dhcp_takes_the_name_of_a_removed_host(service: Service, dhcp: Client, host: str) -> None:
    """Also with the same address: the removal of the host is not repeated."""
    Api(service, service.admin_token).delete(f"/hosts/{host}")
    assert dhcp.send(absent(host), add(host, "A", "192.0.2.1")) == "NOERROR"
    service.cli("reconcile")
    assert service.dig(host) == ["192.0.2.1"]


REFUSED: dict[str, Callable[[str, str], Fill]] = {
    "an alias": lambda name, _: add(name, "CNAME", "www.example.net."),
    "a delegation": lambda name, _: add(name, "NS", "ns.example.net."),
    "mail": lambda name, _: delete(name, "MX"),
    "a denied address": lambda name, _: add(name, "A", "198.18.0.1"),
    "the zone": lambda _, zone: add(zone, "A", "10.99.0.7"),
    "the mark of the zone's owner": lambda _, zone: add(f"_ddnsd.{zone}", "TXT", '"x"'),
    "a certificate": lambda name, _: add(f"_acme-challenge.{name}", "TXT", '"x"'),
    "all names": lambda _, zone: add(f"*.{zone}", "A", "10.99.0.7"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_records_and_names_are_refused(service: Service, dhcp: Client, name: str, kind: str) -> None:
    assert dhcp.send(add(name, "A", "10.99.0.7"), REFUSED[kind](name, service.domain)) == "REFUSED"
    assert (service.dig(name), service.dig(service.domain)) == ([], [])


def test_name_servers_are_left_alone(service: Service, dhcp: Client) -> None:
    """Addresses of the zone's name servers belong to the zone."""
    zone = "glue.example.net"
    service.cli("domain", "add", zone, "--owner", "admin")
    key = TsigKey.from_text((service.dir / "bind" / "keys" / f"{zone}.key").read_text())
    change = dns.update.UpdateMessage(zone, keyring=key.dnspython)
    change.add("@", 60, "NS", f"ns.{zone}.")
    change.add("ns", 60, "A", "192.0.2.53")
    assert dns.query.tcp(change, "127.0.0.1", port=service.dns_port, timeout=10).rcode() == dns.rcode.NOERROR
    made = TsigKey.from_text(service.cli("dhcp-key", "add", "glue", "--domain", zone).stdout)
    client = Client(service, made.name, "", tsig=made.secret)
    assert client.send(add(f"ns.{zone}", "A", "10.99.0.7"), zone=zone) == "REFUSED"
    assert client.send(add(f"pc.{zone}", "A", "10.99.0.7"), zone=zone) == "NOERROR"


def test_the_key_is_for_its_domains(service: Service, dhcp: Client, name: str) -> None:
    assert dhcp.send(add(f"pc.{OTHER}", "A", "10.99.0.7"), zone=OTHER) == "NOTAUTH"
    assert dhcp.send(add("pc.example.com", "A", "10.99.0.7"), zone="example.com") == "NOTAUTH"
    assert dhcp.send(add(name, "A", "10.99.0.7"), zone=REVERSE) == "NOTZONE"
    assert service.dig(f"pc.{OTHER}") == []


def test_the_same_message_again_changes_nothing(service: Service, dhcp: Client, name: str) -> None:
    message = dhcp.message(*lease(name, "10.99.0.7"))
    assert [dhcp.exchange(message) for _ in range(2)] == ["NOERROR"] * 2
    assert dhcp.send(delete(name)) == "NOERROR"
    assert dhcp.exchange(message) == "NOERROR"
    assert service.dig(name) == []
    refused = dhcp.message(add(name, "CNAME", "www.example.net."))
    assert [dhcp.exchange(refused) for _ in range(2)] == ["REFUSED"] * 2


def test_a_removed_key_ends_at_once(service: Service, name: str) -> None:
    api = Api(service, service.admin_token)
    made = api.post("/dhcp-keys", {"name": "leaving", "domains": [service.domain]})
    client = Client(service, "leaving", "", tsig=made["secret"])
    assert client.send(add(name, "A", "10.99.0.7")) == "NOERROR"
    service.cli("dhcp-key", "remove", "leaving")
    unsigned = dns.message.from_wire(client.raw(client.message(delete(name)).to_wire()), keyring=False)
    assert unsigned.rcode() == dns.rcode.NOTAUTH
    assert service.dig(name) == ["10.99.0.7"], "what it wrote stays"


# ---- who has them


def test_other_nodes_know_keys_and_messages(
    tmp_path_factory: pytest.TempPathFactory, service: Service, dhcp: Client, name: str
) -> None:
    given = {
        "update_listen": f"127.0.0.1:{free_port()}",
        "second_factor_key": str(service.dir / "second_factor.key"),
    }
    url = service.settings.get("DDNSD_DATABASE_URL", f"sqlite:///{service.dir}/ddnsd.db")

    def rcode(client: Client, wire: bytes) -> str:
        return dns.rcode.to_text(dns.message.from_wire(client.raw(wire), keyring=False).rcode())

    with beside(service, tmp_path_factory.mktemp("two"), url, None, **given) as two:
        there = Client(two, dhcp.key_name, "", tsig=dhcp.tsig)
        zone = service.domain
        taken, refused = (dhcp.message(*lease(name, address)).to_wire() for address in ("10.99.0.1", "10.99.0.2"))
        assert (rcode(dhcp, taken), rcode(there, refused)) == ("NOERROR", "YXDOMAIN")
        assert there.send(*(delete(name, rtype) for rtype in ("A", "DHCID")), zone=zone) == "NOERROR"
        assert service.dig(name) == []
        answers = [rcode(client, wire) for wire in (taken, refused) for client in (dhcp, there)]
        assert answers == ["NOERROR", "NOERROR", "YXDOMAIN", "YXDOMAIN"]
        assert service.dig(name) == []
        with ThreadPoolExecutor(8) as pool:
            made = [dhcp.message(*lease(name, f"10.99.1.{n}")).to_wire() for n in range(8)]
            at_once = list(pool.map(rcode, [dhcp, there] * 4, made))
        assert sorted(at_once) == ["NOERROR", *["YXDOMAIN"] * 7]
        assert service.dig(name) == [f"10.99.1.{at_once.index('NOERROR')}"]
        for maker, user, number in ((service, two, 1), (two, service, 2), (service, two, 3)):
            body = {"name": "moving", "domains": [zone]}
            made_key = maker.request("POST", "/api/dhcp-keys", service.admin_token, json=body).json()
            client = Client(user, "moving", "", tsig=made_key["secret"])
            other = f"{number}{name}"
            assert client.send(*lease(other, "10.99.2.1"), zone=zone) == "NOERROR"
            assert maker.request("DELETE", "/api/dhcp-keys/moving", service.admin_token).status_code == 204
            with pytest.raises(dns.tsig.PeerBadKey):
                client.send(delete(other, "A"), zone=zone)
            assert service.dig(other) == ["10.99.2.1"]


def test_owners_have_the_keys_of_their_domains(service: Service) -> None:
    alice, bob = (Api(service, service.user(user)) for user in ("alice", "bob"))
    for zone, owner in (("a.example.net", "alice"), ("b.example.net", "alice")):
        service.cli("domain", "add", zone, "--owner", owner)
    made = alice.post("/dhcp-keys", {"name": "House-1", "domains": ["A.example.net", "b.example.net"]})
    assert (made["name"], made["domains"], made["created_by"]) == (
        "house-1",
        ["a.example.net", "b.example.net"],
        "alice",
    )
    assert all(made["secret"] in text for text in made["configurations"].values())
    shown = alice.get("/dhcp-keys/house-1")
    assert shown.keys() == made.keys() - {"secret", "algorithm", "configurations"}
    assert alice.get("/dhcp-keys")["items"] == [shown]
    assert bob.get("/dhcp-keys")["items"] == []
    assert [bob.call(method, "/dhcp-keys/house-1").status_code for method in ("GET", "DELETE")] == [404, 404]
    Api(service, service.admin_token).patch("/domains/b.example.net", {"owner": "bob"})
    assert bob.get("/dhcp-keys/house-1")["domains"] == ["b.example.net"]
    assert bob.call("DELETE", "/dhcp-keys/house-1").status_code == 204
    assert alice.get("/dhcp-keys")["items"] == []
    events = {(event["action"], event["object"]) for event in alice.items("/users/me/events")}
    assert ("dhcp-key.add", "house-1") in events


def test_a_limited_token_makes_keys_of_its_domains(service: Service) -> None:
    admin = Api(service, service.admin_token)
    for token, limit in {"far": {"domains": ["far.example.net"]}, "hosts": {"hosts": ["*"]}}.items():
        limited = Api(service, admin.post("/tokens", {"name": token, **limit})["token"])
        refused = limited.call("POST", "/dhcp-keys", {"name": "limited", "domains": [service.domain]})
        problem(refused, 422, "urn:ddns:rule", {"domains"})
    inside = Api(service, admin.post("/tokens", {"name": "inside", "domains": [service.domain]})["token"])
    assert inside.call("POST", "/dhcp-keys", {"name": "limited", "domains": [service.domain]}).status_code == 201


def test_a_key_ends_with_its_domains(service: Service) -> None:
    service.cli("domain", "add", "short.example.net", "--owner", "admin")
    service.cli("dhcp-key", "add", "short", "--domain", "short.example.net")
    Api(service, service.admin_token).delete("/domains/short.example.net")
    listed = json.loads(service.cli("dhcp-key", "list", "--json").stdout)
    assert "short" not in [one["name"] for one in listed]


@pytest.mark.parametrize("name", ["k-office", "t-7", "of.fice", "-x", "of fice", ""])
def test_bad_names_are_refused(service: Service, name: str) -> None:
    answer = Api(service, service.admin_token).call("POST", "/dhcp-keys", {"name": name, "domains": [service.domain]})
    assert answer.status_code == 422
    assert not may_name_dhcp_key(name)


def test_a_key_needs_own_domains_and_a_free_name(service: Service, dhcp: Client) -> None:
    carol, admin = Api(service, service.user("carol")), Api(service, service.admin_token)
    for domain in (service.domain, "nothing.example.net"):
        problem(carol.call("POST", "/dhcp-keys", {"name": "carols", "domains": [domain]}), 422, RULE, {"domains"})
    taken = {"name": dhcp.key_name, "domains": [service.domain]}
    problem(admin.call("POST", "/dhcp-keys", taken), 409, TAKEN, {"name"})
    assert service.cli("dhcp-key", "add", "x", "--domain", "nothing.example.net", check=False).returncode == 1
