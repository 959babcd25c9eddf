# SPDX-License-Identifier: GPL-3.0-or-later
"""§1, the rows about `hostname`, and which status comes with an error word."""

from typing import Any

import pytest
import requests
from support.clients.dyndns import GIVEN, Host, counts, refused, register, said
from support.servers.service import Service

NEW = "192.0.2.66"
UNKNOWN = "nobody.dyn.example.org"
Key = tuple[str, str, Host, Host]


# ---- row: hostname absent, empty or YES


@pytest.mark.parametrize("params", [{}, {"hostname": ""}, {"hostname": "YES"}], ids=str)
def test_without_hostname_basic_means_the_own_host(host: Host, params: dict[str, Any]) -> None:
    for word in ("good", "nochg"):
        said(host.update(**params, myip=NEW), 200, f"{word} {NEW}")
        assert host.addresses() == [NEW]


@pytest.mark.parametrize("params", [{}, {"hostname": ""}, {"hostname": "YES"}], ids=str)
def test_without_hostname_a_key_means_all_of_its_hosts(service: Service, key: Key, params: dict[str, Any]) -> None:
    login, secret, one, two = key
    for word in ("good", "nochg"):
        answer = service.get("/nic/update", auth=(login, secret), params=params | {"myip": NEW})
        said(answer, 200, f"{word} {NEW}\n{word} {NEW}")
        assert one.addresses() == two.addresses() == [NEW]


@pytest.mark.parametrize("params", [{}, {"hostname": ""}, {"hostname": "YES"}], ids=str)
def test_without_hostname_bearer_is_nohost(service: Service, host: Host, params: dict[str, Any]) -> None:
    for _ in range(2):
        refused(service.get("/nic/update", host.token, params=params | {"myip": NEW}), 404, "nohost")
    assert host.addresses() == [GIVEN]


# ---- row: hostname not the caller's, unknown or foreign


def test_foreign_hostname_is_nohost_and_a_fault_of_the_caller_alone(host: Host, foreign: Host) -> None:
    with counts(host, client=2), counts(foreign):
        for _ in range(2):
            refused(host.update(hostname=foreign.fqdn, myip=NEW), 200, "nohost")
    assert foreign.addresses() == host.addresses() == [GIVEN]


def test_unknown_hostname_is_nohost_and_a_fault_of_the_caller(host: Host) -> None:
    with counts(host, client=2):
        refused(host.update(hostname=UNKNOWN, myip=NEW), 200, "nohost")
        refused(host.update(hostname="nobody.example.net", myip=NEW), 200, "nohost")


def test_another_host_of_the_same_owner_is_not_the_basic_callers(host: Host) -> None:
    other = register(host.service, host.token)
    for _ in range(2):
        refused(host.update(hostname=other.fqdn, myip=NEW), 200, "nohost")
        assert other.addresses() == [GIVEN]


def test_foreign_and_unknown_hostname_of_a_bearer_are_nohost(service: Service, foreign: Host, alice: str) -> None:
    with counts(foreign):
        for name in (foreign.fqdn, UNKNOWN, "nobody.example.net", "dyn.example.org"):
            for _ in range(2):
                refused(service.get("/nic/update", alice, params={"hostname": name, "myip": NEW}), 404, "nohost")
    assert foreign.addresses() == [GIVEN]


# ---- row: hostname without a dot


def test_hostname_without_a_dot_is_notfqdn_and_a_fault(host: Host) -> None:
    with counts(host, client=2):
        for name in ("nodot", "localhost"):
            refused(host.update(hostname=name, myip=NEW), 200, "notfqdn")
    for _ in range(2):
        refused(host.bearer(hostname="nodot", myip=NEW), 400, "notfqdn")
    assert host.addresses() == [GIVEN]


# ---- row: several names


def test_several_names_get_a_line_each_in_order(service: Service, host: Host) -> None:
    other = register(service, host.token)
    for word in ("good", "nochg"):
        said(host.bearer(hostname=f"{other.fqdn},{host.fqdn}", myip=NEW), 200, f"{word} {NEW}\n{word} {NEW}")
        assert host.addresses() == other.addresses() == [NEW]
    assert host.update(myip=GIVEN).status_code == 200
    said(host.bearer(hostname=f"{other.fqdn},{host.fqdn}", myip=NEW), 200, f"nochg {NEW}\ngood {NEW}")


def test_each_of_several_names_is_judged_by_itself(host: Host, foreign: Host) -> None:
    names = f"{UNKNOWN},{host.fqdn},nodot,{foreign.fqdn}"
    for word in ("good", "nochg"):
        said(host.update(hostname=names, myip=NEW), 200, f"nohost\n{word} {NEW}\nnotfqdn\nnohost")
        said(host.bearer(hostname=names, myip=NEW), 200, f"nohost\nnochg {NEW}\nnotfqdn\nnohost")
    assert (host.addresses(), foreign.addresses()) == ([NEW], [GIVEN])


