# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones that BIND signs by a policy: updates go on, and come signed."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import dns.dnssec
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.rrset
import pytest
from support.browser.portal import entered
from support.ports import wait_until
from support.servers.second_bind import second_bind
from support.servers.service import Service, dev

SIGNED = "signed.example.org"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("dnssec") / "service") as running:
        running.cli("domain", "add", SIGNED, "--owner", "admin", "--dnssec-policy", "default")
        yield running


def rrsets(service: Service, name: str, rtype: str) -> dict[dns.rdatatype.RdataType, dns.rrset.RRset]:
    """What BIND answers, with signatures."""
    query = dns.message.make_query(name, rtype, want_dnssec=True)
    answer = dns.query.tcp(query, "127.0.0.1", port=service.dns_port, timeout=5)
    return {rrset.rdtype: rrset for rrset in answer.answer}


def is_signed(service: Service, zone: str, name: str, rtype: str = "A") -> bool:
    """Whether the records are there, and their signature is by the zone's keys and valid."""
    found, keys = rrsets(service, name, rtype), rrsets(service, zone, "DNSKEY")
    wanted = dns.rdatatype.from_text(rtype)
    if not {wanted, dns.rdatatype.RRSIG} <= found.keys() or dns.rdatatype.DNSKEY not in keys:
        return False
    dns.dnssec.validate(
        found[wanted], found[dns.rdatatype.RRSIG], {dns.name.from_text(zone): keys[dns.rdatatype.DNSKEY]}
    )
    return True


def policy(service: Service, zone: str) -> str | None:
    """What the store says."""
    found = json.loads(service.cli("domain", "list", "--json").stdout)
    value: str | None = next(item["dnssec_policy"] for item in found if item["name"] == zone)
    return value


def test_answers_are_signed_and_stay_so_through_updates(service: Service) -> None:
    wait_until(lambda: is_signed(service, SIGNED, SIGNED, "SOA"), 20, "the zone is signed")
    secret = service.register(f"a.{SIGNED}", ip="192.0.2.1", wildcard="true")
    assert is_signed(service, SIGNED, f"a.{SIGNED}")
    words = [
        service.get("/nic/update", auth=(f"a.{SIGNED}", secret), params={"myip": "192.0.2.2"}).text for _ in range(2)
    ]
    assert words == ["good 192.0.2.2", "nochg 192.0.2.2"]
    assert is_signed(service, SIGNED, f"a.{SIGNED}")
    assert service.dig(f"a.{SIGNED}") == ["192.0.2.2"]
    # nothing that signing adds is taken for a difference, and names that have left are gone with their signatures
    assert service.cli("reconcile", "--check").stdout == ""
    service.get("/nic/unregister", service.admin_token, params={"fqdn": f"a.{SIGNED}"})
    assert rrsets(service, f"a.{SIGNED}", "A") == {}
    service.register(f"a.{SIGNED}", ip="192.0.2.3")
    assert service.cli("domain", "provision").stdout == ""


def test_no_answer_is_older_than_good(service: Service) -> None:
    """BIND would answer from a signed copy that follows later, if the zone had inline-signing."""
    wait_until(lambda: is_signed(service, SIGNED, SIGNED, "SOA"), 20, "the zone is signed")
    secret = service.register(f"fresh.{SIGNED}", ip="192.0.2.1")
    for number in range(100):
        address = f"198.51.100.{number}"
        answer = service.get("/nic/update", auth=(f"fresh.{SIGNED}", secret), params={"myip": address})
        assert answer.text == f"good {address}"
        assert service.dig(f"fresh.{SIGNED}") == [address]
    [line] = [line for line in service.cli("doctor").stdout.splitlines() if f"domain {SIGNED} at" in line]
    assert "note" not in line


def is_shown_late(service: Service, zone: str) -> bool:
    """What the API says."""
    shown: bool = service.get(f"/api/domains/{zone}", service.admin_token).json()["inline_signing"]
    return shown


