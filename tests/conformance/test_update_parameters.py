# SPDX-License-Identifier: GPL-3.0-or-later
"""§1, "Addresses", its end: `no` and `preserve`, `offline`, and the parameters that change nothing."""

from typing import Any

import pytest
from support.clients import raw_http
from support.clients.dyndns import GIVEN, Host, refused, register, said
from support.servers.service import Service

V4, V6 = "192.0.2.44", "2001:db8::44"


# ---- no, preserve, offline


@pytest.mark.parametrize("word", ["no", "preserve"])
def test_no_and_preserve_leave_a_family_alone(host: Host, word: str) -> None:
    said(host.update(myip=f"{V4},{V6}"), 200, f"good {V4},{V6}")
    for answer in ("good", "nochg"):
        said(host.update(myipv4=word, myipv6="2001:db8::45"), 200, f"{answer} 2001:db8::45")
        assert host.addresses() == [V4, "2001:db8::45"]
    for answer in ("good", "nochg"):
        said(host.update(myipv4="192.0.2.45", myipv6=word), 200, f"{answer} 192.0.2.45")
        assert host.addresses() == ["192.0.2.45", "2001:db8::45"]


@pytest.mark.parametrize(
    "params", [{"myip": "no"}, {"myip": "preserve"}, {"myipv4": "no", "myipv6": "preserve"}], ids=str
)
def test_no_alone_changes_nothing_and_does_not_mean_the_peer(host: Host, params: dict[str, Any]) -> None:
    for _ in range(2):
        answer = host.update(**params)
        assert answer.status_code == 200
        assert answer.text.startswith("nochg")
        assert host.addresses() == [GIVEN]


def test_offline_removes_both_families_and_answers_exactly_good(host: Host) -> None:
    said(host.update(myip=f"{V4},{V6}"), 200, f"good {V4},{V6}")
    for _ in range(2):
        said(host.update(offline="YES"), 200, "good")
        assert host.addresses() == []
    row = host.row()
    assert (row["ipv4"], row["ipv6"]) == (None, None)
    said(host.update(myip=V4), 200, f"good {V4}")
    assert host.addresses() == [V4]


@pytest.mark.parametrize("value", ["NO", "no", "NOCHG", ""])
def test_offline_otherwise_changes_nothing(host: Host, value: str) -> None:
    for word in ("good", "nochg"):
        said(host.update(offline=value, myip=V4), 200, f"{word} {V4}")
        assert host.addresses() == [V4]


def test_offline_is_donator_where_it_is_switched_off(strict: Service) -> None:
    host = register(strict, strict.admin_token, ip="1.1.1.1")
    for _ in range(2):
        refused(host.update(offline="YES"), 200, "!donator")
        refused(host.update(offline="YES", myip="1.1.1.2"), 200, "!donator")
        assert host.addresses() == ["1.1.1.1"]


# ---- further parameters


def test_dyndns_parameters_and_unknown_ones_change_nothing(host: Host) -> None:
    before = host.row()
    params: dict[str, Any] = {
        "mx": "mail.example.org",
        "backmx": "YES",
        "wildcard": "ON",
        "system": "dyndns",
        "url": "http://x/",
        "x": "1",
    }
    said(host.update(myip=GIVEN, **params), 200, f"nochg {GIVEN}")
    for word in ("good", "nochg"):
        said(host.update(myip=V4, **params), 200, f"{word} {V4}")
    assert (host.addresses(), host.addresses("any")) == ([V4], [])
    assert host.service.dig(host.fqdn, "MX") == []
    changing = ("ipv4", "last_update_ipv4")
    after = host.row()
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }


def test_wildcard_off_in_an_update_does_not_remove_the_wildcard(service: Service, alice: str) -> None:
    host = register(service, alice, wildcard="true")
    for value in ("OFF", "NOCHG", "", "false"):
        said(host.update(myip=GIVEN, wildcard=value), 200, f"nochg {GIVEN}")
    assert host.addresses("any") == [GIVEN]


def test_wildcard_follows_an_update(service: Service, alice: str) -> None:
    host = register(service, alice, wildcard="true")
    assert host.addresses("any") == [GIVEN]
    for word in ("good", "nochg"):
        said(host.update(myip=f"{V4},{V6}"), 200, f"{word} {V4},{V6}")
        assert host.addresses() == host.addresses("any") == host.addresses("a.b") == [V4, V6]


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("system=dyndns&hostname={fqdn}&myip=192.0.2.44", "192.0.2.44"),
        ("hostname={fqdn}&myip=192.0.2.44&wildcard=NOCHG&mx=NOCHG&backmx=NOCHG", "192.0.2.44"),
        ("hostname={fqdn}&myip=192.0.2.44&wildcard=&mx=&backmx=NO", "192.0.2.44"),
        ("hostname={fqdn}&myip=192.0.2.44%2C2001%3Adb8%3A%3A44", "192.0.2.44,2001:db8::44"),
        ("hostname={fqdn}&myip=192.0.2.44,2001:db8::44", "192.0.2.44,2001:db8::44"),
        ("myip=192.0.2.44&&hostname={fqdn}&", "192.0.2.44"),
        ("hostname={fqdn}&myip=192.0.2.44&flag", "192.0.2.44"),
        ("hostname=+{fqdn}+&myip=+192.0.2.44", "192.0.2.44"),
    ],
)
def test_query_strings_as_clients_write_them(service: Service, host: Host, query: str, body: str) -> None:
    headers = {"Authorization": raw_http.basic(*host.auth)}
    octets = raw_http.request("/nic/update?" + query.format(fqdn=host.fqdn), headers=headers)
    for word in ("good", "nochg"):
        said(raw_http.exchange(octets, service.http_port), 200, f"{word} {body}")
