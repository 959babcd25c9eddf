# SPDX-License-Identifier: GPL-3.0-or-later
"""§2, the rows about `register` that succeed."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.clients.dyndns import GIVEN, Host, new_label, one_message, register, said
from support.servers.service import Service

V6 = "2001:db8::1"
SIXTEEN = {
    "fqdn",
    "name",
    "domain",
    "wildcard",
    "comment",
    "available",
    "client_faults",
    "server_faults",
    "abuse_blocked",
    "abuse",
    "last_update_ipv4",
    "tls_update_ipv4",
    "ipv4",
    "last_update_ipv6",
    "tls_update_ipv6",
    "ipv6",
}
NINETEEN = SIXTEEN | {"update_secret", "IPv4_update_url_basic_auth", "IPv4_update_url_bearer_auth"}


def registered(service: Service, token: str, **params: str) -> dict[str, Any]:
    answer = service.get("/nic/register", token, params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    content: dict[str, Any] = answer.json()
    assert set(content) == {"status", "message", "host"}
    assert (content["status"], content["message"]) == ("ok", "Host registered.")
    host: dict[str, Any] = content["host"]
    return host


def is_moment(text: str) -> bool:
    """The sample's form, `2025-10-13T11:24:51.165433+00:00`, and just now."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", text):
        return False
    return abs(datetime.now(UTC) - datetime.fromisoformat(text)) < timedelta(minutes=1)


def test_register_answers_the_nineteen_keys(service: Service, alice: str) -> None:
    label = new_label()
    fqdn = f"{label}.{service.domain}"
    host = registered(service, alice, fqdn=fqdn, ip="10.10.0.253", wildcard="false", comment="test")
    assert set(host) == NINETEEN
    secret, moment = host["update_secret"], host["last_update_ipv4"]
    assert host == {
        "fqdn": fqdn,
        "name": label,
        "domain": service.domain,
        "wildcard": False,
        "comment": "test",
        "available": True,
        "client_faults": 0,
        "server_faults": 0,
        "abuse_blocked": False,
        "abuse": False,
        "last_update_ipv4": moment,
        "tls_update_ipv4": False,
        "ipv4": "10.10.0.253",
        "last_update_ipv6": None,
        "tls_update_ipv6": False,
        "ipv6": None,
        "update_secret": secret,
        "IPv4_update_url_basic_auth": f"http://{fqdn}:{secret}@127.0.0.1:{service.http_port}/nic/update",
        "IPv4_update_url_bearer_auth": f"{service.url}/nic/update?hostname={fqdn}&myip=${{myip}}",
    }
    assert is_moment(moment)
    assert len(secret) >= 20
    assert service.dig(fqdn) == ["10.10.0.253"]


def test_register_with_name_and_domain(service: Service, alice: str, lab: str) -> None:
    for domain in (service.domain, lab):
        label = new_label()
        host = registered(service, alice, name=label, domain=domain, ip=GIVEN)
        assert (host["fqdn"], host["name"], host["domain"]) == (f"{label}.{domain}", label, domain)
        assert service.dig(host["fqdn"]) == [GIVEN]


def test_register_with_an_ipv6_address(service: Service, alice: str) -> None:
    host = registered(service, alice, fqdn=f"{new_label()}.{service.domain}", ip="2001:DB8::0:1")
    assert (host["ipv4"], host["last_update_ipv4"], host["ipv6"]) == (None, None, V6)
    assert is_moment(host["last_update_ipv6"])
    assert (service.dig(host["fqdn"]), service.dig(host["fqdn"], "AAAA")) == ([], [V6])


def test_names_are_folded_to_lower_case(service: Service, alice: str) -> None:
    label = new_label()
    host = registered(service, alice, fqdn=f"{label.upper()}.{service.domain.upper()}.", ip=GIVEN)
    assert (host["fqdn"], host["name"], host["domain"]) == (f"{label}.{service.domain}", label, service.domain)
    other = registered(service, alice, name=label.upper() + "X", domain=service.domain.title(), ip=GIVEN)
    assert other["fqdn"] == f"{label}x.{service.domain}"


@pytest.mark.parametrize("value", ["true", "1", "yes", "True", "TRUE", "YES", "Yes"])
def test_wildcard_values(service: Service, alice: str, value: str) -> None:
    fqdn = f"{new_label()}.{service.domain}"
    with one_message(service):
        assert registered(service, alice, fqdn=fqdn, ip=GIVEN, wildcard=value)["wildcard"] is True
    for below in ("any", "a.b"):
        assert service.dig(f"{below}.{fqdn}") == [GIVEN]


@pytest.mark.parametrize("value", ["false", "0", "no", "False", "", "on", "2", "truely"])
def test_values_that_are_no_wildcard(service: Service, alice: str, value: str) -> None:
    fqdn = f"{new_label()}.{service.domain}"
    assert registered(service, alice, fqdn=fqdn, ip=GIVEN, wildcard=value)["wildcard"] is False
    assert service.dig(f"any.{fqdn}") == []


