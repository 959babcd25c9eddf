# SPDX-License-Identifier: GPL-3.0-or-later
"""§2, the rows about `register` that refuse: what they say, and that nothing is left behind."""

import time
from functools import partial
from typing import Any

import pytest
import requests
from support.clients.dyndns import GIVEN, Host, is_listed, new_label, register, said
from support.ports import in_time, wait_until
from support.servers.faults import hung, insert, refusing, write_to_zone_file
from support.servers.service import Service

OTHER = "192.0.2.99"


def unknown(service: Service, name: str) -> bool:
    """Whether DNS has no address of the name."""
    return service.dig(name) == []


def ask(service: Service, token: str, **params: str) -> requests.Response:
    return service.get("/nic/register", token, params=params)


def error(answer: requests.Response, status: int = 400) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    content: dict[str, Any] = answer.json()
    assert content["status"] == "error"
    assert isinstance(content["message"], str)
    return content


def formerr(answer: requests.Response, field: str | None = None) -> dict[str, list[str]]:
    content = error(answer)
    assert content["message"] == "formerr"
    errors: dict[str, list[str]] = content["errors"]
    assert errors
    for texts in errors.values():
        assert texts
        assert all(isinstance(text, str) and text for text in texts)
    assert field is None or field in errors
    return errors


# ---- row: missing name or domain; bad ip


def test_missing_name_or_domain(service: Service, alice: str) -> None:
    for _ in range(2):
        assert error(ask(service, alice))["message"] == "Missing parameter: name"
        assert error(ask(service, alice, ip=GIVEN))["message"] == "Missing parameter: name"
        assert error(ask(service, alice, domain=service.domain))["message"] == "Missing parameter: name"
        assert error(ask(service, alice, name="x"))["message"] == "Missing parameter: domain"


@pytest.mark.parametrize(
    "ip",
    [
        "zzz",
        "192.0.2",
        "192.0.2.256",
        "fe80::1%eth0",
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "::",
        "169.254.1.1",
        "fe80::1",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "240.0.0.1",
        "::ffff:127.0.0.1",
    ],
)
def test_bad_ip(service: Service, alice: str, ip: str) -> None:
    fqdn = f"{new_label()}.{service.domain}"
    for _ in range(2):
        assert error(ask(service, alice, fqdn=fqdn, ip=ip))["message"] == f"Invalid IP address: {ip}"
        assert service.dig(fqdn) == service.dig(fqdn, "AAAA") == []
        assert not is_listed(service, alice, fqdn)


@pytest.mark.parametrize("ip", ["10.1.2.3", "100.64.1.1", "192.168.1.1", "fd00::1", "::ffff:192.0.2.7", "192.0.2.7/24"])
def test_ip_by_the_same_rules_as_an_update(service: Service, alice: str, ip: str) -> None:
    fqdn = f"{new_label()}.{service.domain}"
    assert ask(service, alice, fqdn=fqdn, ip=ip).status_code == 200
    shown = "192.0.2.7" if "192.0.2.7" in ip else ip
    assert service.dig(fqdn) + service.dig(fqdn, "AAAA") == [shown]


# ---- row: unknown domain, not usable, not available


def test_nxdomain_is_one_answer_for_unknown_foreign_and_unavailable(
    service: Service, alice: str, bob: str, den: str, closed: Host
) -> None:
    answers = set()
    # the last: not even for its owner
    for token, domain in ((alice, "unknown.example.net"), (alice, den), (bob, closed.domain), (alice, closed.domain)):
        for _ in range(2):
            for params in ({"fqdn": f"a.{domain}"}, {"name": "a", "domain": domain}):
                answer = ask(service, token, **params, ip=GIVEN)
                assert error(answer)["message"] == "nxdomain"
                answers.add(answer.text)
        assert service.dig(f"a.{domain}") == []
    assert len(answers) == 1


# ---- row: formerr

BAD_LABELS = ["-a", "a-", "-", "a_b", "a b", "ä", "x" * 64, "*", "a!", "a/b", "@", "a\tb", "a\u00adb", "\u212a"]


