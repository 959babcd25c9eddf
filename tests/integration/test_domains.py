# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd domain …` beside a running service with a BIND of its own and a catalog zone."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import pytest
from support.ports import wait_until
from support.servers.service import Service, dev

from ddnsd.dns.bind.catalog import label
from ddnsd.dns.bind.control import Bind
from ddnsd.dns.bind.rndc import Rndc
from ddnsd.dns.tsig import TsigKey

CATALOG = "catalog.invalid"
SERVERS = "ns1.inside.example.org=192.0.2.53=2001:db8::53,ns2.example.net"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("domains") / "service", catalog_zone=CATALOG, name_servers=SERVERS) as running:
        yield running


def said(service: Service, *args: str) -> list[str]:
    return service.cli("domain", *args).stdout.splitlines()


def failing(service: Service, *args: str) -> str:
    """What a command says that must fail, on standard error and without a traceback."""
    result = service.cli("domain", *args, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr
    return result.stderr


def shown(service: Service, name: str) -> dict[str, object]:
    """The domain in `domain list --json`; empty where it is not there."""
    found = json.loads(service.cli("domain", "list", "--json").stdout)
    return next((item for item in found if item["name"] == name), {})


def key_file(service: Service, zone: str) -> Path:
    return service.dir / "bind" / "keys" / f"{zone}.key"


def rndc(service: Service) -> Rndc:
    return Rndc(service.dir / "bind" / "rndc.conf")


def is_member(service: Service, zone: str) -> bool:
    query = dns.message.make_query(f"{label(zone)}.zones.{CATALOG}", "PTR")
    query.use_tsig(TsigKey.from_text(key_file(service, CATALOG).read_text()).dnspython)
    return bool(dns.query.tcp(query, "127.0.0.1", port=service.dns_port, timeout=5).answer)


# ---- add, list, set


def test_add_exist_ok_adds_then_changes_then_does_nothing(service: Service) -> None:
    add = ("add", "declared.example.org", "--owner", "admin", "--exist-ok")
    first = (*add, "--private", "--ttl", "120", "--comment", "One")
    for options, expected in (
        (first, ["added declared.example.org"]),
        ((*add, "--public", "--ttl", "120", "--comment", "Two"), ["changed declared.example.org: comment, public"]),
        (
            (*add, "--ttl", "0", "--comment", "", "--no-private-addresses", "--query-credentials"),
            ["changed declared.example.org: comment, private_addresses, query_credentials, ttl"],
        ),
    ):
        for check in (["--check"], [], ["--check"], []):
            assert said(service, *options, *check) == expected
            if not check:
                expected = []
    found = shown(service, "declared.example.org")
    assert found == {
        "name": "declared.example.org",
        "owner": "admin",
        "frozen": False,
        "frozen_reason": None,
        "public": True,
        "primary": f"127.0.0.1:{service.dns_port}",
        "ttl": None,
        "comment": None,
        "available": True,
        "dns_updates": True,
        "provisioned": True,
        "dnssec_policy": None,
        "gss_realm": None,
        "gss_hosts": False,
        "network": None,
        "reverse": "off",
        "inline_signing": False,
        "hosts": 0,
    }


def test_what_is_not_given_stays(service: Service) -> None:
    add = ("add", "stays.example.org", "--owner", "admin", "--exist-ok")
    said(service, *add, "--private", "--ttl", "120")
    assert said(service, *add) == []
    assert (shown(service, "stays.example.org")["public"], shown(service, "stays.example.org")["ttl"]) == (False, 120)


def test_check_does_not_add(service: Service) -> None:
    assert said(service, "add", "checked.example.org", "--owner", "admin", "--check") == ["added checked.example.org"]
    assert shown(service, "checked.example.org") == {}
    assert service.dig("checked.example.org", "SOA") == []
    assert not key_file(service, "checked.example.org").exists()
    assert "There is no user" in failing(service, "add", "checked.example.org", "--owner", "nobody", "--check")


def test_a_domain_of_somebody_else_is_an_error(service: Service) -> None:
    service.cli("user", "add", "bob")
    text = failing(service, "add", service.domain, "--owner", "bob", "--exist-ok", "--ttl", "5")
    assert f"{service.domain} belongs to admin, not to bob" in text
    assert shown(service, service.domain)["ttl"] is None


def test_a_key_that_is_not_needed_is_an_error(service: Service, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(TsigKey.generate("k").to_text())
    text = failing(
        service, "add", service.domain, "--owner", "admin", "--exist-ok", "--key-file", str(tmp_path / "key")
    )
    assert "has its own key" in text


def other_primary(service: Service, zone: str) -> tuple[str, ...]:
    """Options for a zone that the store knows nothing of: the service's own BIND stands for another primary."""
    folder = service.dir / "bind"
    Bind(folder, folder / "rndc.conf").provision(zone)
    return "--primary", f"127.0.0.1:{service.dns_port}", "--key-file", str(key_file(service, zone))


def test_a_key_of_another_primary_is_replaced_once_it_is_known_to_work(service: Service, tmp_path: Path) -> None:
    zone = "elsewhere.example.org"
    options = other_primary(service, zone)
    add = ("add", zone, "--owner", "admin", "--exist-ok", *options)
    assert said(service, *add) == [f"added {zone}"]
    assert said(service, *add) == []
    assert shown(service, zone)["provisioned"] is False
    service.register(f"a.{zone}", ip="192.0.2.1")

    key_file(service, zone).write_text(TsigKey.generate(f"ddnsd.{zone}").to_text())
    assert "BADSIG" in failing(service, *add)  # named has not read it yet
    rndc(service)("reconfig")
    assert said(service, *add, "--check") == [f"changed {zone}: key"]
    assert said(service, *add) == [f"changed {zone}: key"]
    moved = {"hostname": f"a.{zone}", "myip": "192.0.2.2"}
    assert service.get("/nic/update", service.admin_token, params=moved).text == "good 192.0.2.2"
    assert said(service, *add) == []


def test_a_new_key_counts_at_once_for_registrations(service: Service) -> None:
    zone = "newkey.example.org"
    add = ("add", zone, "--owner", "admin", "--exist-ok", *other_primary(service, zone))
    said(service, *add)
    key_file(service, zone).write_text(TsigKey.generate(f"ddnsd.{zone}").to_text())
    rndc(service)("reconfig")
    assert said(service, *add) == [f"changed {zone}: key"]
    service.register(f"a.{zone}", ip="192.0.2.1")


def test_a_zone_elsewhere_is_left_alone(service: Service) -> None:
    zone = "theirs.example.org"
    said(service, "add", zone, "--owner", "admin", *other_primary(service, zone))
    assert f"This service did not create the zone of {zone}." in failing(service, "provision", zone)
    assert f"{zone} is not on the BIND" in failing(service, "set", zone, "--dnssec-policy", "default")
    assert said(service, "remove", zone) == [f"removed {zone}"]
    assert service.dig(zone, "NS")


def test_list_for_people(service: Service) -> None:
    service.register("counted", ip="192.0.2.1")
    head, *lines = said(service, "list")
    assert head.split() == ["NAME", "OWNER", "ACCESS", "PRIMARY", "TTL", "DNSSEC", "HOSTS", "COMMENT"]
    [line] = [line for line in lines if line.startswith(service.domain + " ")]
    hosts = shown(service, service.domain)["hosts"]
    assert re.split(r"  +", line) == [
        service.domain,
        "admin",
        "public",
        f"127.0.0.1:{service.dns_port} (ours)",
        "-",
        "-",
        str(hosts),
        "-",
    ]


# ---- remove


def test_remove(service: Service) -> None:
    said(service, "add", "gone.example.org", "--owner", "admin")
    service.register("a.gone.example.org", ip="192.0.2.1")
    assert "gone.example.org has hosts" in failing(service, "remove", "gone.example.org")
    service.get("/nic/unregister", service.admin_token, params={"fqdn": "a.gone.example.org"})
    assert is_member(service, "gone.example.org")
    assert said(service, "remove", "Gone.example.org.", "--exist-ok") == ["removed gone.example.org"]
    assert said(service, "remove", "gone.example.org", "--exist-ok") == []
    assert "There is no domain gone.example.org" in failing(service, "remove", "gone.example.org")
    assert service.dig("gone.example.org", "SOA") == []
    assert not is_member(service, "gone.example.org")
    assert not key_file(service, "gone.example.org").exists()


# ---- name servers


def test_name_servers_stand_in_new_zones_and_are_reserved(service: Service) -> None:
    for zone in ("inside.example.org", "outside.example.org"):
        said(service, "add", zone, "--owner", "admin")
        assert service.dig(zone, "NS") == ["ns1.inside.example.org.", "ns2.example.net."]
        assert service.dig(zone, "SOA")[0].startswith(f"ns1.inside.example.org. hostmaster.{zone}. ")
    assert service.dig("ns1.inside.example.org") == ["192.0.2.53"]
    assert service.dig("ns1.inside.example.org", "AAAA") == ["2001:db8::53"]
    answer = service.get("/nic/register", service.admin_token, params={"fqdn": "ns1.inside.example.org"})
    assert answer.status_code == 400
    assert "reserved" in answer.text
    assert service.dig("ns1.inside.example.org") == ["192.0.2.53"]


# ---- provision


def test_a_lost_zone_is_made_anew_and_filled(service: Service) -> None:
    zone = "lost.example.org"
    said(service, "add", zone, "--owner", "admin")
    service.register(f"a.{zone}", ip="192.0.2.1")
    key = key_file(service, zone).read_text()
    rndc(service)("delzone", "-clean", zone)
    wait_until(lambda: not (service.dir / "bind" / "zones" / f"{zone}.zone").exists(), 20, "the file is gone")
    key_file(service, zone).unlink()
    assert service.dig(zone, "SOA") == []

    expected = [f"provisioned {zone}: key, zone"]
    assert said(service, "provision", "--check") == said(service, "provision", "--check") == expected
    assert service.dig(zone, "SOA") == []
    assert said(service, "provision") == [f"{expected[0]}; all hosts are sent again"]
    assert said(service, "provision") == said(service, "provision", "--check") == []
    assert key_file(service, zone).read_text() == key
    wait_until(lambda: service.dig(f"a.{zone}") == ["192.0.2.1"], 10, "the host is back")


def test_the_key_of_the_store_replaces_another(service: Service) -> None:
    zone = "rekeyed.example.org"
    said(service, "add", zone, "--owner", "admin")
    service.register(f"a.{zone}", ip="192.0.2.1")
    right = key_file(service, zone).read_text()
    key_file(service, zone).write_text(TsigKey.generate(f"ddnsd.{zone}").to_text())
    rndc(service)("reconfig")
    params = {"fqdn": f"b.{zone}", "ip": "192.0.2.2"}
    assert service.get("/nic/register", service.admin_token, params=params).status_code != 200

    assert said(service, "provision", zone, "--check") == [f"provisioned {zone}: key"]
    assert said(service, "provision", zone) == [f"provisioned {zone}: key"]
    assert said(service, "provision", zone) == []
    assert key_file(service, zone).read_text() == right
    assert service.get("/nic/register", service.admin_token, params=params).status_code == 200


def test_a_lost_member_of_the_catalog_is_listed_again(service: Service) -> None:
    zone = "listed.example.org"
    said(service, "add", zone, "--owner", "admin")
    rndc(service)("delzone", "-clean", CATALOG)
    done = said(service, "provision")
    assert done[0] == f"provisioned {CATALOG}: zone"
    assert f"provisioned {zone}: catalog" in done[1:]
    assert is_member(service, zone)
    assert said(service, "provision") == []


def test_provision_of_an_unknown_domain(service: Service) -> None:
    assert "There is no domain nowhere.example.org" in failing(service, "provision", "nowhere.example.org")


def test_without_a_running_service_reconcile_fills(tmp_path: Path) -> None:
    """A new machine after a restore: the store is there, and of BIND nothing but its configuration."""
    with dev(tmp_path / "old") as old:
        old.register("a", ip="192.0.2.1")
        exported = tmp_path / "export.json"
        exported.write_text(old.cli("export").stdout)
    with dev(tmp_path / "new", domain="first.example.org") as new:
        other = Service(
            tmp_path / "restored",
            1,
            1,
            settings={
                "DDNSD_RNDC_KEY": str(new.dir / "bind" / "rndc.conf"),
                "DDNSD_BIND_DIR": str(new.dir / "bind"),
                "DDNSD_PRIMARY": f"127.0.0.1:{new.dns_port}",
            },
        )
        other.dir.mkdir()
        other.cli("db", "upgrade")
        other.cli("import", str(exported))
        other.cli("domain", "set", old.domain, "--primary", f"127.0.0.1:{new.dns_port}")
        assert said(other, "provision") == [f"provisioned {old.domain}: key, zone; all hosts are sent again"]
        assert new.dig(f"a.{old.domain}") == []
        other.cli("reconcile")
        assert new.dig(f"a.{old.domain}") == ["192.0.2.1"]
        assert said(other, "provision") == []
        assert "does not control a BIND" in without_bind(other)


def without_bind(service: Service) -> str:
    """What `domain provision` says where no RNDC_KEY is set."""
    plain = Service(service.dir, 1, 1)
    return failing(plain, "provision")


def test_usage(service: Service) -> None:
    result: subprocess.CompletedProcess[str] = service.cli("domain", "set", service.domain, check=False)
    assert result.returncode == 2
    assert "nothing to change" in result.stderr


# ---- zones and names that meet


def test_nobody_registers_in_the_catalog_zone_and_none_is_made_over_a_host(tmp_path: Path) -> None:
    catalog = "catalog.dyn.example.org"
    with dev(tmp_path / "service") as service:
        service.register(f"in.{catalog}", ip="192.0.2.1")
        service.settings["DDNSD_CATALOG_ZONE"] = catalog
        for command in (("add", "lab.example.org", "--owner", "admin"), ("provision",)):
            told = failing(service, *command)
            assert catalog in told
            assert f"in.{catalog}" in told
        assert service.dig(f"in.{catalog}") == ["192.0.2.1"]
        unregister = service.get("/nic/unregister", service.admin_token, params={"fqdn": f"in.{catalog}"})
        assert unregister.status_code == 200
        service.stop()
        service.start()
        assert is_served(service, catalog)
        for name in (catalog, f"in.{catalog}"):
            refused = service.get("/nic/register", service.admin_token, params={"fqdn": name, "ip": "192.0.2.1"})
            assert (refused.status_code, "reserved" in refused.text) == (400, True)


def is_served(service: Service, zone: str) -> bool:
    return rndc(service).zone_statement(zone) is not None