def test_a_primary_whose_answers_are_late_is_told(service: Service, tmp_path: Path) -> None:
    copied, direct = "inline.example.net", "direct.example.net"
    seen = r"(had a change \d+ ms|may have a change some milliseconds)"
    told = rf"answers {seen} after its acknowledgement, because the zone has inline signing"
    with second_bind(tmp_path / "bind") as bind:
        said = {}
        for zone in (copied, direct):
            key = ("--key-file", str(bind.make_signed_zone(zone, inline=zone == copied)))
            add = ("domain", "add", zone, "--owner", "admin", "--primary", bind.address)
            said[zone] = service.cli(*add, *key).stdout
        assert re.fullmatch(
            f"added {copied}; note: {told}; `inline-signing no;` in the zone's statement ends this\n", said[copied]
        )
        assert said[direct] == f"added {direct}\n"
        lines = service.cli("doctor").stdout.splitlines()
        [line] = [line for line in lines if f"domain {copied} at" in line]
        assert re.match(rf"ok   domain {copied} at {bind.address} \(note: {told}", line)
        assert f"ok   domain {direct} at {bind.address}" in lines
        wait_until(lambda: is_shown_late(service, copied), 20, "the service knows it")
        assert not is_shown_late(service, direct)
        listed = json.loads(service.cli("domain", "list", "--json").stdout)
        assert [one["name"] for one in listed if one["inline_signing"]] == [copied]
        browser = entered(service, "admin")
        texts = {"en": "the zone has inline signing", "de": "Die Zone hat „inline-signing“"}
        for language, text in texts.items():
            browser.headers["Accept-Language"] = language
            assert text in browser.open(f"/domains/{copied}").text
            assert text not in browser.open(f"/domains/{direct}").text
        bind.end_inline_signing(copied)
        bind.restart()
        wait_until(lambda: not is_shown_late(service, copied), 20, "the service has noticed the restart")
        wait_until(lambda: bind.names(copied) == {copied}, 10, "nothing is left of the test")
        for zone in said:
            service.cli("domain", "remove", zone)


def test_a_zone_is_signed_and_unsigned(service: Service) -> None:
    zone = "later.example.org"
    add = ("domain", "add", zone, "--owner", "admin", "--exist-ok")
    service.cli(*add)
    service.register(f"a.{zone}", ip="192.0.2.1")
    assert not is_signed(service, zone, f"a.{zone}")
    for check in (["--check"], []):
        done = service.cli(*add, "--dnssec-policy", "default", *check).stdout
        assert done == f"changed {zone}: dnssec_policy\n"
    assert service.cli(*add, "--dnssec-policy", "default").stdout == ""
    wait_until(lambda: is_signed(service, zone, f"a.{zone}"), 20, "the zone is signed")
    assert policy(service, zone) == "default"

    service.cli("domain", "set", zone, "--dnssec-policy", "none")
    assert policy(service, zone) is None
    wait_until(lambda: rrsets(service, zone, "DNSKEY") == {}, 20, "the keys have left the zone")
    wait_until(lambda: dns.rdatatype.RRSIG not in rrsets(service, f"a.{zone}", "A"), 20, "the signatures have too")
    assert service.dig(f"a.{zone}") == ["192.0.2.1"]
    assert service.cli("domain", "provision").stdout == ""

    service.get("/nic/unregister", service.admin_token, params={"fqdn": f"a.{zone}"})
    service.cli("domain", "remove", zone)
    assert list((service.dir / "bind" / "dnssec").glob(f"K{zone}*")) == []


def test_a_policy_that_bind_does_not_have_is_explained(service: Service) -> None:
    zone = "unknown.example.org"
    for name, said in (
        ("nosuch", 'named.conf must contain `dnssec-policy "nosuch"'),
        ("a;b", "is not a valid name"),
    ):
        for command in (
            ("add", zone, "--owner", "admin", "--dnssec-policy", name),
            ("set", service.domain, "--dnssec-policy", name),
        ):
            result = service.cli("domain", *command, check=False)
            assert (result.returncode, result.stdout) == (1, "")
            assert said in result.stderr
    assert service.dig(zone, "SOA") == []
    assert list((service.dir / "bind").rglob(f"{zone}*")) == []
    assert policy(service, service.domain) is None
    service.cli("domain", "add", zone, "--owner", "admin")


def test_the_policy_is_shown(service: Service) -> None:
    shown = service.get(f"/api/domains/{SIGNED}", service.admin_token).json()
    assert shown["dnssec_policy"] == "default"
    assert service.get(f"/api/domains/{service.domain}", service.admin_token).json()["dnssec_policy"] is None
    [line] = [x for x in service.cli("domain", "list").stdout.splitlines() if x.startswith(SIGNED)]
    assert re.split(r"  +", line)[5] == "default"


def test_a_restarted_service_leaves_its_zone_signed(tmp_path: Path) -> None:
    with dev(tmp_path / "service") as service:
        service.cli("domain", "set", service.domain, "--dnssec-policy", "default")
        wait_until(lambda: is_signed(service, service.domain, service.domain, "SOA"), 20, "the zone is signed")
        service.stop()
        service.start()
        wait_until(lambda: is_signed(service, service.domain, service.domain, "SOA"), 20, "the zone is still signed")
        assert service.cli("domain", "provision", "--check").stdout == ""