@pytest.mark.parametrize("label", BAD_LABELS, ids=ascii)
def test_bad_label_is_formerr(service: Service, alice: str, label: str) -> None:
    before = len(service.get("/nic/hosts", alice).json()["hosts"])
    for _ in range(2):
        formerr(ask(service, alice, name=label, domain=service.domain, ip=GIVEN), "name")
        formerr(ask(service, alice, fqdn=f"{label}.{service.domain}", ip=GIVEN))
    assert len(service.get("/nic/hosts", alice).json()["hosts"]) == before


def test_good_labels(service: Service, alice: str) -> None:
    tail = new_label()
    for label in (f"1{tail}", f"a-{tail}", f"xn--{tail}", tail.ljust(63, "x"), f"0--{tail}"):
        assert ask(service, alice, name=label, domain=service.domain, ip=GIVEN).status_code == 200
        assert service.dig(f"{label}.{service.domain}") == [GIVEN]


def test_empty_name_is_formerr(service: Service, alice: str) -> None:
    for _ in range(2):
        formerr(ask(service, alice, name="", domain=service.domain, ip=GIVEN), "name")
        formerr(ask(service, alice, fqdn=f".{service.domain}", ip=GIVEN))
        formerr(ask(service, alice, name=" ", domain=service.domain, ip=GIVEN), "name")


def test_comment_over_255_characters_is_formerr(service: Service, alice: str) -> None:
    fqdn = f"{new_label()}.{service.domain}"
    for _ in range(2):
        formerr(ask(service, alice, fqdn=fqdn, ip=GIVEN, comment="x" * 256), "comment")
        assert service.dig(fqdn) == []
        assert not is_listed(service, alice, fqdn)
    assert ask(service, alice, fqdn=fqdn, ip=GIVEN, comment="ž" * 255).status_code == 200


def test_name_taken_is_formerr_in_any_case_and_by_anybody(service: Service, host: Host, bob: str) -> None:
    for token in (host.token, bob):
        for params in (
            {"fqdn": host.fqdn},
            {"fqdn": host.fqdn.upper()},
            {"fqdn": host.fqdn + "."},
            {"name": host.name.upper(), "domain": host.domain},
        ):
            formerr(ask(service, token, **params, ip=OTHER), "__all__")
    assert host.addresses() == [GIVEN]
    said(host.update(myip=GIVEN), 200, f"nochg {GIVEN}")
    assert host.row()["client_faults"] == 0


def test_fqdn_without_a_dot_is_400(service: Service, alice: str) -> None:
    for fqdn in ("nodot", "", ".", "nodot.", "localhost"):
        for _ in range(2):
            error(ask(service, alice, fqdn=fqdn, ip=GIVEN))


# ---- row: reserved names, and names that stand in the zone unmanaged


def test_the_apex_is_reserved(service: Service, lab: str, alice: str) -> None:
    for domain in (service.domain, lab):
        for _ in range(2):
            formerr(ask(service, alice, fqdn=domain, ip=GIVEN))
        assert service.dig(domain) == []
        assert len(service.dig(domain, "SOA")) == 1


def test_the_names_of_the_zones_servers_are_reserved(service: Service, alice: str, lab: str) -> None:
    name = f"ns9.{lab}"
    write_to_zone_file(service, lab, f"{lab}. NS {name}.", f"{name}. A 192.0.2.9")
    wait_until(lambda: f"{name}." in service.dig(lab, "NS"), 10, "the zone's name server")
    for _ in range(2):
        formerr(ask(service, alice, fqdn=name, ip=OTHER))
        formerr(ask(service, alice, fqdn=name.upper(), ip="2001:db8::9"))
        formerr(ask(service, alice, name="ns9", domain=lab, ip=OTHER, wildcard="true"))
        assert service.dig(name) + service.dig(name, "AAAA") == ["192.0.2.9"]
    assert register(service, alice, lab).addresses() == [GIVEN]


