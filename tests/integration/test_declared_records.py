# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared `records` against a running service with a real name server: plan, apply, import, saved plans."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.clients.ddnsctl import Tool
from support.servers.egi import egi
from support.servers.service import Service, dev

from ddnsd.dns import rdata

numbers = itertools.count(1)
EXAMPLES = Path(__file__).parents[2] / "examples"
SPF = '"v=spf1 mx -all"'
LONG = "v=DKIM1; k=rsa; p=" + "A" * 400
LONG_STRINGS = f'"{LONG[:255]}" "{LONG[255:]}"'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("service") / "dir") as running:
        yield running


@pytest.fixture
def tool(service: Service, tmp_path: Path) -> Tool:
    return Tool(service, tmp_path, f"r{next(numbers)}")


def dig(tool: Tool, label: str, rtype: str, prefix: str = "") -> list[str]:
    return tool.service.dig(prefix + tool.name(label), rtype)


def test_records_are_created_changed_and_removed(tool: Tool) -> None:
    mail: dict[str, Any] = {
        "ipv4": "192.0.2.25",
        "records": {
            "MX": ["10 Mail.example.org."],
            "TXT": {"values": ["v=spf1 mx -all"], "ttl": 3600},
            "sel._domainkey TXT": [LONG],
            "_443._tcp TLSA": ["3 1 1 " + "AB" * 32],
            "CAA": ["0 issue letsencrypt.org"],
        },
    }
    tool.declare(mail=mail)
    text = tool.run("plan", "web.yml", code=2)
    assert f"+ TXT @: {SPF} (ttl 3600)" in " ".join(text.split())
    tool.run("apply", "--yes", "web.yml")
    assert (dig(tool, "mail", "MX"), dig(tool, "mail", "TXT")) == (["10 mail.example.org."], [SPF])
    assert dig(tool, "mail", "TXT", "sel._domainkey.") == [LONG_STRINGS]
    assert "No changes: 1 host matches" in tool.run("plan", "web.yml")  # although CAA is written in another way
    assert "No changes" in tool.run("apply", "--yes", "web.yml")
    mail["records"] |= {"TXT": ["b"], "MX": None, "SRV": ["0 5 5060 sip.example.org."]}
    tool.declare(mail=mail)
    lines = " ".join(tool.run("plan", "web.yml", code=2).split())
    assert f'~ TXT @: {SPF} (ttl 3600) → "b"' in lines
    assert "- MX @: 10 mail.example.org." in lines
    assert "+ SRV @: 0 5 5060 sip.example.org." in lines
    assert "TLSA" not in lines
    assert "1 to change" in lines
    markdown = tool.run("plan", "web.yml", "--format", "markdown", code=2)
    assert "~ TXT @: " in markdown
    (change,) = json.loads(tool.run("plan", "web.yml", "--format", "json", code=2))["changes"]
    assert change["before"]["records"]["@ MX"] == {"ttl": None, "values": ["10 mail.example.org."]}
    assert change["after"]["records"]["@ MX"] is None
    tool.run("apply", "--yes", "web.yml")
    assert (dig(tool, "mail", "MX"), dig(tool, "mail", "TXT")) == ([], ['"b"'])
    tool.declare(mail={"ipv4": "192.0.2.25"})
    assert "No changes" in tool.run("plan", "web.yml")  # not named: kept
    tool.declare(mail={"ipv4": "192.0.2.25", "records": {}})
    tool.run("apply", "--yes", "web.yml")
    assert dig(tool, "mail", "TXT") == dig(tool, "mail", "SRV") == dig(tool, "mail", "TXT", "sel._domainkey.") == []
    assert dig(tool, "mail", "A") == ["192.0.2.25"]


def test_the_example_of_all_types_is_applied_as_printed(tool: Tool) -> None:
    text = (EXAMPLES / "records.yml").read_text()
    (tool.folder / "records.yml").write_text(text)
    tool.run("apply", "--yes", "records.yml")
    hosts = yaml.safe_load(text)["hosts"]
    assert {key.rpartition(" ")[2] for key in hosts["all"]["records"]} == set(rdata.EXAMPLES)
    for label, host in hosts.items():
        name = f"{label}.{tool.service.domain}"
        for family, rtype in (("ipv4", "A"), ("ipv6", "AAAA"), ("alias", "CNAME")):
            declared = host.get(family, [])
            if declared != "dynamic" and ("alias" not in host or family == "alias"):
                expected = declared if isinstance(declared, list) else [declared]
                assert sorted(tool.service.dig(name, rtype)) == sorted(expected)
        own = {} if "alias" in host else {"CAA": ['0 issue "letsencrypt.org"']}
        for key, content in (own | host.get("records", {})).items():
            below, _, rtype = key.rpartition(" ")
            found = tool.service.dig(f"{below}.{name}" if below else name, rtype)
            values = content["values"] if isinstance(content, dict) else content
            assert len(found) == (0 if values == "dynamic" else len(values)), key
    assert tool.service.dig(f"sel._domainkey.mail.{tool.service.domain}", "TXT") == [
        '"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="'
    ]
    assert "No changes: 5 hosts match." in tool.run("plan", "records.yml")
    tool.run("destroy", "--stack", "records", "--yes")


