# SPDX-License-Identifier: GPL-3.0-or-later
"""§1, `/nic/delete` and `/myip`."""

import pytest
from support.clients import raw_http
from support.clients.dyndns import GIVEN, Host, counts, one_message, refused, register, said
from support.servers.service import Service

V4, V6 = "192.0.2.22", "2001:db8::22"
Key = tuple[str, str, Host, Host]


@pytest.fixture
def dual(host: Host) -> Host:
    """A host with both families."""
    said(host.update(myip=f"{V4},{V6}"), 200, f"good {V4},{V6}")
    return host


# ---- delete


@pytest.mark.parametrize(
    ("myip", "body", "left"),
    [
        ("0.0.0.0", "deleted A", [V6]),
        ("::", "deleted AAAA", [V4]),
        ("0.0.0.0,::", "deleted A,AAAA", []),
        ("::,0.0.0.0", "deleted A,AAAA", []),
        (" 0.0.0.0 , :: ", "deleted A,AAAA", []),
        ("192.0.2.200", "deleted A", [V6]),
        ("2001:db8::200", "deleted AAAA", [V4]),
    ],
)
def test_the_families_of_myip_say_what_is_deleted(dual: Host, myip: str, body: str, left: list[str]) -> None:
    for _ in range(2):
        said(dual.delete(myip=myip), 200, body)
        assert dual.addresses() == left
    row = dual.row()
    assert [row[family] for family in ("ipv4", "ipv6") if row[family]] == left


def test_delete_of_what_was_never_there_is_fine(host: Host) -> None:
    for _ in range(2):
        said(host.delete(myip="::"), 200, "deleted AAAA")
        assert host.addresses() == [GIVEN]


@pytest.mark.parametrize("params", [{}, {"myip": ""}], ids=str)
def test_delete_without_myip_means_the_peers_family(dual: Host, params: dict[str, str]) -> None:
    for _ in range(2):
        said(dual.delete(**params), 200, "deleted A")
        assert dual.addresses() == [V6]


def test_delete_without_myip_from_an_ipv6_peer(proxied: Service) -> None:
    host = register(proxied, proxied.admin_token)
    said(host.update(myip=f"{V4},{V6}"), 200, f"good {V4},{V6}")
    for _ in range(2):
        answer = host.update("/nic/delete", headers={"X-Forwarded-For": "2001:db8::7"})
        said(answer, 200, "deleted AAAA")
        assert host.addresses() == [V4]


@pytest.mark.parametrize("myip", ["zzz", "0.0.0.0,zzz", "1.2.3", "fe80::1%eth0"])
def test_delete_with_a_bad_address_is_dnserr(dual: Host, myip: str) -> None:
    with counts(dual, client=2):
        for _ in range(2):
            refused(dual.delete(myip=myip), 200, "dnserr")
            assert dual.addresses() == [V4, V6]
    refused(dual.bearer("/nic/delete", myip=myip), 400, "dnserr")


def test_delete_removes_the_wildcard_in_the_same_update(service: Service, alice: str) -> None:
    host = register(service, alice, wildcard="true")
    with one_message(service):
        said(host.delete(myip="0.0.0.0"), 200, "deleted A")
    assert host.addresses() == host.addresses("any") == []
    said(host.update(myip=V4), 200, f"good {V4}")
    assert host.addresses() == host.addresses("any") == [V4]


def test_delete_takes_bearer(dual: Host) -> None:
    for _ in range(2):
        said(dual.bearer("/nic/delete", myip="0.0.0.0"), 200, "deleted A")
        assert dual.addresses() == [V6]
        refused(dual.service.get("/nic/delete", dual.token, params={"myip": "::"}), 404, "nohost")


def test_delete_takes_a_key(service: Service, key: Key) -> None:
    login, secret, one, two = key
    assert {host.update(myip=f"{V4},{V6}").status_code for host in (one, two)} == {200}
    for _ in range(2):
        said(service.get("/nic/delete", auth=(login, secret), params={"myip": "0.0.0.0"}), 200, "deleted A\ndeleted A")
        assert one.addresses() == two.addresses() == [V6]
    for _ in range(2):
        answer = service.get("/nic/delete", auth=(login, secret), params={"myip": "::", "hostname": one.fqdn})
        said(answer, 200, "deleted AAAA")
    assert (one.addresses(), two.addresses()) == ([], [V6])


def test_delete_by_post(dual: Host) -> None:
    for _ in range(2):
        answer = dual.service.request("POST", "/nic/delete", auth=dual.auth, data={"myip": "::"})
        said(answer, 200, "deleted AAAA")
        assert dual.addresses() == [V4]


def test_delete_refuses_whom_update_refuses(service: Service, dual: Host, foreign: Host) -> None:
    for _ in range(2):
        refused(service.get("/nic/delete", params={"myip": "0.0.0.0"}), 401, "badauth")
        refused(service.get("/nic/delete", auth=(dual.fqdn, "wrong"), params={"myip": "0.0.0.0"}), 401, "badauth")
        refused(dual.delete(hostname=foreign.fqdn, myip="0.0.0.0"), 200, "nohost")
        refused(dual.delete(hostname="nodot", myip="0.0.0.0"), 200, "notfqdn")
        refused(dual.bearer("/nic/delete", hostname=foreign.fqdn, myip="0.0.0.0"), 404, "nohost")
    assert (dual.addresses(), foreign.addresses()) == ([V4, V6], [GIVEN])


def test_delete_of_several_names(dual: Host, foreign: Host) -> None:
    for _ in range(2):
        answer = dual.bearer("/nic/delete", hostname=f"{foreign.fqdn},{dual.fqdn}", myip="::")
        said(answer, 200, "nohost\ndeleted AAAA")
    assert (dual.addresses(), foreign.addresses()) == ([V4], [GIVEN])


# ---- myip


@pytest.mark.parametrize("path", ["/myip", "//myip", "/myip/"])
def test_myip_is_the_peers_bare_address(service: Service, path: str) -> None:
    for source in ("127.0.0.1", "127.0.0.2"):
        said(raw_http.exchange(raw_http.request(path), service.http_port, source=source), 200, source)
    old = raw_http.exchange(raw_http.request(path, version="1.0"), service.http_port, until_closed=3)
    said(old, 200, "127.0.0.1")
    assert old.closed


def test_myip_does_not_believe_a_caller_who_is_no_proxy(service: Service) -> None:
    for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP", "CF-Connecting-IP"):
        said(service.get("/myip", headers={header: "198.51.100.7"}), 200, "127.0.0.1")


@pytest.mark.parametrize(
    ("forwarded", "peer"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("198.51.100.7,127.0.0.5", "198.51.100.7"),
        ("203.0.113.9, 198.51.100.7, 127.0.0.5,127.0.0.6", "198.51.100.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("", "127.0.0.1"),
    ],
)
def test_myip_behind_a_trusted_proxy_is_the_right_most_untrusted_hop(
    proxied: Service, forwarded: str, peer: str
) -> None:
    said(proxied.get("/myip", headers={"X-Forwarded-For": forwarded}), 200, peer)


def test_myip_on_further_listeners(proxied: Service, extra_ports: tuple[int, int]) -> None:
    v4, v6 = extra_ports
    said(raw_http.exchange(raw_http.request("/myip"), v4), 200, "127.0.0.1")
    said(raw_http.exchange(raw_http.request("/myip"), v6, host="::1"), 200, "::1")
