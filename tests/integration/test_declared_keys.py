# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared `keys`: plan, apply, prune, destroy, import and a lost answer, against a running service."""

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.ansible.playbooks import Ansible
from support.clients.ddnsctl import Tool
from support.servers.egi import egi
from support.servers.service import Service

from ddnsctl.sync.changes import Action, Change
from ddnsctl.sync.connect import open_server
from ddnsctl.sync.model import Registered
from ddnsctl.sync.recheck import remaining_work
from ddnsctl.transport import RequestsTransport

numbers = count(1)


@pytest.fixture
def tool(ddnsd: Service, tmp_path: Path) -> Iterator[Tool]:
    """The command with a stack of its own. New keys and hosts are deleted at the end: others name keys alike."""

    def paths() -> list[str]:
        keys = ddnsd.get("/api/keys", ddnsd.admin_token).json()["items"]
        hosts = ddnsd.get(f"/api/hosts?stack={used.stack}", ddnsd.admin_token).json()["items"]
        return [f"/api/keys/{key['login']}" for key in keys] + [f"/api/hosts/{host['fqdn']}" for host in hosts]

    used = Tool(ddnsd, tmp_path, f"keys{next(numbers)}")
    before = paths()
    yield used
    for path in set(paths()) - set(before):
        assert ddnsd.request("DELETE", path, ddnsd.admin_token).status_code == 204


def declare(tool: Tool, hosts: list[str], **keys: Any) -> None:
    content = {
        "version": 1,
        "stack": tool.stack,
        "defaults": {"domain": tool.service.domain},
        "hosts": {f"{host}-{tool.stack}": {"ipv4": "192.0.2.1"} for host in hosts},
        "keys": keys,
    }
    (tool.folder / "web.yml").write_text(json.dumps(content))


def update(tool: Tool, key: str, label: str) -> str:
    """What the service answers to an update of this host with the key."""
    login, secret = key.split(":")
    query = f"/nic/update?myip=192.0.2.9&hostname={tool.name(label)}"
    return tool.service.request("GET", query, auth=(login, secret)).text


def registered(tool: Tool) -> list[dict[str, Any]]:
    items = tool.service.get("/api/keys", tool.service.admin_token).json()["items"]
    return [item for item in items if item["stack"] == tool.stack]


def key_of(tool: Tool, *labels: str, file: str = "keys/router") -> dict[str, Any]:
    return {"hosts": [f"{label}-{tool.stack}" for label in labels], "secret": {"file": file}}


def test_a_key_is_made_with_its_hosts_and_follows_them(tool: Tool) -> None:
    declare(tool, ["cam", "nas"], router=key_of(tool, "cam"))
    text = " ".join(tool.run("plan", "web.yml", code=2).split())
    assert f"+ key router hosts [{tool.name('cam')}]" in text
    assert "new secret → file keys/router" in text
    tool.run("apply", "--yes", "web.yml")
    key = tool.secret("keys/router")
    assert (update(tool, key, "cam"), update(tool, key, "nas")) == ("good 192.0.2.9", "nohost")
    tool.run("apply", "--yes", "web.yml")
    assert "No changes" in tool.run("plan", "web.yml")
    declare(tool, ["cam", "nas"], router=key_of(tool, "cam", "nas"))
    text = " ".join(tool.run("plan", "web.yml", "-o", "saved", code=2).split())
    assert f"hosts [{tool.name('cam')}] → [{tool.name('cam')}, {tool.name('nas')}]" in text
    tool.run("apply", "--yes", "saved")
    assert tool.secret("keys/router") == key
    assert update(tool, key, "nas") == "good 192.0.2.9"
    assert key.partition(":")[2] not in tool.said


def test_a_host_of_a_key_is_renamed_and_another_one_deleted(tool: Tool) -> None:
    declare(tool, ["a", "b"], router=key_of(tool, "a", "b"))
    tool.run("apply", "--yes", "web.yml")
    declare(tool, ["c"], router=key_of(tool, "c"))
    content = json.loads((tool.folder / "web.yml").read_text())
    content["hosts"][f"c-{tool.stack}"]["moved_from"] = tool.name("a")
    (tool.folder / "web.yml").write_text(json.dumps(content))
    assert "key router" not in tool.run("plan", "web.yml", "--prune", "--max-deletes", "all", code=2)
    tool.run("apply", "--yes", "web.yml", "--prune", "--max-deletes", "all")
    assert [key["hosts"] for key in registered(tool)] == [[tool.name("c")]]
    assert "No changes" in tool.run("plan", "web.yml", "--prune")


