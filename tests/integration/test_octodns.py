# SPDX-License-Identifier: GPL-3.0-or-later
"""octoDNS of PyPI with our provider and source, against a running service with a real name server."""

import os
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import programs
from support.servers.service import Service

numbers = count(1)

TYPES: dict[str, Any] = {
    "CAA": {"flags": 0, "tag": "issue", "value": "ca.example.net"},
    "HTTPS": {"svcpriority": 1, "targetname": ".", "svcparams": {"alpn": ["h3", "h2"]}},
    "LOC": {
        "lat_degrees": 52,
        "lat_minutes": 22,
        "lat_seconds": 23.0,
        "lat_direction": "N",
        "long_degrees": 4,
        "long_minutes": 53,
        "long_seconds": 32.0,
        "long_direction": "E",
        "altitude": -2.0,
        "size": 1.0,
        "precision_horz": 10000.0,
        "precision_vert": 10.0,
    },
    "MX": {"preference": 10, "exchange": "Mail.example.org."},
    "NAPTR": {
        "order": 10,
        "preference": 20,
        "flags": "S",
        "service": "SIP+D2U",
        "regexp": "",
        "replacement": "_sip._udp.example.org.",
    },
    "OPENPGPKEY": "mDMEZkJ5WBYJKwYBBAHaRw8BAQdA",
    "SSHFP": {"algorithm": 4, "fingerprint_type": 2, "fingerprint": "9f86d081" * 8},
    "TXT": "v=DKIM1\\; k=rsa\\; p=" + "A" * 300,
}
BELOW: dict[str, tuple[str, Any]] = {
    "_sip._tcp": ("SRV", {"priority": 10, "weight": 5, "port": 5060, "target": "sip.example.org."}),
    "_443._tcp": (
        "TLSA",
        {
            "certificate_usage": 3,
            "selector": 1,
            "matching_type": 1,
            "certificate_association_data": "9f86d081" * 8,
        },
    ),
    "_dns": ("SVCB", {"svcpriority": 1, "targetname": "dns.example.org.", "svcparams": {"alpn": ["dot"]}}),
}


@dataclass
class OctoDns:
    """octoDNS in a folder, with a domain, a user and a stack of its own."""

    service: Service
    folder: Path
    domain: str
    token: str
    options: dict[str, Any]

    def declare(self, **records: Any) -> None:
        """Write the records of the zone."""
        (self.folder / f"{self.domain}.yaml").write_text(yaml.safe_dump(records))

    def run(self, program: str, *arguments: str, code: int = 0) -> str:
        """Run a program of octoDNS, check its exit code, and return what it printed."""
        result = programs.run([program, *arguments], {**os.environ, "DDNS_TOKEN": self.token}, "", self.folder)
        text = result.stdout + result.stderr
        assert result.returncode == code, text
        return text

    def sync(self, *arguments: str, code: int = 0) -> str:
        """Plan; with `--doit` also apply."""
        service = {"url": self.service.url, "token": "env/DDNS_TOKEN"}
        content = {
            "providers": {
                "config": {
                    "class": "octodns.provider.yaml.YamlProvider",
                    "directory": ".",
                    "default_ttl": 60,
                    "enforce_order": False,
                },
                "copy": {"class": "octodns.provider.yaml.YamlProvider", "directory": "copy"},
                "ddns": service | {"class": "octodns_fedcloud_ddns.FedcloudDdnsProvider", **self.options},
                "all": service | {"class": "octodns_fedcloud_ddns.FedcloudDdnsSource"},
            },
            "zones": {f"{self.domain}.": {"sources": ["config"], "targets": ["ddns"]}},
        }
        (self.folder / "octodns.yaml").write_text(yaml.safe_dump(content))
        return self.run("octodns-sync", "--config-file", "octodns.yaml", "--force", *arguments, code=code)

    def sync_nothing(self) -> None:
        """Check that everything is as declared."""
        text = self.sync("--doit")
        assert "No changes were planned" in text, text

    def dig(self, name: str, rtype: str = "A") -> list[str]:
        return self.service.dig(f"{name}.{self.domain}", rtype)

    def put(self, label: str, **fields: Any) -> None:
        """Register a host of the same user, past octoDNS."""
        body = {"fqdn": f"{label}.{self.domain}", **fields}
        answer = self.service.request("POST", "/api/hosts", self.token, json=body)
        assert answer.status_code == 201, answer.text


