# SPDX-License-Identifier: GPL-3.0-or-later
"""§1, `/update?domains=&token=&ip=&ipv6=&clear=`: Duck DNS's form."""

import pytest
import requests
from support.clients import raw_http
from support.clients.dyndns import GIVEN, Host, counts, refused, register, said
from support.servers.service import Service

V4, V6 = "192.0.2.11", "2001:db8::11"
Key = tuple[str, str, Host, Host]


def duck(service: Service, domains: str, token: str, **params: str) -> requests.Response:
    return service.get("/update", params={"domains": domains, "token": token} | params)


@pytest.mark.parametrize("path", ["/update", "//update", "/%5c/update", "/update/"])
def test_ok_is_the_whole_body(service: Service, host: Host, path: str) -> None:
    octets = raw_http.request(f"{path}?domains={host.name}&token={host.secret}&ip={V4}")
    for _ in range(2):
        said(raw_http.exchange(octets, service.http_port), 200, "OK")
        assert host.addresses() == [V4]


def test_name_may_be_the_first_label_or_the_full_name(service: Service, host: Host) -> None:
    number = 100
    for name in (host.name, host.fqdn, host.name.upper(), host.fqdn.upper() + "."):
        number += 1
        for _ in range(2):
            said(duck(service, name, host.secret, ip=f"192.0.2.{number}"), 200, "OK")
            assert host.addresses() == [f"192.0.2.{number}"]


def test_token_may_be_the_secret_of_a_key(service: Service, key: Key) -> None:
    _, secret, one, two = key
    for _ in range(2):
        said(duck(service, one.name, secret, ip=V4), 200, "OK")
        assert (one.addresses(), two.addresses()) == ([V4], [GIVEN])
    for _ in range(2):
        said(duck(service, f"{one.name},{two.fqdn}", secret, ip="192.0.2.12"), 200, "OK")
        assert one.addresses() == two.addresses() == ["192.0.2.12"]


def test_token_may_be_a_token(service: Service, host: Host) -> None:
    other = register(service, host.token)
    for _ in range(2):
        said(duck(service, host.fqdn, host.token, ip=V4), 200, "OK")
        assert (host.addresses(), other.addresses()) == ([V4], [GIVEN])
    for _ in range(2):
        said(duck(service, f"{other.name},{host.name}", host.token, ip="192.0.2.12"), 200, "OK")
        assert host.addresses() == other.addresses() == ["192.0.2.12"]


def test_both_families(service: Service, host: Host) -> None:
    for _ in range(2):
        said(duck(service, host.name, host.secret, ip=V4, ipv6=V6), 200, "OK")
        assert host.addresses() == [V4, V6]
    for _ in range(2):
        said(duck(service, host.name, host.secret, ipv6="2001:db8::12"), 200, "OK")
        assert host.addresses() == [V4, "2001:db8::12"]


@pytest.mark.parametrize("params", [{}, {"ip": ""}, {"ip": "", "ipv6": ""}], ids=str)
def test_without_an_address_it_is_the_peers(service: Service, host: Host, params: dict[str, str]) -> None:
    for _ in range(2):
        said(duck(service, host.name, host.secret, **params), 200, "OK")
        assert host.addresses() == ["127.0.0.1"]


def test_clear_removes_both_families(service: Service, host: Host) -> None:
    said(duck(service, host.name, host.secret, ip=V4, ipv6=V6), 200, "OK")
    for _ in range(2):
        said(duck(service, host.name, host.secret, clear="true"), 200, "OK")
        assert host.addresses() == []
    said(duck(service, host.name, host.secret, ip=V4, clear="false"), 200, "OK")
    assert host.addresses() == [V4]


def test_by_post(service: Service, host: Host) -> None:
    form = {"domains": host.name, "token": host.secret, "ip": V4}
    for _ in range(2):
        said(service.request("POST", "/update", data=form), 200, "OK")
        assert host.addresses() == [V4]


def test_wrong_token_is_ko_and_counts_for_nobody(service: Service, host: Host, foreign: Host) -> None:
    with counts(host):
        for token in ("wrong", "", foreign.secret, foreign.token, "ddns_" + "0" * 43):
            for _ in range(2):
                refused(duck(service, host.fqdn, token, ip=V4), 200, "KO")
    assert host.addresses() == [GIVEN]


@pytest.mark.parametrize("params", [{"domains": "x"}, {"token": "x"}, {"domains": "", "token": ""}], ids=str)
def test_missing_parameters_are_ko(service: Service, params: dict[str, str]) -> None:
    for _ in range(2):
        refused(service.get("/update", params=params), 200, "KO")


def test_unknown_or_foreign_names_are_ko_and_nothing_changes(service: Service, host: Host, foreign: Host) -> None:
    for name in (foreign.name, foreign.fqdn, "nobody", "nobody.example.net", f"{host.fqdn},{foreign.fqdn}", ""):
        for token in (host.secret, host.token):
            refused(duck(service, name, token, ip=V4), 200, "KO")
    assert host.addresses() == foreign.addresses() == [GIVEN]


@pytest.mark.parametrize(
    "params", [{"ip": "zzz"}, {"ip": V4, "ipv6": "zzz"}, {"ip": "127.0.0.1"}, {"ipv6": "::1"}], ids=str
)
def test_bad_addresses_are_ko_and_nothing_changes(service: Service, host: Host, params: dict[str, str]) -> None:
    for _ in range(2):
        refused(duck(service, host.fqdn, host.secret, **params), 200, "KO")
        assert host.addresses() == [GIVEN]


def test_txt_is_the_record_of_acme_clients(service: Service, host: Host, foreign: Host) -> None:
    """Duck DNS answers with it below each host; here it is where ACME clients look, and the addresses stay."""
    name = f"_acme-challenge.{host.fqdn}"
    for text in ("first-token", "second_token"):
        said(duck(service, host.name, host.secret, txt=text), 200, "OK")
        assert (service.dig(name, "TXT"), service.dig(host.fqdn, "TXT"), host.addresses()) == (
            [f'"{text}"'],
            [],
            [GIVEN],
        )
    refused(duck(service, foreign.fqdn, host.secret, txt="x"), 200, "KO")
    for _ in range(2):
        said(duck(service, host.name, host.secret, txt="second_token", clear="true"), 200, "OK")
        assert (service.dig(name, "TXT"), host.addresses()) == ([], [GIVEN])
    said(duck(service, host.name, host.token, txt="third"), 200, "OK")
    said(duck(service, host.name, host.token, txt=""), 200, "OK")
    assert service.dig(name, "TXT") == []


def test_update_without_domains_and_token_is_the_dyndns2_form(service: Service, host: Host) -> None:
    for word in ("good", "nochg"):
        said(host.update("/update", hostname=host.fqdn, myip=V4), 200, f"{word} {V4}")
    refused(service.get("/update", params={"hostname": host.fqdn, "myip": V4}), 401, "badauth")
