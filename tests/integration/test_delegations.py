# SPDX-License-Identifier: GPL-3.0-or-later
"""DS records, shown and kept: signed zones below our own, their keys replaced, on one BIND and on two."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import dns.dnssec
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import pytest
from support.browser.portal import entered
from support.ports import wait_until
from support.servers.second_bind import SecondBind, second_bind
from support.servers.service import Service, dev

from ddnsd.dns.tsig import TsigKey

SOON = 90.0

POLICIES = """
dnssec-policy "brisk" {
    keys { ksk lifetime unlimited algorithm ecdsap256sha256; zsk lifetime unlimited algorithm ecdsap256sha256; };
    dnskey-ttl 1; publish-safety 1; retire-safety 1; max-zone-ttl 1; zone-propagation-delay 1;
    parent-ds-ttl 1; parent-propagation-delay 1;
    nsec3param iterations 0 optout no salt-length 0;
};
"""
"""A policy whose keys are replaced in seconds. Its zones have TTLs of a second."""


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, store_settings: Callable[[], dict[str, str]]
) -> Iterator[Service]:
    with signing(tmp_path_factory.mktemp("signing") / "service", **store_settings()) as running:
        yield running


def signing(folder: Path, **settings: str) -> AbstractContextManager[Service]:
    """A service whose BIND has the policies."""
    (folder / "bind").mkdir(parents=True)
    (folder / "bind" / "policies.conf").write_text(POLICIES)
    return dev(folder, **settings)


def add_brisk(service: Service, zone: str) -> None:
    """A signed domain whose zone has only TTLs of a second."""
    prepare(service.dir / "bind", zone)
    service.cli("domain", "add", zone, "--owner", "admin", "--ttl", "1", "--dnssec-policy", "brisk")


def prepare(folder: Path, zone: str) -> None:
    """The file of a zone that is added later."""
    text = f"$TTL 1\n@ SOA localhost. hostmaster.{zone}. 1 3600 600 1209600 1\n@ NS localhost.\n"
    (folder / "zones").mkdir(exist_ok=True, mode=0o700)
    (folder / "zones" / f"{zone}.zone").write_text(text)


def rndc(service: Service, *words: str) -> str:
    command = ["rndc", "-c", str(service.dir / "bind" / "rndc.conf"), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def in_zone(service: Service, zone: str, name: str, rtype: str) -> list[str]:
    """The records of the name in the zone itself: BIND would answer from the zone below."""
    key = TsigKey.from_text((service.dir / "bind" / "keys" / f"{zone}.key").read_text()).dnspython
    wanted = dns.rdatatype.from_text(rtype)
    messages = dns.query.xfr(
        "127.0.0.1", zone, port=service.dns_port, keyring={key.name: key}, lifetime=10, relativize=False
    )
    return sorted(
        rdata.to_text()
        for message in messages
        for rrset in message.answer
        if (rrset.name, rrset.rdtype) == (dns.name.from_text(name), wanted)
        for rdata in rrset
    )


def tags(records: list[str]) -> set[int]:
    return {int(text.split()[0]) for text in records}


def of_keys(keys: list[str], zone: str) -> set[int]:
    """The tags of DNSKEY records, from an implementation of their own."""
    found: list[Any] = [dns.rdata.from_text("IN", "DNSKEY", text) for text in keys]
    return {dns.dnssec.key_id(key) for key in found if key.flags & 1}


def state_of_ds(status: str) -> dict[int, str]:
    """The state of each key's DS record, from `rndc dnssec -status`."""
    found = (re.search(r"^(\d+) .*^  - ds: +(\w+)", part, re.M | re.S) for part in status.split("\nkey: ")[1:])
    return {int(one[1]): one[2] for one in found if one is not None}


def has_proof(service: Service, zone: str, name: str, rtype: str) -> bool:
    """Whether the answer from the zone is signed by its keys."""

    def asked(one: str, kind: str) -> dict[dns.rdatatype.RdataType, dns.rrset.RRset]:
        query = dns.message.make_query(one, kind, want_dnssec=True)
        answer = dns.query.tcp(query, "127.0.0.1", port=service.dns_port, timeout=5)
        return {rrset.rdtype: rrset for rrset in answer.answer}

    found, keys = asked(name, rtype), asked(zone, "DNSKEY")
    wanted = dns.rdatatype.from_text(rtype)
    if wanted not in found or dns.rdatatype.RRSIG not in found or dns.rdatatype.DNSKEY not in keys:
        return False
    owner = dns.name.from_text(zone)
    dns.dnssec.validate(found[wanted], found[dns.rdatatype.RRSIG], {owner: keys[dns.rdatatype.DNSKEY]})
    return True