@pytest.fixture
def octodns(ddnsd: Service, tmp_path: Path) -> OctoDns:
    number = next(numbers)
    user, domain = f"octo{number}", f"octo{number}.example.net"
    token = ddnsd.user(user)
    ddnsd.cli("domain", "add", domain, "--owner", user)
    return OctoDns(ddnsd, tmp_path, domain, token, {"stack": "octo"})


def test_records_of_all_types_are_made_changed_and_removed(octodns: OctoDns) -> None:
    www = [{"type": "A", "value": "192.0.2.10"}, {"type": "AAAA", "value": "2001:db8::10"}]
    types = [{"type": rtype, "value": value} for rtype, value in TYPES.items()]
    below = {f"{owner}.www": {"type": rtype, "value": value, "ttl": 300} for owner, (rtype, value) in BELOW.items()}
    octodns.declare(**{"www": [*www, *types], "*.www": www, **below, "text": {"type": "TXT", "value": "only"}})
    assert "192.0.2.10" in octodns.sync()
    assert octodns.dig("www") == []
    octodns.sync("--doit")
    assert octodns.dig("www") == octodns.dig("any.www") == ["192.0.2.10"]
    assert octodns.dig("any.www", "AAAA") == ["2001:db8::10"]
    assert octodns.dig("_sip._tcp.www", "SRV") == ["10 5 5060 sip.example.org."]
    assert octodns.dig("text", "TXT") == ['"only"']
    assert [rtype for rtype in TYPES if not octodns.dig("www", rtype)] == []
    octodns.sync_nothing()
    octodns.declare(www=[{"type": "A", "value": "192.0.2.11", "ttl": 120}, {"type": "TXT", "value": "new"}])
    octodns.sync("--doit")
    assert (octodns.dig("www"), octodns.dig("www", "TXT")) == (["192.0.2.11"], ['"new"'])
    gone = [("www", "AAAA"), ("any.www", "A"), ("www", "MX"), ("_sip._tcp.www", "SRV"), ("text", "TXT")]
    assert [octodns.dig(*one) for one in gone] == [[]] * len(gone)
    octodns.sync_nothing()
    octodns.declare()
    octodns.sync("--doit")
    assert octodns.service.get("/api/hosts", octodns.token).json()["items"] == []


def test_aliases_and_several_addresses(octodns: OctoDns) -> None:
    several = {"type": "A", "values": ["192.0.2.10", "192.0.2.9"], "ttl": 300}
    v6 = {"type": "AAAA", "values": ["2001:db8::2", "2001:DB8::1"], "ttl": 300}
    alias = {"type": "CNAME", "value": "front.example.net.", "ttl": 120}
    octodns.declare(**{"www": [several, v6], "*.www": [several, v6], "shop": alias})
    octodns.sync("--doit")
    assert sorted(octodns.dig("any.www")) == sorted(octodns.dig("www")) == ["192.0.2.10", "192.0.2.9"]
    assert sorted(octodns.dig("www", "AAAA")) == ["2001:db8::1", "2001:db8::2"]
    assert octodns.dig("shop", "CNAME") == ["front.example.net."]
    octodns.sync_nothing()
    octodns.run("octodns-dump", "--config-file", "octodns.yaml", "--output-dir", "copy", f"{octodns.domain}.", "all")
    written = yaml.safe_load((octodns.folder / "copy" / f"{octodns.domain}.yaml").read_text())
    assert written["shop"] == {"ttl": 120, "type": "CNAME", "value": "front.example.net."}
    assert written["www"][0]["values"] == ["192.0.2.10", "192.0.2.9"]
    octodns.declare(www=alias, shop=[{"type": "A", "value": "192.0.2.7"}, {"type": "TXT", "value": "x"}])
    octodns.sync("--doit")
    assert (octodns.dig("www", "CNAME"), octodns.dig("any.www")) == (["front.example.net."], [])
    assert (octodns.dig("shop"), octodns.dig("shop", "TXT")) == (["192.0.2.7"], ['"x"'])
    octodns.sync_nothing()
    octodns.declare(www={**several, "values": ["192.0.2.9"]})
    octodns.sync("--doit")
    assert (octodns.dig("www"), octodns.dig("shop")) == (["192.0.2.9"], [])
    octodns.declare(www=alias)
    octodns.sync("--doit")
    octodns.declare()
    octodns.sync("--doit")
    assert octodns.service.get("/api/hosts", octodns.token).json()["items"] == []