def test_defaults_null_and_dynamic(tool: Tool) -> None:
    caa = '0 issue "letsencrypt.org"'
    names = {label: f"{label}-{tool.stack}" for label in ("a", "b", "c", "d")}
    hosts: dict[str, Any] = {
        names["a"]: {},
        names["b"]: {"records": {"CAA": None, "TXT": ["b"]}},
        names["c"]: {"records": {"_acme-challenge TXT": "dynamic", "TXT": ["c"]}},
        names["d"]: {"records": {}},
    }
    content = {
        "version": 1,
        "stack": tool.stack,
        "defaults": {"domain": "dyn.example.org", "records": {"CAA": [caa]}},
        "hosts": hosts,
    }
    (tool.folder / "web.yml").write_text(json.dumps(content))
    tool.run("apply", "--yes", "web.yml")
    assert [dig(tool, label, "CAA") for label in "abcd"] == [[caa], [], [caa], []]
    for label in "ac":
        path = f"/api/hosts/{tool.name(label)}/records/_acme-challenge/TXT"
        answer = tool.service.request("PUT", path, tool.service.admin_token, json={"values": ["token"]})
        assert answer.status_code == 200, answer.text
    assert "No changes: 4 hosts match" in tool.run("plan", "web.yml")
    hosts[names["c"]]["records"] = {"TXT": ["c"]}
    (tool.folder / "web.yml").write_text(json.dumps(content))
    assert '- TXT _acme-challenge: "token"' in " ".join(tool.run("plan", "web.yml", code=2).split())


def test_what_the_server_refuses_is_told_before_anything_is_changed(tool: Tool) -> None:
    tool.declare(www={"records": {"MX": ["10 relative"], "_443._tcp MX": ["10 a."]}}, other={"records": {"TXT": ["x"]}})
    text = tool.run("plan", "web.yml", code=1)
    assert "records.@ MX" in text
    assert "relative is not a full name" in text
    assert "records._443._tcp MX" in text
    tool.run("apply", "--yes", "web.yml", code=1)
    assert dig(tool, "other", "TXT") == []
    for bad, reason in (
        ({"www x y": ["a"]}, "is not the key of an RRset"),
        ({"TXT": "text"}, "needs a list of 1 to 16 values"),
        ({"TXT": {"values": ["x"], "tll": 1}}, "unknown key tll"),
        ({"TXT": ['"open']}, "quotation marks"),
        ({"TXT": ["a"], "@ txt": ["b"]}, "named twice"),
        ({"TXT": [1]}, "must be text"),
    ):
        tool.declare(www={"records": bad})
        assert reason in tool.run("validate", "web.yml", code=1)


def test_import_writes_records_whose_plan_changes_nothing(tool: Tool) -> None:
    records = {"TXT": ["v=spf1 mx -all", '"two" "strings"', 'a "quoted" word'], "sel._domainkey TXT": [LONG]}
    tool.declare(mail={"records": records | {"MX": {"values": ["10 mail.example.org."], "ttl": 300}}})
    tool.run("apply", "--yes", "web.yml")
    text = tool.run("import", "--stack", tool.stack)
    written = yaml.safe_load(text)["hosts"][f"mail-{tool.stack}"]["records"]
    assert written["MX"] == {"values": ["10 mail.example.org."], "ttl": 300}
    assert sorted(written["TXT"]) == sorted(records["TXT"])
    assert written["sel._domainkey TXT"] == [LONG]
    (tool.folder / "imported.yml").write_text(text)
    assert "No changes" in tool.run("plan", "imported.yml")
    tool.run("fmt", "--check", "imported.yml")


def test_a_saved_plan_is_stale_if_a_record_has_changed_since(tool: Tool) -> None:
    tool.declare(www={"records": {"TXT": ["a"]}})
    tool.run("apply", "--yes", "web.yml")
    tool.declare(www={"records": {"TXT": ["b"]}})
    tool.run("plan", "web.yml", "-o", "saved", code=2)
    path = f"/api/hosts/{tool.name('www')}/records/@/TXT"
    tool.service.request("PUT", path, tool.service.admin_token, json={"values": ["other"]})
    assert "records" in tool.run("apply", "--yes", "saved", code=5)
    assert dig(tool, "www", "TXT") == ['"other"']
    tool.run("plan", "web.yml", "-o", "again", code=2)
    tool.run("apply", "--yes", "again")
    assert dig(tool, "www", "TXT") == ['"b"']