def test_several_names_with_a_bad_address_get_a_line_each(host: Host, foreign: Host) -> None:
    for _ in range(2):
        answer = host.update(hostname=f"{foreign.fqdn},{host.fqdn},nodot", myip="zzz")
        refused(answer, 200, "nohost\ndnserr\nnotfqdn")
    assert host.addresses() == [GIVEN]


# ---- row: more than 20 names


def test_21_names_are_numhost_and_change_nothing(host: Host) -> None:
    names = ",".join([host.fqdn, *(f"n{i}.dyn.example.org" for i in range(20))])
    with counts(host, client=2):
        for _ in range(2):
            refused(host.update(hostname=names, myip=NEW), 200, "numhost")
            assert host.addresses() == [GIVEN]
    refused(host.bearer(hostname=names, myip=NEW), 400, "numhost")
    assert host.addresses() == [GIVEN]


def test_20_names_are_fine(host: Host) -> None:
    names = ",".join([host.fqdn, *(f"n{i}.dyn.example.org" for i in range(19))])
    for word in ("good", "nochg"):
        said(host.update(hostname=names, myip=NEW), 200, f"{word} {NEW}" + 19 * "\nnohost")


def test_duck_dns_with_21_names_is_ko(service: Service, host: Host) -> None:
    names = ",".join([host.fqdn, *(f"n{i}.dyn.example.org" for i in range(20))])
    for _ in range(2):
        answer = service.get("/update", params={"domains": names, "token": host.secret, "ip": NEW})
        refused(answer, 200, "KO")
        assert host.addresses() == [GIVEN]


# ---- paragraph: Status

WORDS = [
    ({"hostname": UNKNOWN}, "nohost", 404),
    ({"hostname": "nodot"}, "notfqdn", 400),
    ({"myip": "zzz"}, "dnserr", 400),
    ({"hostname": ",".join(f"n{i}.example.net" for i in range(21))}, "numhost", 400),
]


@pytest.mark.parametrize(("params", "word", "status"), WORDS, ids=[word for _, word, _ in WORDS])
def test_status_of_error_words(host: Host, params: dict[str, Any], word: str, status: int) -> None:
    for _ in range(2):
        refused(host.update(**params), 200, word)
        refused(host.bearer(**params), status, word)
        for agent in ("OPNsense-dyndns", "OPNsense-dyndns/1.0", "Python-urllib/3.11", "Python-urllib/3.12"):
            refused(host.update(headers={"User-Agent": agent}, **params), status, word)
        for agent in ("ddclient/3.10.0", "inadyn/2.10.0", "curl/7.88.1", "Mozilla/5.0 (Python-urllib)"):
            refused(host.update(headers={"User-Agent": agent}, **params), 200, word)
    assert host.addresses() == [GIVEN]


@pytest.mark.parametrize("agent", ["OPNsense-dyndns", "Python-urllib/3.11"])
def test_status_of_notfqdn_for_a_bad_user_name(service: Service, agent: str) -> None:
    for _ in range(2):
        answer = service.get("/nic/update", auth=("nodot", "secret"), headers={"User-Agent": agent})
        refused(answer, 400, "notfqdn")


@pytest.mark.parametrize("agent", ["OPNsense-dyndns", "Python-urllib/3.11", "ddclient/3.10.0"])
def test_status_of_success_is_200_for_everybody(host: Host, agent: str) -> None:
    for word in ("good", "nochg"):
        said(host.update(headers={"User-Agent": agent}, myip=NEW), 200, f"{word} {NEW}")


def test_status_of_several_lines_is_200_when_one_succeeded(host: Host) -> None:
    for word in ("good", "nochg"):
        said(host.bearer(hostname=f"nodot,{UNKNOWN},{host.fqdn}", myip=NEW), 200, f"notfqdn\nnohost\n{word} {NEW}")


def test_status_of_several_lines_is_the_first_lines_otherwise(service: Service, host: Host) -> None:
    def answers(names: str, **params: str) -> list[requests.Response]:
        opnsense = {"User-Agent": "OPNsense-dyndns"}
        return [
            host.bearer(hostname=names, **params),
            host.update(headers=opnsense, hostname=names, **params),
        ]

    for answer in answers(f"{UNKNOWN},nodot", myip=NEW):
        refused(answer, 404, "nohost\nnotfqdn")
    for answer in answers(f"nodot,{UNKNOWN}", myip=NEW):
        refused(answer, 400, "notfqdn\nnohost")
    for answer in answers(f"{host.fqdn},{UNKNOWN}", myip="zzz"):
        refused(answer, 400, "dnserr\nnohost")
    refused(host.update(hostname=f"{UNKNOWN},nodot"), 200, "nohost\nnotfqdn")