def test_keys_of_the_stack_are_pruned_and_others_stay(tool: Tool) -> None:
    declare(tool, ["a"], one=key_of(tool, "a", file="one"), two=key_of(tool, "a", file="two"))
    tool.run("apply", "--yes", "web.yml")
    body = {"name": "two", "hosts": [tool.name("a")]}
    other = tool.service.request("POST", "/api/keys", tool.service.admin_token, json=body).json()
    declare(tool, ["a"], one=key_of(tool, "a", file="one"))
    assert f"1 keys of stack {tool.stack} are registered but not declared: two" in tool.run("plan", "web.yml")
    assert "- key two" in tool.run("plan", "web.yml", "--prune", code=2)
    tool.run("apply", "--yes", "web.yml", "--prune")
    assert [key["name"] for key in registered(tool)] == ["one"]
    imported = yaml.safe_load(tool.run("import", "--stack", tool.stack))
    assert imported["keys"] == {"one": {"hosts": [tool.name("a")], "secret": "none"}}
    (tool.folder / "imported.yml").write_text(yaml.safe_dump(imported))
    assert "No changes" in tool.run("plan", "imported.yml", "--prune")
    tool.run("destroy", "web.yml", "--yes")
    assert registered(tool) == []
    path = f"/api/keys/{other['login']}"
    assert tool.service.get(path, tool.service.admin_token).status_code == 200


def test_a_plan_is_stale_if_the_key_has_other_hosts_now(tool: Tool) -> None:
    declare(tool, ["a", "b"], router=key_of(tool, "a"))
    tool.run("apply", "--yes", "web.yml")
    declare(tool, ["a", "b"], router=key_of(tool, "a", "b"))
    tool.run("plan", "web.yml", "-o", "saved", code=2)
    (key,) = registered(tool)
    path = f"/api/keys/{key['login']}"
    tool.service.request("PATCH", path, tool.service.admin_token, json={"hosts": [tool.name("b")]})
    assert "has other hosts" in tool.run("apply", "--yes", "saved", code=4)
    assert [key["hosts"] for key in registered(tool)] == [[tool.name("b")]]


def test_after_a_lost_answer_another_key_replaces_the_first(tool: Tool) -> None:
    declare(tool, ["a"])
    tool.run("apply", "--yes", "web.yml")
    server = open_server(RequestsTransport(tool.service.url, tool.service.admin_token))
    change = Change(Action.CREATE, "key", "router", after={"hosts": [tool.name("a")], "stack": tool.stack})
    first = server.execute(change)
    (again,) = remaining_work(change, Registered())
    assert remaining_work(change, Registered(), kept=True) == ()
    second = server.execute(again)
    (key,) = registered(tool)
    assert (second.secret or "").startswith(f"{key['login']}:")
    assert update(tool, first.secret or "", "a") == "badauth"
    assert update(tool, second.secret or "", "a") == "good 192.0.2.9"


def test_what_is_wrong_is_told_before_anything_is_changed(tool: Tool) -> None:
    bad = {"hosts": "cam", "secret": None, "name": "x"}
    declare(tool, [], **{"a b": {"hosts": ["x y"], "secret": {"file": "f"}}, "router": bad})
    text = tool.run("validate", "web.yml", code=1)
    for part in ("'a b' is not a name of a key", "hosts.0: ", "router.hosts: needs a list", "router.name: unknown key"):
        assert part in text
    assert "router.secret: is missing" in text
    (tool.folder / "taken").write_text("x")
    declare(tool, ["a"], router=key_of(tool, "a", file="taken"))
    assert "the file for its secret exists" in tool.run("apply", "--yes", "web.yml", code=1)
    assert registered(tool) == []


def test_the_module_manages_keys_too(ansible: Ansible, tool: Tool) -> None:
    declare(tool, ["a"], router=key_of(tool, "a"))
    given = {"src": str(tool.folder / "web.yml")}
    made, again = ansible.tasks("ddns_sync", given, given)
    assert (made["changed"], again["changed"]) == (True, False)
    assert "key router:" in made["diff"]["after"]
    key = tool.secret("keys/router")
    assert update(tool, key, "a") == "good 192.0.2.9"
    assert key.partition(":")[2] not in json.dumps(made)


def test_keys_of_an_included_file_and_in_another_order(tool: Tool) -> None:
    declare(tool, ["a"])
    (tool.folder / "sub").mkdir()
    keys = f"keys: {{router: {{hosts: [a-{tool.stack}], secret: {{file: router}}}}}}\nversion: 1\n"
    (tool.folder / "sub" / "keys.yml").write_text(keys)
    content = json.loads((tool.folder / "web.yml").read_text())
    (tool.folder / "web.yml").write_text(json.dumps({**content, "include": "sub/keys.yml", "keys": {}}))
    rendered = yaml.safe_load(tool.run("validate", "web.yml", "--render"))
    assert rendered["keys"] == {"router": {"hosts": [tool.name("a")], "secret": {"file": "sub/router"}}}
    tool.run("fmt", "sub/keys.yml")
    assert (tool.folder / "sub" / "keys.yml").read_text().startswith("version: 1\n")
    assert "1 host, 0 domains, 1 key" in tool.run("validate", "web.yml")
    assert "key router" not in tool.run("plan", "web.yml", "--only", "a-*", code=2)
    tool.run("apply", "--yes", "web.yml")
    assert tool.secret("sub/router")


def test_egi_has_no_keys(tmp_path: Path) -> None:
    content = {"version": 1, "keys": {"router": {"hosts": ["www.dyn.example.org"], "secret": "none"}}}
    with egi() as running:
        running.admin_token = "token-of-alice"  # type: ignore[attr-defined]
        tool = Tool(running, tmp_path, "egi")  # type: ignore[arg-type]
        (tmp_path / "web.yml").write_text(json.dumps(content))
        assert "has no keys" in tool.run("plan", "web.yml", code=1)