def test_wildcard_and_comment_may_be_absent(service: Service, alice: str) -> None:
    host = registered(service, alice, fqdn=f"{new_label()}.{service.domain}", ip=GIVEN)
    assert (host["wildcard"], host["comment"]) == (False, None)


@pytest.mark.parametrize("comment", ["IM created DNS entry", "Žlutý kůň 🐎", "x" * 255, "<b>&amp;\"'"])
def test_comment_is_kept(service: Service, alice: str, comment: str) -> None:
    fqdn = f"{new_label()}.{service.domain}"
    assert registered(service, alice, fqdn=fqdn, ip=GIVEN, comment=comment)["comment"] == comment
    rows = service.get("/nic/hosts", alice).json()["hosts"]
    assert [row["comment"] for row in rows if row["fqdn"] == fqdn] == [comment]


@pytest.mark.parametrize("params", [{}, {"ip": ""}], ids=str)
def test_without_ip_the_address_is_the_peers(service: Service, alice: str, params: dict[str, str]) -> None:
    host = registered(service, alice, fqdn=f"{new_label()}.{service.domain}", **params)
    assert host["ipv4"] == "127.0.0.1"
    assert service.dig(host["fqdn"]) == ["127.0.0.1"]


def test_without_ip_the_address_is_the_one_that_the_proxy_saw(proxied: Service) -> None:
    for peer, family in (("198.51.100.7", "ipv4"), ("2001:db8::7", "ipv6")):
        answer = proxied.get(
            "/nic/register",
            proxied.admin_token,
            params={"fqdn": f"{new_label()}.{proxied.domain}"},
            headers={"X-Forwarded-For": peer},
        )
        assert answer.json()["host"][family] == peer


def test_the_secret_works_and_is_shown_once(service: Service, alice: str) -> None:
    host = register(service, alice)
    for word in ("good", "nochg"):
        said(host.update(myip="192.0.2.5"), 200, f"{word} 192.0.2.5")
    assert host.secret not in service.get("/nic/hosts", alice).text


def test_update_urls_are_those_of_the_public_name_with_and_without_ipv6(proxied: Service) -> None:
    fqdn = f"{new_label()}.{proxied.domain}"
    host = registered(proxied, proxied.admin_token, fqdn=fqdn, ip=GIVEN)
    assert set(host) == NINETEEN | {"IPv6_update_url_basic_auth", "IPv6_update_url_bearer_auth"}
    secret = host["update_secret"]
    for family, name in (("IPv4", "ddns.dyn.example.org"), ("IPv6", "ddns.v6.dyn.example.org")):
        assert host[f"{family}_update_url_basic_auth"] == f"https://{fqdn}:{secret}@{name}/nic/update"
        bearer = f"https://{name}/nic/update?hostname={fqdn}&myip=${{myip}}"
        assert host[f"{family}_update_url_bearer_auth"] == bearer


# ---- row: the first explicit update names only the other family


def test_an_inferred_address_is_dropped_by_the_first_explicit_update_of_the_other_family(
    service: Service, alice: str
) -> None:
    host = register(service, alice, ip="", wildcard="true")
    assert host.addresses() == host.addresses("any") == ["127.0.0.1"]
    said(host.bearer(myip=V6), 200, f"good {V6}")
    assert host.addresses() == host.addresses("any") == [V6]
    assert host.row()["ipv4"] is None
    said(host.bearer(myip=V6), 200, f"nochg {V6}")
    said(host.bearer(myip=GIVEN), 200, f"good {GIVEN}")
    assert host.addresses() == [GIVEN, V6]


def test_an_inferred_address_gives_way_to_an_explicit_one_of_its_family(service: Service, alice: str) -> None:
    host = register(service, alice, ip="")
    said(host.update(myip=GIVEN), 200, f"good {GIVEN}")
    said(host.update(myip=V6), 200, f"good {V6}")
    assert host.addresses() == [GIVEN, V6]


def test_an_inferred_address_that_an_explicit_update_confirmed_stays(proxied: Service) -> None:
    peer = {"X-Forwarded-For": "198.51.100.7"}
    fqdn = f"{new_label()}.{proxied.domain}"
    answer = proxied.get("/nic/register", proxied.admin_token, params={"fqdn": fqdn}, headers=peer)
    host = Host(proxied, fqdn, answer.json()["host"]["update_secret"], proxied.admin_token)
    said(host.update(myip="198.51.100.7"), 200, "nochg 198.51.100.7")
    said(host.update(myip=V6), 200, f"good {V6}")
    assert host.addresses() == ["198.51.100.7", V6]


def test_an_inferred_address_that_an_inferred_update_confirmed_stays(service: Service, alice: str) -> None:
    host = register(service, alice, ip="")
    said(host.update(), 200, "nochg 127.0.0.1")
    said(host.update(myip=V6), 200, f"good {V6}")
    assert host.addresses() == ["127.0.0.1", V6]


def test_an_explicit_address_of_the_registration_stays(host: Host) -> None:
    said(host.update(myip=V6), 200, f"good {V6}")
    assert host.addresses() == [GIVEN, V6]