def shown(service: Service, zone: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(service.cli("domain", "ds", zone, "--json").stdout)
    return found


def test_zones_without_ds_records(service: Service) -> None:
    for zone, said in ((service.domain, "is not signed"), ("nobody.example.net", "nobody.example.net")):
        found = service.cli("domain", "ds", zone, check=False)
        assert (found.returncode, found.stdout) == (1, "")
        assert said in found.stderr
    answer = service.get(f"/api/domains/{service.domain}/ds", service.admin_token).json()
    assert (answer["signed"], answer["records"], answer["state"]) == (False, [], "matching")


def asks_to_remove(service: Service, zone: str) -> bool:
    """Whether `domain ds` shows no record, and says that the zone asks its parent to remove those that it has."""
    refused = service.cli("domain", "ds", zone, check=False)
    said = f"{zone} asks its parent to remove its DS records (CDS). Its signatures end afterwards" in refused.stderr
    assert not said or (refused.returncode, refused.stdout) == (1, "")
    return said


@pytest.mark.long
def test_a_zone_below_ours_is_delegated_and_its_keys_are_replaced(service: Service) -> None:
    parent, child, plain = service.domain, f"lab.{service.domain}", f"plain.{service.domain}"
    service.cli("domain", "add", plain, "--owner", "admin")
    add_brisk(service, child)
    name = f"a.{child}"
    secret = service.register(name, ip="192.0.2.1")

    # the first key
    wait_until(lambda: service.dig(child, "DS") != [], SOON, "the parent has a DS record")
    [first] = tags(service.dig(child, "DS"))
    assert {first} == of_keys(service.dig(child, "DNSKEY"), child)
    assert in_zone(service, parent, child, "NS") == ["localhost."]
    assert in_zone(service, parent, plain, "NS") == [], "nobody needs it, so nothing changes"
    service.cli("domain", "set", parent, "--dnssec-policy", "default")
    wait_until(lambda: in_zone(service, parent, plain, "NS") != [], SOON, "a signed parent must delegate it")
    service.cli("domain", "remove", plain)
    assert in_zone(service, parent, plain, "NS") == []
    wait_until(lambda: has_proof(service, parent, child, "DS"), SOON, "the parent signs it")
    found = service.cli("domain", "ds", child)
    assert found.stdout == f"{child}. IN DS {service.dig(child, 'DS')[0]}\n"
    assert "matching: the parent dyn.example.org has exactly these DS records" in found.stderr
    assert shown(service, child)["source"] == "cds"
    answer = service.get(f"/api/domains/{child}/ds", service.admin_token).json()
    assert {"domain": child, **answer} == shown(service, child)
    assert (answer["state"], answer["parent"], answer["lines"]) == ("matching", parent, [found.stdout.strip()])
    assert service.get(f"/api/domains/{child}/ds", service.user("somebody")).status_code == 403
    wait_until(
        lambda: state_of_ds(rndc(service, "dnssec", "-status", child)) == {first: "omnipresent"}, SOON, "BIND knows it"
    )

    # the next key: nobody does anything but to ask for it
    rndc(service, "dnssec", "-rollover", "-key", str(first), child)
    wait_until(lambda: tags(service.dig(child, "DS")).isdisjoint({first}), SOON, "the parent has the next one")
    [second] = tags(service.dig(child, "DS"))
    wait_until(lambda: of_keys(service.dig(child, "DNSKEY"), child) == {second}, SOON, "the first key is gone")
    assert service.get("/nic/update", auth=(name, secret), params={"myip": "192.0.2.2"}).text == "good 192.0.2.2"
    assert has_proof(service, child, name, "A")
    assert service.cli("reconcile", "--check").stdout == ""

    # unsigned
    service.cli("domain", "set", child, "--dnssec-policy", "none")
    wait_until(lambda: asks_to_remove(service, child), SOON, "the zone asks its parent")
    wait_until(lambda: service.dig(child, "DS") == [], SOON, "the DS record is gone")
    wait_until(
        lambda: set(state_of_ds(rndc(service, "dnssec", "-status", child)).values()) <= {"unretentive", "hidden"},
        SOON,
        "BIND has seen that, and ends the signatures when resolvers have forgotten it",
    )
    assert in_zone(service, parent, child, "NS") == ["localhost."], "a signed parent must still delegate it"

    # removed
    service.get("/nic/unregister", service.admin_token, params={"fqdn": name})
    service.cli("domain", "remove", child)
    assert in_zone(service, parent, child, "NS") == []
    service.register(f"a.lab.{parent}", ip="192.0.2.3")  # its names are free again
    assert service.dig(f"a.lab.{parent}") == ["192.0.2.3"]


def test_nsec3_and_a_policy_by_name(service: Service) -> None:
    zone = "nsec3.example.net"
    add_brisk(service, zone)
    wait_until(lambda: service.dig(zone, "NSEC3PARAM") == ["1 0 0 -"], SOON, "the zone has NSEC3")
    service.register(f"a.{zone}", ip="192.0.2.1")
    wait_until(lambda: has_proof(service, zone, f"a.{zone}", "A"), SOON, "it is signed")
    query = dns.message.make_query(f"nobody.{zone}", "A", want_dnssec=True)
    answer = dns.query.tcp(query, "127.0.0.1", port=service.dns_port, timeout=5)
    kinds = {rrset.rdtype for rrset in answer.authority}
    assert dns.rdatatype.NSEC3 in kinds
    assert dns.rdatatype.NSEC not in kinds
    assert json.loads(service.cli("domain", "list", "--json").stdout)[-1]["dnssec_policy"] == "brisk"
    assert service.cli("domain", "provision").stdout == ""


def test_ds_of_a_zone_whose_parent_is_elsewhere(tmp_path: Path) -> None:
    """An operator adds the DS record; BIND sees it at its parental agents, and goes on."""
    with second_bind(tmp_path / "parent") as parent:
        parent.make_zone("example.net")
        settings = {"parental_agents": parent.address, "resolver": parent.address}
        with signing(tmp_path / "service", **settings) as service:
            zone = "dyn.example.net"
            add_brisk(service, zone)
            assert f"parental-agents {{ 127.0.0.1 port {parent.server.endpoint.port}; }}" in rndc(
                service, "showzone", zone
            )
            wait_until(lambda: service.dig(zone, "CDS") != [], SOON, "the zone publishes CDS")
            found = service.cli("domain", "ds", zone)
            assert "missing: the parent has no DS record. Add these" in found.stderr
            browser = entered(service, "admin")
            browser.headers["Accept-Language"] = "en"
            assert "DS records" not in browser.open(f"/domains/{service.domain}").text
            page = browser.open(f"/domains/{zone}")
            assert found.stdout.strip() in page.text
            assert "Copy these records to the registrar, or into the parent zone." in page.text
            assert "data-copy" in page.html
            browser.headers["Accept-Language"] = "de"
            assert "Kopieren Sie diese Records zum Registrar" in browser.open(f"/domains/{zone}").text

            owner, _, value = found.stdout.strip().partition(". IN DS ")
            parent.add("example.net", owner, "NS", "localhost.")
            parent.add("example.net", owner, "DS", f"4711 13 2 {'ab' * 32}")
            assert "outdated: the parent has other DS records" in service.cli("domain", "ds", zone).stderr
            assert "4711" in browser.open(f"/domains/{zone}").text
            parent.remove("example.net", owner, "DS")
            parent.add("example.net", owner, "DS", value)
            assert "matching" in service.cli("domain", "ds", zone).stderr
            rndc(service, "loadkeys", zone)
            [tag] = tags([value])

            def seen() -> bool:
                return state_of_ds(rndc(service, "dnssec", "-status", zone)) == {tag: "omnipresent"}

            wait_until(seen, SOON, "BIND has seen it")

            file = parent.make_zone("silent.example.org")
            add = ("domain", "add", "silent.example.org", "--owner", "admin", "--primary", parent.address)
            service.cli(*add, "--key-file", str(file))
            parent.runner.run(parent.server.stop())
            browser.headers["Accept-Language"] = "en"
            assert "The primary cannot be asked for the keys" in browser.open("/domains/silent.example.org").text


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[SecondBind]:
    """A name server that the service does not control, with the policies."""
    with second_bind(tmp_path / "primary") as bind:
        bind.server.statements = POLICIES
        bind.restart()
        yield bind


def test_a_zone_of_another_name_server_below_ours(service: Service, primary: SecondBind) -> None:
    """As in docs/dnssec.md: its BIND signs it and asks ours for DS records."""
    parent, child = service.domain, f"far.{service.domain}"
    prepare(primary.server.folder, child)
    file = primary.make_zone(child)
    body = primary.rndc("showzone", child)
    options = (
        f'dnssec-policy brisk; inline-signing no; key-directory "{primary.server.folder}"; '
        f"parental-agents {{ 127.0.0.1 port {service.dns_port}; }};"
    )
    primary.rndc("modzone", child, f"{{ {options} {body[body.index('{') + 1 :].strip()}")
    service.add_record(f"x.far.{parent}.", "A", "192.0.2.99")  # somebody's, and not a host
    service.cli("domain", "add", child, "--owner", "admin", "--primary", primary.address, "--key-file", str(file))

    # it would vanish, so nothing is written
    told = f"{parent} has records at x.{child}, which a delegation of {child} would hide"
    wait_until(lambda: primary.dig(child, "CDS") != [], SOON, "the zone publishes CDS")
    wait_until(lambda: told in service.get("/healthz/dns", service.admin_token).text, SOON, "the service says so")
    assert told in service.cli("doctor", check=False).stdout
    assert in_zone(service, parent, child, "NS") == []
    assert service.dig(child, "DS") == []
    service.remove_records(f"x.far.{parent}.", "A")

    wait_until(lambda: tags(service.dig(child, "DS")) == tags(primary.dig(child, "CDS")), 90, "it is written")
    assert in_zone(service, parent, child, "NS") == ["localhost."]
    primary.rndc("loadkeys", child)
    [first] = tags(primary.dig(child, "CDS"))
    wait_until(
        lambda: state_of_ds(primary.rndc("dnssec", "-status", child)) == {first: "omnipresent"}, SOON, "it is seen"
    )
    primary.rndc("dnssec", "-rollover", "-key", str(first), child)
    wait_until(lambda: first not in tags(service.dig(child, "DS")), SOON, "the next key")
    assert tags(service.dig(child, "DS")) == tags(primary.dig(child, "CDS"))

    # NS records of others stay: only a note says that they differ
    service.remove_records(f"far.{parent}.", "NS")
    service.add_record(f"far.{parent}.", "NS", "ns.example.net.")
    told = f"{parent} delegates it to other name servers than its own NS records name"
    wait_until(lambda: told in service.cli("doctor", check=False).stdout, SOON, "doctor sees it")
    assert in_zone(service, parent, child, "NS") == ["ns.example.net."]

    primary.runner.run(primary.server.stop())
    silent = service.cli("domain", "ds", child, check=False)
    assert (silent.returncode, silent.stdout) == (1, "")
    assert primary.address in silent.stderr
    answer = service.get(f"/api/domains/{child}/ds", service.admin_token)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:ddns:name-server")
    primary.runner.run(primary.server.start())
    service.cli("domain", "remove", child)
    assert service.dig(child, "DS") == []
    assert in_zone(service, parent, child, "NS") == ["ns.example.net."]


def test_a_delegation_moves_with_its_parent(service: Service, primary: SecondBind, tmp_path: Path) -> None:
    parent, child = "moving.example.org", "signed.moving.example.org"
    at = ["--primary", primary.address, "--key-file", str(primary.make_zone(parent))]
    service.cli("domain", "add", parent, "--owner", "admin", *at)
    add_brisk(service, child)
    wait_until(lambda: (child, "DS") in primary.records(parent), SOON, "it is delegated")
    with second_bind(tmp_path / "next") as following:
        at = ["--primary", following.address, "--key-file", str(following.make_zone(parent))]
        service.cli("domain", "move", parent, *at, "--wait")
        before, moved = primary.records(parent), following.records(parent)
        for rtype in ("DS", "NS"):  # it was there before resolvers have asked here
            assert moved[child, rtype] == before[child, rtype]
        service.cli("domain", "move", parent, "--finish")
        service.cli("domain", "remove", child)
        assert (child, "DS") not in following.records(parent)
        service.cli("domain", "remove", parent)
