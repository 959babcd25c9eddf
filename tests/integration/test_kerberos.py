# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains whose names members of a Kerberos realm write at BIND, by GSS-TSIG (RFC 3645)."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.servers.faults import rndc
from support.servers.kerberos import Realm, realm
from support.servers.service import Service, dev

ZONE = "dyn.example.org"
REALM = "DYN.EXAMPLE.ORG"


@pytest.fixture(scope="module")
def kdc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    with realm(tmp_path_factory.mktemp("kerberos") / "kdc", REALM) as running:
        yield running


@pytest.fixture(scope="module")
def keytab(kdc: Realm) -> Path:
    return kdc.add(f"DNS/localhost@{REALM}")


@pytest.fixture(scope="module")
def service(
    keytab: Path, store_settings: Callable[[], dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Its BIND has a keytab, as the option of the server role gives it."""
    folder = tmp_path_factory.mktemp("members") / "service"
    with dev(folder, domain="lab.example.org", **store_settings()) as running:
        config, option = running.dir / "bind" / "named.conf", f'recursion no; tkey-gssapi-keytab "{keytab}";'
        config.write_text(config.read_text().replace("recursion no;", option, 1))
        rndc(running, "reconfig")
        yield running


class Member:
    """A machine that is a member of the realm."""

    def __init__(self, service: Service, kdc: Realm, principal: str) -> None:
        self.service, self.kdc, self.principal = service, kdc, principal
        self.keytab = kdc.add(principal)

    def update(self, zone: str, *lines: str) -> str:
        return self.kdc.nsupdate(
            self.principal, self.keytab, self.service.dns_port, f"zone {zone}", *(f"update {line}" for line in lines)
        )


def add_domain(service: Service, name: str, *options: str) -> None:
    service.cli("domain", "add", name, "--owner", "admin", *options)


def members(service: Service, name: str) -> dict[str, list[str]]:
    """By the API; the command says the same."""
    found = service.get(f"/api/domains/{name}/members", service.admin_token).json()["items"]
    assert json.loads(service.cli("domain", "members", name, "--json").stdout) == found
    return {one["name"]: one["addresses"] for one in found}


def new_zone(service: Service) -> str:
    """A name of a zone that no test has."""
    return f"z{len(json.loads(service.cli('domain', 'list', '--json').stdout))}.example.org"


def test_members_write_their_own_addresses_and_nothing_else(service: Service, kdc: Realm) -> None:
    add_domain(service, ZONE, "--gss-realm", REALM)
    linux, windows = Member(service, kdc, f"host/linux.{ZONE}@{REALM}"), Member(service, kdc, f"winbox$@{REALM}")
    assert linux.update(ZONE, f"add linux.{ZONE} 300 A 192.0.2.1", f"add linux.{ZONE} 300 AAAA 2001:db8::1") == ""
    assert windows.update(ZONE, f"add winbox.{ZONE} 300 A 192.0.2.2") == ""
    refused = [
        linux.update(ZONE, f"add winbox.{ZONE} 300 A 192.0.2.9"),
        linux.update(ZONE, f"add linux.{ZONE} 300 TXT x"),
        windows.update(ZONE, f"delete linux.{ZONE}"),
        windows.update(ZONE, f"add {ZONE} 300 A 192.0.2.9"),
        windows.update(ZONE, f"add gc._msdcs.{ZONE} 300 A 192.0.2.9"),
    ]
    assert refused == ["update failed: REFUSED"] * len(refused)
    assert service.dig(f"linux.{ZONE}") == ["192.0.2.1"]
    assert members(service, ZONE) == {
        f"linux.{ZONE}": ["192.0.2.1", "2001:db8::1"],
        f"winbox.{ZONE}": ["192.0.2.2"],
    }
    assert windows.update(ZONE, f"delete winbox.{ZONE} A") == ""
    assert members(service, ZONE) == {f"linux.{ZONE}": ["192.0.2.1", "2001:db8::1"]}
    assert service.cli("reconcile", "--check").stdout == ""
    assert service.cli("domain", "provision", "--check").stdout == ""
    assert "right database" not in service.cli("doctor", check=False).stdout

    # names of the domain are left to members
    answer = service.get("/nic/register", service.admin_token, params={"fqdn": f"web.{ZONE}", "ip": "192.0.2.3"})
    assert (answer.status_code, answer.json()["errors"]) == (
        400,
        {
            "name": [
                f"Names in {ZONE} are left to members of the Kerberos realm {REALM}. No host can be registered there."
            ]
        },
    )
    service.cli("domain", "set", ZONE, "--gss-hosts")
    service.register(f"web.{ZONE}", ip="192.0.2.3", wildcard="true")
    assert members(service, ZONE) == {f"linux.{ZONE}": ["192.0.2.1", "2001:db8::1"]}
    beside = service.cli("domain", "set", ZONE, "--no-gss-hosts", check=False)
    assert beside.returncode == 1
    assert "has hosts, whose names members of a Kerberos realm could change" in beside.stderr
    service.get("/nic/unregister", service.admin_token, params={"fqdn": f"web.{ZONE}"})

    # without the realm nobody of it can write, and what they wrote stays
    service.cli("domain", "set", ZONE, "--gss-realm", "none", "--no-gss-hosts")
    assert linux.update(ZONE, f"add linux.{ZONE} 300 A 192.0.2.4") == "update failed: REFUSED"
    assert service.dig(f"linux.{ZONE}") == ["192.0.2.1"]
    assert members(service, ZONE) == {}


def test_a_zone_of_another_name_opens_all_names_to_active_directory(service: Service, kdc: Realm) -> None:
    zone = new_zone(service)
    add_domain(service, zone, "--gss-realm", REALM)
    windows = Member(service, kdc, f"other{zone[1:-12]}{service.dns_port}$@{REALM}")
    assert windows.update(zone, f"add winbox.{zone} 300 A 192.0.2.1") == ""
    assert windows.update(zone, f"add any.{zone} 300 A 192.0.2.1") == ""
    assert windows.update(zone, f"add any.{zone} 300 SRV 0 0 1 winbox.{zone}") == "update failed: REFUSED"
    assert windows.update(zone, f"add dc._msdcs.{zone} 300 A 192.0.2.9") == "update failed: REFUSED"
    linux = Member(service, kdc, f"host/linux.{zone}@{REALM}")
    assert linux.update(zone, f"add linux.{zone} 300 A 192.0.2.2") == ""
    assert linux.update(zone, f"add winbox.{zone} 300 A 192.0.2.2") == "update failed: REFUSED"
    assert set(members(service, zone)) == {f"{label}.{zone}" for label in ("winbox", "any", "linux")}


def test_what_is_refused_changes_nothing(service: Service, tmp_path: Path) -> None:
    zone = new_zone(service)
    for realm_name in ("dyn.example.org", 'X"; }', "A..B"):
        refused = service.cli("domain", "add", zone, "--owner", "admin", "--gss-realm", realm_name, check=False)
        assert refused.returncode == 1
        assert "is not a valid Kerberos realm. Use capital letters, digits, - and dots." in refused.stderr
    assert service.get(f"/api/domains/{zone}", service.admin_token).status_code == 404
    assert service.dig(zone, "SOA") == []

    service.register("web.lab.example.org", ip="192.0.2.1")
    changed = service.request("PATCH", "/api/domains/lab.example.org", service.admin_token, json={"gss_realm": REALM})
    assert changed.status_code == 422
    assert "has hosts" in changed.json()["errors"]["gss_realm"][0]
    assert service.cli("domain", "provision", "--check").stdout == ""