def test_reverse_names_stay_as_the_service_has_them(octodns: OctoDns) -> None:
    octodns.declare(www={"type": "A", "value": "192.0.2.10"})
    octodns.sync("--doit")
    path = f"/api/hosts/www.{octodns.domain}"
    octodns.service.request("PATCH", path, octodns.token, json={"ptr": True}).raise_for_status()
    octodns.sync_nothing()
    octodns.declare(www={"type": "A", "value": "192.0.2.11"})
    octodns.sync("--doit")
    shown = octodns.service.get(path, octodns.token).json()
    assert (shown["ptr"], [one["address"] for one in shown["pointers"]]) == (True, ["192.0.2.11"])
    octodns.declare()
    octodns.sync("--doit")


def test_hosts_of_other_stacks_and_users_stay(octodns: OctoDns) -> None:
    other = octodns.service.user(f"{octodns.domain.partition('.')[0]}-bob")
    octodns.service.request("PATCH", f"/api/domains/{octodns.domain}", octodns.token, json={"public": True})
    octodns.put("web", stack="web-prod", ipv4="192.0.2.1")
    octodns.put("own", ipv4="192.0.2.2")
    body = {"fqdn": f"bob.{octodns.domain}", "stack": "octo", "ipv4": "192.0.2.3"}
    assert octodns.service.request("POST", "/api/hosts", other, json=body).status_code == 201
    octodns.declare(mine={"type": "A", "value": "192.0.2.4"})
    octodns.sync("--doit")
    names = ("web", "own", "bob", "mine")
    before = {"web": ["192.0.2.1"], "own": ["192.0.2.2"], "bob": ["192.0.2.3"], "mine": ["192.0.2.4"]}
    assert {name: octodns.dig(name) for name in names} == before
    declared = {name: {"type": "A", "value": "192.0.2.9"} for name in names}
    octodns.declare(**declared, **{"_acme-challenge.web": {"type": "TXT", "value": "x"}})
    text = octodns.sync("--doit", code=1)
    assert f"A web.{octodns.domain}.: web.{octodns.domain} belongs to stack web-prod" in text
    assert f"TXT _acme-challenge.web.{octodns.domain}.: web.{octodns.domain} belongs to stack web-prod" in text
    assert f"own.{octodns.domain} belongs to no stack" in text
    assert f"bob.{octodns.domain} belongs to the user octo" in text
    assert {name: octodns.dig(name) for name in names} == before
    octodns.options["strict_supports"] = False
    assert "omitting record" in octodns.sync("--doit")
    assert {name: octodns.dig(name) for name in names} == {**before, "mine": ["192.0.2.9"]}
    octodns.declare()
    octodns.sync("--doit")
    assert {name: octodns.dig(name) for name in names} == {**before, "mine": []}


