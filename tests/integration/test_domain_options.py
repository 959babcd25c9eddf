# SPDX-License-Identifier: GPL-3.0-or-later
"""Owner, primary, key and DNSSEC policy of domains: by the API, declared, and with the Ansible module."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.ansible.playbooks import Ansible
from support.clients.ddnsctl import Tool
from support.ports import wait_until
from support.servers.second_bind import SecondBind, second_bind
from support.servers.service import Service

from ddnsd.dns.tsig import TsigKey

numbers = count(1)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondBind]:
    """A name server that the service does not control."""
    with second_bind(tmp_path_factory.mktemp("second")) as running:
        yield running


@pytest.fixture
def zone() -> str:
    return f"options{next(numbers)}.example.net"


@pytest.fixture
def tool(ddnsd: Service, tmp_path: Path, zone: str) -> Tool:
    return Tool(ddnsd, tmp_path, zone.partition(".")[0])


def declare(tool: Tool, zone: str, **options: Any) -> None:
    content = {"version": 1, "stack": tool.stack, "domains": {zone: options}}
    (tool.folder / "lab.yml").write_text(json.dumps(content))


def patch(service: Service, zone: str, token: str, **fields: Any) -> Any:
    return service.request("PATCH", f"/api/domains/{zone}", token, json=fields)


def test_a_domain_moves_to_another_primary_by_the_api(ddnsd: Service, other: SecondBind, zone: str) -> None:
    key = TsigKey.from_text(other.make_zone(zone).read_text())
    ddnsd.user("options-owner")
    given = {"name": key.name, "algorithm": key.algorithm, "secret": key.secret}
    body = {"name": zone, "owner": "options-owner", "primary": other.address, "key": given}
    token = ddnsd.admin_token
    made = ddnsd.request("POST", "/api/domains", token, json=body).json()
    shown = {"name": key.name, "algorithm": key.algorithm, "fingerprint": key.fingerprint}
    assert (made["primary"], made["key"]) == (other.address, shown)
    assert key.secret not in json.dumps(made)
    wrong = patch(ddnsd, zone, token, key={**given, "secret": "d3JvbmcgYnV0IGxvbmcgZW5vdWdo"}, comment="c")
    assert (wrong.status_code, set(wrong.json()["errors"])) == (422, {"key"})
    assert (
        patch(ddnsd, zone, token, dnssec_policy="default").status_code == 422
    )  # the zone is not on the service's BIND
    owner = ddnsd.cli("token", "add", "options-owner", "--name", "patch").stdout.strip()
    for field in ({"primary": other.address}, {"key": given}, {"dnssec_policy": None}):
        assert patch(ddnsd, zone, owner, **field).status_code == 403
    found = ddnsd.get(f"/api/domains/{zone}", owner).json()
    assert (found["key"], found["comment"], found["primary"]) == (None, None, other.address)
    tag = {"If-Match": '"other"'}
    stale = ddnsd.request("PATCH", f"/api/domains/{zone}", token, json={"key": given}, headers=tag)
    assert stale.status_code == 412
    done = patch(ddnsd, zone, token, primary=other.address, key=given, ttl=300)
    assert (done.status_code, done.json()["ttl"]) == (200, 300)


def test_a_declared_zone_of_another_primary(tool: Tool, other: SecondBind, zone: str) -> None:
    (tool.folder / "keys").mkdir()
    file = tool.folder / "keys" / "lab.key"
    file.write_text(other.make_zone(zone).read_text())
    key = TsigKey.from_text(file.read_text())
    tool.service.user(tool.stack)
    options = {"owner": tool.stack, "primary": other.address, "key": {"file": "keys/lab.key"}}
    declare(tool, zone, **options)
    plan = tool.run("plan", "lab.yml", "-o", "saved", code=2)
    assert f"owner {tool.stack}" in " ".join(plan.split())
    assert other.address in plan
    assert key.fingerprint in plan
    tool.run("apply", "saved", "--yes")
    assert "No changes" in tool.run("plan", "lab.yml")
    tool.service.register(
        f"www.{zone}", tool.service.cli("token", "add", tool.stack, "--name", "t").stdout.strip(), ip="192.0.2.1"
    )
    assert other.dig(f"www.{zone}", "A") == ["192.0.2.1"]
    new = TsigKey.generate(key.name)
    file.write_text(new.to_text())
    text = " ".join(tool.run("plan", "lab.yml", code=2).split())
    assert f"{key.fingerprint}" in text
    assert f"{new.fingerprint}" in text
    assert "BADSIG" in tool.run("apply", "lab.yml", "--yes", code=4)
    tool.run("plan", "lab.yml", "-o", "saved2", code=2)
    file.write_text(TsigKey.generate(key.name).to_text())
    assert "has changed since the plan" in tool.run("apply", "saved2", "--yes", code=4)
    file.unlink()
    assert "keys/lab.key" in tool.run("plan", "lab.yml", code=1)
    tool.run("validate", "lab.yml")
    assert new.secret not in tool.said
    assert key.secret not in tool.said


def test_owner_and_policy_of_a_zone_of_the_service(tool: Tool, zone: str) -> None:
    tool.service.user(tool.stack)
    options = {"dnssec_policy": "default", "gss_realm": "LAB.EXAMPLE.ORG", "gss_hosts": True}
    declare(tool, zone, **options)
    tool.run("apply", "lab.yml", "--yes")
    imported = yaml.safe_load(tool.run("import", "--stack", tool.stack))
    assert imported["domains"][zone] == options
    (tool.folder / "imported.yml").write_text(yaml.safe_dump(imported))
    assert "No changes" in tool.run("plan", "imported.yml")
    none = {"dnssec_policy": "none", "gss_realm": "none", "gss_hosts": False, "dns_updates": False}
    declare(tool, zone, owner=tool.stack, **none)
    text = " ".join(tool.run("apply", "lab.yml", "--yes").split())
    assert f"owner admin → {tool.stack}" in text
    assert "dnssec_policy default → none" in text
    assert "gss_realm LAB.EXAMPLE.ORG → none" in text
    assert "gss_hosts true → false" in text
    assert "dns_updates" in text
    assert tool.service.get(f"/api/domains/{zone}", tool.service.admin_token).json()["dns_updates"] is False
    assert "No changes" in tool.run("plan", "lab.yml")
    declare(tool, zone)
    assert f"`adopt_from: {tool.stack}` takes it over" in tool.run("plan", "lab.yml", code=1)
    declare(tool, zone, adopt_from=tool.stack)
    assert "1 to adopt" in tool.run("apply", "lab.yml", "--yes")
    assert "No changes" in tool.run("plan", "lab.yml")


def test_what_is_not_valid_is_told_with_its_place(tool: Tool, zone: str) -> None:
    bad = {"primary": "[x]", "key": {"path": "x"}, "dnssec_policy": "a b", "gss_realm": "lab.example", "owner": ""}
    declare(tool, zone, **bad)
    text = tool.run("validate", "lab.yml", code=1)
    for part in (
        "primary: '[x]' is not the address",
        "key.path: unknown key",
        "key: needs `file`",
        "dnssec_policy: 'a b'",
        "gss_realm: 'lab.example'",
        "owner: ",
    ):
        assert f"domains.{zone}.{part}" in text
    declare(tool, zone, key={"file": "no-key"})
    (tool.folder / "no-key").write_text("nonsense")
    assert "no-key: is no TSIG key" in tool.run("plan", "lab.yml", code=1)


def test_the_module_takes_a_key_file(ansible: Ansible, other: SecondBind, zone: str) -> None:
    file = other.make_zone(zone)
    given = {"name": zone, "primary": other.address, "key": {"file": str(file)}, "owner": "admin"}
    made, again = ansible.tasks("ddns_domain", given, given)
    assert (made["changed"], again["changed"]) == (True, False)
    assert made["domain"]["key"] == again["domain"]["key"]
    assert TsigKey.from_text(file.read_text()).secret not in json.dumps([made, again])
    assert "primary: 'a b' is not" in ansible.task("ddns_domain", name=zone, primary="a b", fails=True)["msg"]


def test_a_reverse_zone_and_its_hosts_are_declared(tool: Tool, ansible: Ansible) -> None:
    number, service = next(numbers), tool.service
    zone, name = f"16-31.{number}.0.172.in-addr.arpa", f"reverse{number}.{service.domain}"
    content: dict[str, Any] = {
        "version": 1,
        "stack": tool.stack,
        "domains": {zone: {"reverse": "all"}},
        "hosts": {name: {"ipv4": f"172.0.{number}.17", "ptr": True, "secret": "none"}},
    }
    (tool.folder / "lab.yml").write_text(json.dumps(content))
    tool.run("apply", "lab.yml", "--yes")
    wait_until(lambda: service.dig(f"17.{zone}", "PTR") == [f"{name}."], 60, "published")
    assert "No changes" in tool.run("plan", "lab.yml")
    imported = yaml.safe_load(tool.run("import", "--stack", tool.stack))
    assert imported["domains"][zone] == {"network": f"172.0.{number}.16/28", "reverse": "all"}
    assert imported["hosts"].popitem()[1]["ptr"] is True
    (tool.folder / "imported.yml").write_text(yaml.safe_dump(imported))
    assert "No changes" in tool.run("plan", "imported.yml")
    del content["hosts"][name]["ptr"]
    (tool.folder / "lab.yml").write_text(json.dumps(content))
    assert "No changes" in tool.run("plan", "lab.yml")  # it is kept
    made, again = ansible.tasks("ddns_domain", *[{"name": zone, "reverse": "off"}] * 2)
    assert (made["changed"], again["changed"], again["domain"]["reverse"]) == (True, False, "off")
    wait_until(lambda: service.dig(f"17.{zone}", "PTR") == [], 60, "removed")
    declare(tool, zone, reverse="some", network="x")
    text = tool.run("validate", "lab.yml", code=1)
    assert f"domains.{zone}.reverse: 'some' is not off, verified or all" in text
    assert f"domains.{zone}.network: 'x' is not a network" in text