def test_a_host_is_renamed_and_its_records_are_changed(tool: Tool) -> None:
    tool.declare(old={"records": {"TXT": ["a"], "MX": ["10 mail.example.org."]}})
    tool.run("apply", "--yes", "web.yml")
    tool.declare(new={"moved_from": tool.name("old"), "records": {"TXT": ["b"]}})
    tool.run("apply", "--yes", "web.yml")
    assert (dig(tool, "new", "TXT"), dig(tool, "new", "MX"), dig(tool, "old", "TXT")) == (['"b"'], [], [])
    assert "No changes" in tool.run("plan", "web.yml")


def test_egi_stores_no_records(tmp_path: Path) -> None:
    hosts: dict[str, Any] = {
        "www.dyn.example.org": {"records": {"TXT": ["x"]}},
        "shop.dyn.example.org": {"alias": "front.example.net."},
        "two.dyn.example.org": {"ipv4": ["192.0.2.1", "192.0.2.2"]},
    }
    content = {"version": 1, "hosts": hosts}
    with egi() as running:
        running.admin_token = "token-of-alice"  # type: ignore[attr-defined]
        tool = Tool(running, tmp_path, "egi")  # type: ignore[arg-type]
        (tmp_path / "web.yml").write_text(json.dumps(content))
        text = tool.run("plan", "web.yml", code=1)
    assert "cannot store records" in text
    assert "remove `records`" in text
    assert "cannot store alias" in text
    assert "cannot store several addresses" in text


FRONT = "front.example.net."


def test_aliases_several_addresses_and_related_names(tool: Tool) -> None:
    tool.declare(
        shop={"ipv4": "192.0.2.1", "wildcard": True, "records": {"MX": ["10 mail.example.org."]}},
        www={"ipv4": ["192.0.2.11", "192.0.2.10"]},
        cam={"ipv6": "2001:db8::1", "related": {"nas": "::7", "tv": "::8"}},
    )
    lines = " ".join(tool.run("plan", "web.yml", code=2).split())
    assert "ipv4 [192.0.2.10, 192.0.2.11]" in lines
    assert "+ related nas: ::7" in lines
    tool.run("apply", "--yes", "web.yml", "--verify", "30", "--dns", tool.dns)
    assert dig(tool, "www", "A") == ["192.0.2.10", "192.0.2.11"]
    assert dig(tool, "cam", "AAAA", "nas.") == ["2001:db8::7"]
    assert "No changes" in tool.run("plan", "web.yml")
    hosts: dict[str, Any] = {
        "shop": {"alias": FRONT},
        "www": {"ipv4": ["192.0.2.11"]},
        "cam": {"ipv6": "2001:db8::1", "related": {"nas": "::9"}},
    }
    tool.declare(**hosts)
    lines = " ".join(tool.run("plan", "web.yml", code=2).split())
    for line in (
        f"alias none → {FRONT}",
        "- MX @: 10 mail.example.org.",
        "wildcard true → false",
        "ipv4 [192.0.2.10, 192.0.2.11] → 192.0.2.11",
        "~ related nas: ::7 → ::9",
        "- related tv: ::8",
    ):
        assert line in lines
    tool.run("plan", "web.yml", "-o", "saved", code=2)
    tool.run("apply", "--yes", "saved", "--verify", "30", "--dns", tool.dns)
    assert (dig(tool, "shop", "CNAME"), dig(tool, "cam", "AAAA", "nas.")) == ([FRONT], ["2001:db8::9"])
    assert "No changes" in tool.run("plan", "web.yml")
    assert "DNS: as declared" in tool.run("check", "web.yml", "--dns", tool.dns)
    text = tool.run("import", "--stack", tool.stack)
    (tool.folder / "imported.yml").write_text(text)
    assert yaml.safe_load(text)["hosts"][f"shop-{tool.stack}"] == {"alias": FRONT}
    assert "No changes" in tool.run("plan", "imported.yml")
    tool.declare(**(hosts | {"shop": {"ipv4": "192.0.2.1"}}))
    tool.run("apply", "--yes", "web.yml")
    assert (dig(tool, "shop", "CNAME"), dig(tool, "shop", "A")) == ([], ["192.0.2.1"])
    tool.declare(renamed=hosts["shop"] | {"moved_from": tool.name("cam")})
    tool.run("apply", "--yes", "web.yml")
    assert (dig(tool, "renamed", "CNAME"), dig(tool, "cam", "AAAA", "nas.")) == ([FRONT], [])
    tool.declare(www=hosts["www"])
    text = " ".join(tool.run("plan", "--prune", "--max-deletes", "all", "web.yml", code=2).split())
    assert f"- {tool.name('renamed')} alias {FRONT}" in text