def test_the_services_public_name_is_reserved(proxied: Service) -> None:
    for _ in range(2):
        formerr(ask(proxied, proxied.admin_token, fqdn="ddns.dyn.example.org", ip=OTHER))
        formerr(ask(proxied, proxied.admin_token, name="DDNS", domain="dyn.example.org", ip=OTHER))
    assert proxied.dig("ddns.dyn.example.org") == []


def test_the_name_with_only_ipv6_and_names_above_it_are_reserved(proxied: Service) -> None:
    for name in ("ddns.v6", "v6", "DDNS.v6"):
        formerr(ask(proxied, proxied.admin_token, fqdn=f"{name}.dyn.example.org", ip=OTHER, wildcard="true"))
        assert proxied.dig(f"{name}.dyn.example.org") == []
    assert ask(proxied, proxied.admin_token, fqdn="ddns.v6-beside.dyn.example.org", ip=OTHER).status_code == 200


@pytest.mark.parametrize(
    ("rtype", "value"),
    [
        ("A", OTHER),
        ("AAAA", "2001:db8::99"),
        ("TXT", '"theirs"'),
        ("CNAME", "w.example.net."),
        ("MX", "5 m.example.net."),
        ("DHCID", "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="),
    ],
)
def test_a_name_that_stands_in_the_zone_unmanaged_is_formerr(
    service: Service, alice: str, rtype: str, value: str
) -> None:
    fqdn = f"{new_label()}.{service.domain}"
    insert(service, service.domain, fqdn, rtype, value)
    before = service.dig(fqdn, rtype)
    assert before
    for _ in range(2):
        formerr(ask(service, alice, fqdn=fqdn, ip=GIVEN))
        assert service.dig(fqdn, rtype) == before
        assert not is_listed(service, alice, fqdn)
    if rtype not in ("A", "CNAME"):
        assert service.dig(fqdn) == []


def test_an_unmanaged_wildcard_name_is_not_overwritten(service: Service, alice: str) -> None:
    fqdn = f"{new_label()}.{service.domain}"
    insert(service, service.domain, f"*.{fqdn}", "TXT", '"theirs"')
    for _ in range(2):
        formerr(ask(service, alice, fqdn=fqdn, ip=GIVEN, wildcard="true"))
        assert service.dig(f"any.{fqdn}", "TXT") == ['"theirs"']
        assert service.dig(fqdn) == []


# ---- row: name server down


def test_a_hung_name_server_is_502_and_nothing_is_left_behind(fragile: Service) -> None:
    fqdn = f"{new_label()}.{fragile.domain}"
    with hung(fragile.named_pid()):
        for _ in range(2):
            with in_time():
                answer = ask(fragile, fragile.admin_token, fqdn=fqdn, ip=GIVEN, wildcard="true")
            assert error(answer, 502)["message"]
        assert not is_listed(fragile, fragile.admin_token, fqdn)
    time.sleep(3)  # what was sent may still run, and is to be taken back
    for name in (fqdn, f"any.{fqdn}"):
        wait_until(partial(unknown, fragile, name), 20, "no record left behind")
    assert not is_listed(fragile, fragile.admin_token, fqdn)
    assert ask(fragile, fragile.admin_token, fqdn=fqdn, ip=OTHER).status_code == 200
    assert fragile.dig(fqdn) == [OTHER]


def test_a_refusing_name_server_is_502_and_nothing_is_left_behind(fragile: Service) -> None:
    fqdn = f"{new_label()}.{fragile.domain}"
    with refusing(fragile, fragile.domain):
        for _ in range(2):
            assert error(ask(fragile, fragile.admin_token, fqdn=fqdn, ip=GIVEN), 502)["message"]
            assert not is_listed(fragile, fragile.admin_token, fqdn)
    time.sleep(2)
    assert fragile.dig(fqdn) == []
    wait_until(
        lambda: ask(fragile, fragile.admin_token, fqdn=fqdn, ip=OTHER).status_code == 200,
        20,
        "registered once it works",
    )
    assert fragile.dig(fqdn) == [OTHER]