def test_what_the_service_cannot_store_is_told_at_once(octodns: OctoDns) -> None:
    octodns.declare(
        **{
            "": {"type": "TXT", "value": "apex"},
            "_dmarc": {"type": "TXT", "value": "apex"},
            "ttls": [
                {"type": "A", "value": "192.0.2.1", "ttl": 60},
                {"type": "AAAA", "value": "2001:db8::1", "ttl": 90},
            ],
            "*": {"type": "A", "value": "192.0.2.1"},
            "*.ttls": {"type": "A", "value": "192.0.2.9"},
            "*.good": {"type": "TXT", "value": "x"},
            "_acme-challenge.good": {"type": "CNAME", "value": "acme.example.net."},
            "alias": {"type": "CNAME", "value": "front.example.net."},
            "_443._tcp.alias": {"type": BELOW["_443._tcp"][0], "value": BELOW["_443._tcp"][1]},
            "good": {"type": "A", "value": "192.0.2.8"},
        }
    )
    text = octodns.sync("--doit", code=1)
    refused = ("TXT ", "TXT _dmarc.", "AAAA ttls.", "A *.", "A *.ttls.", "TXT *.good.")
    for record in (*refused, "CNAME _acme-challenge.good.", "TLSA _443._tcp.alias."):
        assert f"{record}{octodns.domain}.: " in text
    assert octodns.dig("good") == []
    octodns.options["strict_supports"] = False
    octodns.sync("--doit")
    assert octodns.dig("good") == ["192.0.2.8"]
    assert octodns.dig("ttls") == ["192.0.2.1"]
    assert octodns.dig("alias", "CNAME") == ["front.example.net."]
    assert octodns.dig("any.ttls") == []
    octodns.sync_nothing()


def test_a_plan_that_the_service_would_refuse_is_refused(octodns: OctoDns) -> None:
    octodns.declare(
        good={"type": "A", "value": "192.0.2.1"},
        wpad={"type": "A", "value": "192.0.2.1"},
        loop={"type": "A", "value": "127.0.0.1"},
    )
    text = octodns.sync("--doit", code=1)
    assert f"create wpad.{octodns.domain}" in text
    assert f"create loop.{octodns.domain}" in text
    assert octodns.dig("good") == []
    octodns.options["stack"] = "not a stack"
    assert "stack: " in octodns.sync(code=1)


def test_records_that_octodns_does_not_know_stay(octodns: OctoDns) -> None:
    octodns.declare(www=[{"type": "A", "value": "192.0.2.1"}, {"type": "TXT", "value": "x"}])
    octodns.sync("--doit")
    path = f"/api/hosts/www.{octodns.domain}/records/_abc._smimecert/SMIMEA"
    values = ["3 1 1 " + "9f86d081" * 8]
    assert octodns.service.request("PUT", path, octodns.token, json={"values": values}).status_code == 200
    octodns.declare(www={"type": "TXT", "value": "y"})
    octodns.sync("--doit")
    assert (octodns.dig("www"), octodns.dig("www", "TXT")) == ([], ['"y"'])
    octodns.declare()
    octodns.sync("--doit")
    assert octodns.dig("www", "TXT") == []
    assert octodns.dig("_abc._smimecert.www", "SMIMEA") != []


def test_the_source_reads_the_hosts_of_all_stacks(octodns: OctoDns) -> None:
    octodns.put("web", stack="web-prod", ipv4="192.0.2.1", wildcard=True)
    octodns.put("own", ipv6="2001:db8::2", ttl=300)
    octodns.declare()
    octodns.sync()  # writes the configuration
    octodns.run("octodns-dump", "--config-file", "octodns.yaml", "--output-dir", "copy", f"{octodns.domain}.", "all")
    written = yaml.safe_load((octodns.folder / "copy" / f"{octodns.domain}.yaml").read_text())
    address = {"ttl": 60, "type": "A", "value": "192.0.2.1"}
    own = {"ttl": 300, "type": "AAAA", "value": "2001:db8::2"}
    assert written == {"web": address, "*.web": address, "own": own}
