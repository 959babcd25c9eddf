# SPDX-License-Identifier: GPL-3.0-or-later
"""§1, "Addresses": which address a request means, how it is written, and which are not accepted."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import requests
from support.clients.dyndns import GIVEN, Host, counts, one_message, refused, register, said
from support.ports import wait_until
from support.servers.service import Service

V4, V6 = "192.0.2.44", "2001:db8::44"
PEER = "127.0.0.1"

NOT_ACCEPTED = [
    "zzz",
    "192.0.2",
    "192.0.2.256",
    "192.0.2.1.5",
    "192.0.2.x",
    "192.0.2.-1",
    "3221225985",
    "0x7f000001",
    "2001:db8",
    "2001:db8:::1",
    "2001:db8::g",
    "[2001:db8::1]:80",
    "192.0.2.1:80",
    "192.0.2.1/abc",
    "http://192.0.2.1/",
    "192.0.2.1;",
    "fe80::1%eth0",
    "2001:db8::1%1",
    "2001:db8::1%25eth0",
    "127.0.0.1",
    "127.8.9.10",
    "::1",
    "0.0.0.0",
    "::",
    "169.254.1.1",
    "fe80::1",
    "febf::1",
    "224.0.0.1",
    "239.1.2.3",
    "ff02::1",
    "255.255.255.255",
    "240.0.0.1",
    "254.1.2.3",
    "::ffff:127.0.0.1",
    "::ffff:0.0.0.0",
    "::ffff:224.0.0.1",
    "::ffff:169.254.0.1",
    "127.0.0.1/8",
    "ff02::1/16",
]


# ---- row: an address that is not accepted


@pytest.mark.parametrize("address", NOT_ACCEPTED)
def test_address_not_accepted_is_dnserr_and_changes_nothing(host: Host, address: str) -> None:
    refused(host.update(myip=address), 200, "dnserr")
    refused(host.update(myip=address, hostname=host.fqdn), 200, "dnserr")
    refused(host.update(ipv6=address), 200, "dnserr")
    refused(host.bearer(myip=address), 400, "dnserr")
    assert host.addresses() == [GIVEN]  # nor the peer's
    assert host.row()["ipv4"] == GIVEN


def test_address_not_accepted_is_a_client_fault(host: Host) -> None:
    with counts(host, client=len(NOT_ACCEPTED)):
        for address in NOT_ACCEPTED:
            refused(host.update(myip=address), 200, "dnserr")


@pytest.mark.parametrize("address", ["zzz", "::1", "192.0.2.45", "fe80::1%eth0"])
def test_one_bad_address_among_good_ones_changes_nothing(host: Host, address: str) -> None:
    for _ in range(2):
        refused(host.update(myip=f"{V4},{V6},{address}"), 200, "dnserr")
        refused(host.update(myip=f"{address},{V4},{V6}"), 200, "dnserr")
        refused(host.update(myip=V4, myipv4=address), 200, "dnserr")
        assert host.addresses() == [GIVEN]


@pytest.mark.parametrize(
    "params",
    [
        {"myip": "192.0.2.44,192.0.2.45"},
        {"myip": "2001:db8::1,2001:db8::2"},
        {"myip": "192.0.2.44", "ip": "192.0.2.45"},
        {"myipv6": "2001:db8::1", "ip6": "2001:db8::2"},
        {"myipv4": "192.0.2.44", "myipv6": "192.0.2.45"},
        {"myip": "192.0.2.44,::ffff:192.0.2.45"},
    ],
    ids=str,
)
def test_two_different_addresses_of_one_family_are_dnserr(host: Host, params: dict[str, Any]) -> None:
    with counts(host, client=2):
        for _ in range(2):
            refused(host.update(**params), 200, "dnserr")
            assert host.addresses() == [GIVEN]


@pytest.mark.parametrize(
    "params", [{"myip": f"{V4},{V4}"}, {"myip": V4, "ip": V4}, {"myip": f"{V4},::ffff:{V4}"}], ids=str
)
def test_the_same_address_twice_is_one(host: Host, params: dict[str, Any]) -> None:
    for word in ("good", "nochg"):
        said(host.update(**params), 200, f"{word} {V4}")


# ---- parameters


@pytest.mark.parametrize("address", [V4, V6])
@pytest.mark.parametrize("parameter", ["myip", "myipv4", "ipv4", "ip", "myipv6", "ipv6", "ip6"])
def test_every_parameter_takes_either_family(host: Host, parameter: str, address: str) -> None:
    for word in ("good", "nochg"):
        asked: dict[str, Any] = {parameter: address}
        said(host.update(**asked), 200, f"{word} {address}")
        assert host.addresses() == ([V4] if address == V4 else [GIVEN, V6])


@pytest.mark.parametrize(
    "params",
    [
        {"myip": f"{V4},{V6}"},
        {"myip": f"{V6},{V4}"},
        {"myip": f" {V4} , {V6} "},
        {"myip": f",,{V4},,{V6},"},
        {"myip": f", ,{V6}, ,{V4}, ,"},
        {"myip": V4, "myipv6": V6},
        {"myip": V6, "myipv4": V4},
        {"ipv4": V4, "ipv6": V6},
        {"ip": V4, "ip6": V6},
        {"myipv4": V6, "myipv6": V4},
        {"ipv6": f"{V6},{V4}"},
    ],
    ids=str,
)
def test_both_families_on_one_line_ipv4_first(host: Host, params: dict[str, Any]) -> None:
    for word in ("good", "nochg"):
        said(host.update(**params), 200, f"{word} {V4},{V6}")
        assert host.addresses() == [V4, V6]


def test_changed_and_unchanged_together_are_good(host: Host) -> None:
    said(host.update(myip=f"{V4},{V6}"), 200, f"good {V4},{V6}")
    said(host.update(myip=f"{V4},2001:db8::45"), 200, f"good {V4},2001:db8::45")
    said(host.update(myip="192.0.2.45,2001:db8::45"), 200, "good 192.0.2.45,2001:db8::45")
    said(host.update(myip="192.0.2.45,2001:db8::45"), 200, "nochg 192.0.2.45,2001:db8::45")


def test_a_family_that_is_not_named_is_not_touched(host: Host) -> None:
    said(host.update(myip=V6), 200, f"good {V6}")
    assert host.addresses() == [GIVEN, V6]
    said(host.update(myip=V4), 200, f"good {V4}")
    assert host.addresses() == [V4, V6]
    said(host.update(myip=V6), 200, f"nochg {V6}")
    said(host.update(myip=V4), 200, f"nochg {V4}")
    assert (host.row()["ipv4"], host.row()["ipv6"]) == (V4, V6)


def test_both_families_and_the_wildcard_travel_in_one_update(service: Service, alice: str) -> None:
    host = register(service, alice, wildcard="true")
    with one_message(service):
        said(host.update(myip=f"{V4},{V6}"), 200, f"good {V4},{V6}")
    assert host.addresses() == host.addresses("any") == [V4, V6]
    with one_message(service):
        said(host.update(offline="YES"), 200, "good")
    assert host.addresses() == host.addresses("any") == []


# ---- how an address may be written


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("192.0.2.44/24", V4),
        ("192.0.2.44/32", V4),
        ("2001:db8::44/64", V6),
        ("2001:db8::44/128", V6),
        ("2001:DB8:0:0:0:0:0:44", V6),
        ("2001:0db8:0000:0000:0000:0000:0000:0044", V6),
        ("2001:db8::0:44", V6),
        ("::ffff:192.0.2.44", V4),
        ("::FFFF:c000:22c", V4),
        (" 192.0.2.44 ", V4),
        ("192.0.2.44,", V4),
    ],
)
def test_addresses_are_compared_and_stored_canonically(host: Host, written: str, address: str) -> None:
    said(host.update(myip=written), 200, f"good {address}")
    for spelling in (address, written):
        said(host.update(myip=spelling), 200, f"nochg {address}")
    assert address in host.addresses()
    assert host.row()["ipv6" if ":" in address else "ipv4"] == address


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.16.5.6",
        "192.168.7.8",
        "100.64.9.10",
        "192.0.2.9",
        "198.51.100.9",
        "203.0.113.9",
        "8.8.4.4",
        "fd00::1",
        "2001:db8::9",
        "2606:4700::9",
    ],
)
def test_private_cgnat_and_documentation_addresses_are_accepted(host: Host, address: str) -> None:
    for word in ("good", "nochg"):
        said(host.update(myip=address), 200, f"{word} {address}")
        assert address in host.addresses()


def test_private_addresses_where_the_domain_says_otherwise(service: Service, alice: str, picky: str) -> None:
    host = register(service, alice, picky, ip="8.8.4.4")
    for address in (
        "10.1.2.3",
        "172.16.5.6",
        "192.168.7.8",
        "100.64.9.10",
        "192.0.2.9",
        "198.51.100.9",
        "203.0.113.9",
        "fd00::1",
        "2001:db8::9",
        "::ffff:10.1.2.3",
    ):
        for _ in range(2):
            refused(host.update(myip=address), 200, "dnserr")
        answer = service.get("/nic/register", alice, params={"fqdn": f"x.{picky}", "ip": address})
        assert (answer.status_code, answer.json()["message"]) == (400, f"Invalid IP address: {address}")
    assert host.addresses() == ["8.8.4.4"]
    for word in ("good", "nochg"):
        said(host.update(myip="8.8.4.5,2606:4700::5"), 200, f"{word} 8.8.4.5,2606:4700::5")


# ---- IPv6 prefixes


def test_a_prefix_recomputes_the_ipv6_address(host: Host) -> None:
    said(host.update(myip="2001:db8::aa:5"), 200, "good 2001:db8::aa:5")
    for word in ("good", "nochg"):
        said(host.update(myip="2001:db8:1::/64"), 200, f"{word} 2001:db8:1::")
        assert host.addresses() == [GIVEN, "2001:db8:1::aa:5"]
    said(host.update(myipv6="2001:db8:2::/56"), 200, "good 2001:db8:2::")
    assert host.addresses() == [GIVEN, "2001:db8:2::aa:5"]
    assert host.row()["ipv6"] == "2001:db8:2::aa:5"


def test_a_prefix_after_an_address_as_the_fritzbox_sends_it(host: Host) -> None:
    said(host.update(myip=f"{V4},2001:db8::5"), 200, f"good {V4},2001:db8::5")
    for word in ("good", "nochg"):
        answer = host.update(myip="192.0.2.50,2001:db8:3::/64", system="dyndns")
        said(answer, 200, f"{word} 192.0.2.50,2001:db8:3::")
        assert host.addresses() == ["192.0.2.50", "2001:db8:3::5"]
    said(host.update(myip=",2001:db8:4::/64"), 200, "good 2001:db8:4::")
    assert host.addresses() == ["192.0.2.50", "2001:db8:4::5"]


def test_a_prefix_moves_related_hosts_in_the_same_update(service: Service, host: Host) -> None:
    said(host.update(myip="2001:db8:1::5"), 200, "good 2001:db8:1::5")
    service.cli("related", "add", host.fqdn, "nas", "::1234:5678")
    nas = f"nas.{host.fqdn}"
    wait_until(lambda: service.dig(nas, "AAAA") == ["2001:db8:1::1234:5678"], 10, "the service has sent it")
    with one_message(service):
        said(host.update(myip="2001:db8:2::/64"), 200, "good 2001:db8:2::")
    assert host.addresses() == [GIVEN, "2001:db8:2::5"]
    assert service.dig(nas, "AAAA") == ["2001:db8:2::1234:5678"]
    assert service.dig(nas) == []
    said(host.update(myip="2001:db8:2::/64"), 200, "nochg 2001:db8:2::")


# ---- an address and a prefix together, as a router with both sends them


@pytest.mark.parametrize(
    "params",
    [
        {"myip": "192.0.2.5,2001:db8:a::1,2001:db8:b::/64"},
        {"myip": "2001:db8:b::/64,2001:db8:a::1,192.0.2.5"},
        {"myip": "192.0.2.5", "myipv6": "2001:db8:a::1,2001:db8:b::/64"},
        {"myip": "192.0.2.5", "myipv6": "2001:db8:a::1", "ip6": "2001:db8:b::/64"},
        {"ipv6": "2001:db8:b::/64", "ip": "192.0.2.5", "ip6": "2001:DB8:A:0::1"},
        {"myip": "192.0.2.5,2001:db8:a::1,2001:db8:b::/64,2001:db8:b::/64,2001:db8:a::1"},
    ],
    ids=str,
)
def test_an_address_is_the_hosts_and_a_prefix_is_that_of_related_names(
    service: Service, host: Host, params: dict[str, Any]
) -> None:
    service.cli("related", "add", host.fqdn, "nas", "::7")
    with one_message(service):
        said(host.update(**params), 200, "good 192.0.2.5,2001:db8:a::1")
    for _ in range(2):
        assert host.addresses() == ["192.0.2.5", "2001:db8:a::1"]
        assert service.dig(f"nas.{host.fqdn}", "AAAA") == ["2001:db8:b::7"]
        said(host.update(**params), 200, "nochg 192.0.2.5,2001:db8:a::1")
    with one_message(service):
        said(host.update(myip="192.0.2.5,2001:db8:a::1,2001:db8:c::/64"), 200, "good 192.0.2.5,2001:db8:a::1")
    assert host.addresses() == ["192.0.2.5", "2001:db8:a::1"]
    assert service.dig(f"nas.{host.fqdn}", "AAAA") == ["2001:db8:c::7"]


def test_two_different_prefixes_are_dnserr(host: Host) -> None:
    refused(host.update(myip="2001:db8:a::1,2001:db8:b::/64,2001:db8:c::/64"), 200, "dnserr")
    assert host.addresses() == [GIVEN]


# ---- placeholders that a router did not fill in


@pytest.mark.parametrize(
    ("params", "answer"),
    [
        ({"myip": "192.0.2.5,<ip6lanprefix>"}, "192.0.2.5"),
        ({"myip": "<ipaddr>,2001:db8:a::1,<ip6lanprefix>"}, "2001:db8:a::1"),
        ({"myip": "192.0.2.5", "myipv6": "<ip6addr>"}, "192.0.2.5"),
        ({"myip": " <ipaddr> ,192.0.2.5"}, "192.0.2.5"),
    ],
    ids=str,
)
def test_a_placeholder_is_ignored(host: Host, params: dict[str, Any], answer: str) -> None:
    for word in ("good", "nochg"):
        said(host.update(**params), 200, f"{word} {answer}")
    assert answer in host.addresses()


@pytest.mark.parametrize("params", [{"myip": "<ipaddr>"}, {"myip": ",<ipaddr>,<ip6lanprefix>", "ip6": ""}], ids=str)
def test_only_placeholders_are_dnserr(host: Host, params: dict[str, Any]) -> None:
    with counts(host, client=2):
        refused(host.update(**params), 200, "dnserr")
        refused(host.delete(**params), 200, "dnserr")
    assert host.addresses() == [GIVEN]


def test_a_placeholder_is_ignored_at_the_other_paths(service: Service, host: Host) -> None:
    asked = {"domains": host.name, "token": host.secret}
    said(service.get("/update", params=asked | {"ip": "192.0.2.6", "ipv6": "<ip6addr>"}), 200, "OK")
    assert host.addresses() == ["192.0.2.6"]
    refused(service.get("/update", params=asked | {"ip": "<ipaddr>"}), 200, "KO")
    said(host.delete(myip="0.0.0.0,<ip6addr>"), 200, "deleted A")
    assert host.addresses() == []


# ---- two updates at once

BASE = (GIVEN, "2001:db8::1")


def at_once(service: Service, host: Host, *updates: str) -> None:
    """Send these values of `myip`, each on a connection of its own."""
    start = Barrier(len(updates))

    def send(myip: str) -> str:
        with requests.Session() as session:
            session.get(f"{service.url}/myip", timeout=15)  # the connection is there
            start.wait(15)
            params = {"myip": myip}
            return session.get(f"{service.url}/nic/update", auth=host.auth, params=params, timeout=15).text

    with ThreadPoolExecutor(len(updates)) as pool:
        assert all(word.startswith(("good ", "nochg ")) for word in pool.map(send, updates))


@pytest.mark.parametrize(
    ("updates", "ends"),
    [
        (["192.0.2.2,2001:db8::1", "192.0.2.1,2001:db8::2"], {("192.0.2.2", BASE[1]), (BASE[0], "2001:db8::2")}),
        (
            ["192.0.2.2,2001:db8::1", "192.0.2.1,2001:db8:2::/64"],
            {("192.0.2.2", BASE[1]), (BASE[0], "2001:db8:2::1")},
        ),
        (["192.0.2.2", "2001:db8::2"], {("192.0.2.2", "2001:db8::2")}),
    ],
    ids=["addresses", "an address and a prefix", "one family each"],
)
def test_two_updates_at_once_never_end_as_a_mixture(
    service: Service, host: Host, updates: list[str], ends: set[tuple[str, str]]
) -> None:
    for _ in range(30):
        assert host.update(myip=",".join(BASE)).status_code == 200
        at_once(service, host, *updates)
        row = host.row()
        assert (row["ipv4"], row["ipv6"]) in ends
        assert host.addresses() == [row["ipv4"], row["ipv6"]]
    history = service.get(f"/api/hosts/{host.fqdn}/history", host.token, params={"limit": "500"}).json()["items"]
    shown = {"ipv4": GIVEN, "ipv6": None, "prefix": None}
    for entry in reversed([entry for entry in history if entry["kind"] == "update"]):
        assert {name: shown[name] for name in entry["before"]} == entry["before"] != entry["after"]
        shown |= {"prefix": None} | entry["after"]


def test_an_update_and_an_edit_at_once_never_end_as_a_mixture(service: Service, host: Host) -> None:
    edit = {"ipv4": "192.0.2.1", "ipv6": "2001:db8::2"}
    path = f"{service.url}/api/hosts/{host.fqdn}"
    bulk = {"changes": [{"action": "update", "fqdn": host.fqdn, "set": edit}]}
    for method, url, body in (("PATCH", path, edit), ("POST", f"{service.url}/api/changes", bulk)) * 15:
        assert host.update(myip=",".join(BASE)).status_code == 200
        with ThreadPoolExecutor(1) as pool:
            bearer = {"Authorization": f"Bearer {host.token}"}
            edited = pool.submit(requests.request, method, url, json=body, headers=bearer, timeout=15)
            assert host.update(myip="192.0.2.2,2001:db8::1").text.startswith("good ")
            assert edited.result().status_code == 200
        row = host.row()
        assert (row["ipv4"], row["ipv6"]) in {("192.0.2.2", "2001:db8::1"), ("192.0.2.1", "2001:db8::2")}


# ---- the peer's address


@pytest.mark.parametrize(
    "params", [{}, {"myip": ""}, {"myip": ","}, {"myip": " , "}, {"myip": "", "myipv6": ""}], ids=str
)
def test_absent_or_empty_addresses_mean_the_peer(host: Host, params: dict[str, Any]) -> None:
    for word in ("good", "nochg"):
        said(host.update(**params), 200, f"{word} {PEER}")
        assert host.addresses() == [PEER]


def test_an_empty_parameter_beside_an_address_is_ignored(host: Host) -> None:
    """ddclient sends `myip=` empty when only IPv6 is set."""
    for word in ("good", "nochg"):
        said(host.update(myip="", myipv6=V6), 200, f"{word} {V6}")
        assert host.addresses() == [GIVEN, V6]


def through(proxy: Service, forwarded: str, host: Host, **params: str) -> requests.Response:
    return host.update(headers={"X-Forwarded-For": forwarded}, **params)


@pytest.mark.parametrize("peer", ["198.51.100.7", "2001:db8::7", "10.1.2.3"])
def test_the_peer_behind_a_trusted_proxy(proxied: Service, peer: str) -> None:
    host = register(proxied, proxied.admin_token)
    for word in ("good", "nochg"):
        said(through(proxied, peer, host), 200, f"{word} {peer}")
    assert peer in host.addresses()


def test_a_mapped_peer_is_ipv4(proxied: Service) -> None:
    host = register(proxied, proxied.admin_token)
    for word in ("good", "nochg"):
        said(through(proxied, "::ffff:198.51.100.8", host), 200, f"{word} 198.51.100.8")


def test_a_peer_that_is_not_accepted_is_dnserr(proxied: Service) -> None:
    host = register(proxied, proxied.admin_token)
    for peer in ("169.254.1.1", "fe80::1", "224.0.0.1", "0.0.0.0"):
        for _ in range(2):
            refused(through(proxied, peer, host), 200, "dnserr")
    assert host.addresses() == [GIVEN]


def test_an_inferred_loopback_peer_is_dnserr_unless_it_is_allowed(strict: Service) -> None:
    host = register(strict, strict.admin_token, ip="1.1.1.1")
    for _ in range(2):
        refused(host.update(), 200, "dnserr")
        refused(host.update(myip=""), 200, "dnserr")
        refused(host.bearer(), 400, "dnserr")
        assert host.addresses() == ["1.1.1.1"]
    answer = strict.get("/nic/register", strict.admin_token, params={"fqdn": "loopback.dyn.example.org"})
    assert answer.status_code == 400
    assert strict.dig("loopback.dyn.example.org") == []


def test_an_explicit_loopback_address_never_is(service: Service, host: Host) -> None:
    said(host.update(), 200, f"good {PEER}")
    for _ in range(2):
        refused(host.update(myip=PEER), 200, "dnserr")
        refused(host.update(myip="::1"), 200, "dnserr")
    answer = service.get("/nic/register", host.token, params={"fqdn": "loopback.dyn.example.org", "ip": PEER})
    assert (answer.status_code, answer.json()["message"]) == (400, f"Invalid IP address: {PEER}")
