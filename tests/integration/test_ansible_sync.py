# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_sync` with what it shares with `ddnsctl`: folders, stored secrets that no longer work, and journals."""

import json
import stat
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support.ansible.playbooks import Ansible
from support.servers.http_proxy import HttpProxy, http_proxy
from support.servers.service import Service

NUMBERS = count(1)


@pytest.fixture
def stack() -> str:
    """A stack, and the first label of its hosts, that no other test uses."""
    return f"sync{next(NUMBERS)}"


@pytest.fixture
def losing(ansible: Ansible, ddnsd: Service) -> Iterator[HttpProxy]:
    """The service behind a proxy that loses the answers to all changes."""
    with http_proxy(ddnsd) as proxy:
        proxy.loses = lambda line: line.startswith("POST /api/changes") and "dry_run" not in line
        ansible.api_url = proxy.url
        yield proxy


def works(ddnsd: Service, name: str, secret: str) -> bool:
    """Whether the host's secret is this one."""
    path = f"/api/hosts/{name}/verify-secret"
    answer = ddnsd.request("POST", path, ddnsd.admin_token, json={"secret": secret})
    return bool(answer.json()["valid"])


def test_a_folder_is_one_declaration(ansible: Ansible, ddnsd: Service, stack: str) -> None:
    files = {
        "main.yml": f"version: 1\nstack: {stack}\nhosts: {{{stack}-a.dyn.example.org: {{secret: {{file: s/a}}}}}}\n",
        "sub/deep/MORE.YML": f"version: 1\nhosts: {{{stack}-b.dyn.example.org: {{secret: {{file: s/b}}}}}}\n",
        "sub/shared.yaml": f"version: 1\ninclude: deep/MORE.YML\nhosts: {{{stack}-c.dyn.example.org: {{}}}}\n",
        ".git/x.yml": "no: declaration\n",
        "README.md": "no declaration\n",
    }
    for name, text in files.items():
        path = ansible.folder / "files" / "dns" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (ansible.folder / "files" / "dns" / "link.yml").symlink_to("main.yml")
    (ansible.folder / "empty").mkdir()
    made, again, empty = ansible.tasks(
        "ddns_sync", {"src": "dns"}, {"src": "dns/", "prune": True}, {"src": "empty"}, fails=[2]
    )
    assert made["counts"]["add"] == 3
    assert not again["changed"]
    assert empty["msg"] == "empty: the folder contains no *.yml or *.yaml file"
    folder = ansible.folder / "files" / "dns"
    for label, path in (("a", folder / "s" / "a"), ("b", folder / "sub" / "deep" / "s" / "b")):
        assert works(ddnsd, f"{stack}-{label}.dyn.example.org", path.read_text().strip())
    (folder / "sub" / "deep" / "MORE.YML").write_text("version: 1\nhosts:\n  b: {ipv4: 192.0.2.300}\n")
    wrong = ansible.task("ddns_sync", src="dns", fails=True)["msg"]
    assert "dns/sub/deep/MORE.YML:3:7: hosts.b.ipv4" in wrong


@pytest.mark.parametrize("in_process", [True, False])
def test_stored_secrets_that_do_not_work_are_replaced(
    ansible: Ansible, ddnsd: Service, stack: str, in_process: bool
) -> None:
    folder = ansible.folder / "secrets"
    names = {label: f"{stack}-{label}.dyn.example.org" for label in ("good", "bad", "gone", "shared")}
    hosts: dict[str, Any] = {
        name: {"secret": {"file": str(folder / label)}} for label, name in names.items() if label != "shared"
    }
    declared = {"stack": stack, "hosts": {**hosts, names["shared"]: {}}}
    given: dict[str, Any] = {"declaration": declared, "secret_dir": str(folder)}
    way = {"ddns_in_process": in_process}
    ansible.task("ddns_sync", way, **given)
    good = (folder / "good").read_text()
    (folder / "bad").write_text("wrong\n")
    (folder / "gone").unlink()
    (folder / names["shared"]).write_text("wrong\n")
    task = {"name": "t", "fedcloud.ddns.ddns_sync": {**given, "verify_secrets": True}}
    (planned,) = ansible.play([task], way, "--check", "--diff")
    assert [change["action"] for change in planned["changes"]] == ["rotate"] * 3
    assert (folder / "bad").read_text() == "wrong\n"
    shown = json.dumps(planned["changes"])
    assert f"file {folder / 'bad'} has a secret that is no longer valid" in shown
    assert f"file {folder / 'gone'} is missing or empty" in shown
    unasked, repaired, again = ansible.tasks(
        "ddns_sync", given, {**given, "verify_secrets": True}, {**given, "verify_secrets": True}, variables=way
    )
    assert [one["changed"] for one in (unasked, repaired, again)] == [False, True, False]
    assert repaired["counts"]["rotate"] == 3
    assert (folder / "good").read_text() == good
    for label, name in names.items():
        path = folder / (name if label == "shared" else label)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert works(ddnsd, name, path.read_text().strip())
        assert path.read_text().strip() not in json.dumps([planned, unasked, repaired, again])


def test_encrypted_secrets_are_checked_on_the_controller(ansible: Ansible, ddnsd: Service, stack: str) -> None:
    (ansible.folder / "password").write_text("p")
    ansible.settings["ANSIBLE_VAULT_PASSWORD_FILE"] = str(ansible.folder / "password")
    name, path = f"{stack}.dyn.example.org", ansible.folder / "v"
    given: dict[str, Any] = {"declaration": {"stack": stack, "hosts": {name: {"secret": {"vault": str(path)}}}}}
    ask: dict[str, Any] = {**given, "verify_secrets": True}
    _, same = ansible.tasks("ddns_sync", given, ask)
    assert not same["changed"]
    elsewhere = ansible.task("ddns_sync", {"ddns_in_process": False}, **ask)
    assert "only the controller can decrypt secrets" in str(elsewhere["warnings"])
    path.write_text("no vault\n")
    damaged = ansible.task("ddns_sync", **ask)
    assert not damaged["changed"]
    assert f"vault {path} cannot be checked: ansible-vault: " in str(damaged["warnings"])
    path.unlink()
    assert ansible.task("ddns_sync", **ask)["counts"]["rotate"] == 1
    assert works(ddnsd, name, ansible.run("ansible-vault", "view", str(path)).stdout.strip())


@pytest.mark.parametrize("in_process", [True, False])
def test_a_journal_is_continued_with_the_secret_that_nobody_saw(
    ansible: Ansible, ddnsd: Service, losing: HttpProxy, stack: str, in_process: bool
) -> None:
    name, way = f"{stack}.dyn.example.org", {"ddns_in_process": in_process}
    path, secret = ansible.folder / "journals" / "j", ansible.folder / "s"
    hosts: dict[str, Any] = {name: {"ipv4": "192.0.2.1", "secret": {"file": str(secret)}}}
    given: dict[str, Any] = {"declaration": {"stack": stack, "hosts": hosts}, "journal": str(path)}
    lost = ansible.task("ddns_sync", way, **given, fails=True)
    assert f"The journal {path} has what is left" in lost["msg"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ddnsd.dig(name) == ["192.0.2.1"]
    assert not secret.exists()
    losing.loses = lambda _line: False
    other = ansible.task(
        "ddns_sync", way, declaration={"stack": f"{stack}-x"}, journal=str(path), resume=True, fails=True
    )
    assert f"is for the stack {stack}, but the declaration has the stack {stack}-x" in other["msg"]
    resume = {"name": "t", "fedcloud.ddns.ddns_sync": {**given, "resume": True}}
    (planned,) = ansible.play([resume], way, "--check", "--diff")
    assert [(change["action"], change["name"]) for change in planned["resumed"]] == [("create", name)]
    assert path.exists()
    resumed = ansible.task("ddns_sync", way, **given, resume=True)
    assert [(change["name"], change["status"]) for change in resumed["resumed"]] == [(name, "applied")]
    assert resumed["changed"]
    assert resumed["changes"] == []
    assert not path.exists()
    assert works(ddnsd, name, secret.read_text().strip())
    events = ddnsd.get(f"/api/events?object={name}", ddnsd.admin_token).json()["items"]
    assert not [event for event in events if "rotate" in event["action"] or "secret" in event["action"]]
    again = ansible.task("ddns_sync", way, **given, resume=True)
    assert (again["changed"], "resumed" in again) == (False, False)


def test_a_journal_is_replaced_only_by_a_plan_that_covers_it(
    ansible: Ansible, ddnsd: Service, losing: HttpProxy, stack: str
) -> None:
    name, path = f"{stack}.dyn.example.org", ansible.folder / "j"
    hosts: dict[str, Any] = {name: {"ipv4": "192.0.2.1"}, f"b-{name}": {"ipv4": "192.0.2.1"}}
    given: dict[str, Any] = {"declaration": {"stack": stack, "hosts": hosts}, "journal": str(path)}
    losing.loses = lambda _line: False
    ansible.task("ddns_sync", **given, return_secrets=True)
    assert not path.exists()
    losing.loses = lambda line: line.startswith("POST /api/changes") and "dry_run" not in line
    hosts[name] = {"ipv4": "192.0.2.2"}
    ansible.task("ddns_sync", **given, fails=True)
    losing.loses = lambda _line: False
    elsewhere: dict[str, Any] = {"declaration": {"stack": stack, "hosts": {f"b-{name}": {}}}, "journal": str(path)}
    assert "an earlier run is unfinished" in ansible.task("ddns_sync", **elsewhere, fails=True)["msg"]
    assert path.exists()
    covered = ansible.task("ddns_sync", **given)
    assert f"Deleted {path}: this plan replaces what the earlier run left." in covered["warnings"]
    assert not path.exists()


def test_ddnsctl_continues_a_journal_of_ansible(
    ansible: Ansible, ddnsd: Service, losing: HttpProxy, stack: str
) -> None:
    name, secret = f"{stack}.dyn.example.org", ansible.folder / "secrets" / f"{stack}.dyn.example.org"
    given: dict[str, Any] = {"declaration": {"stack": stack, "hosts": {name: {}}}, "journal": str(ansible.folder / "j")}
    ansible.task("ddns_sync", **given, secret_dir=str(secret.parent), fails=True)
    assert not secret.exists()
    losing.loses = lambda _line: False
    ansible.settings |= {"DDNS_SERVER": losing.url, "DDNS_TOKEN": ddnsd.admin_token}
    ansible.run("ddnsctl", "apply", "--resume", "--journal", "j", "-y")
    assert works(ddnsd, name, secret.read_text().strip())


def test_a_journal_must_be_named_to_continue_it(ansible: Ansible, stack: str) -> None:
    task: dict[str, Any] = {"declaration": {"stack": stack}, "resume": True}
    assert "resume: needs `journal`" in ansible.task("ddns_sync", **task, fails=True)["msg"]
    path = Path(ansible.folder / "j")
    path.write_text("no journal\n")
    assert "line 1 is not valid" in ansible.task("ddns_sync", **task, journal=str(path), fails=True)["msg"]


@pytest.mark.parametrize("in_process", [True, False])
def test_a_part_of_a_declaration_is_applied(ansible: Ansible, ddnsd: Service, stack: str, in_process: bool) -> None:
    way, names = {"ddns_in_process": in_process}, {label: f"{stack}-{label}.dyn.example.org" for label in "abcx"}
    first = {name: {"ipv4": "192.0.2.1", "secret": "none"} for name in names.values()}
    ansible.task("ddns_sync", way, declaration={"stack": stack, "hosts": first})
    files = {label: ansible.folder / f"secret-{label}" for label in "abc"}
    changed = {names[label]: {"ipv4": "192.0.2.2", "secret": {"file": str(files[label])}} for label in "abc"}
    given: dict[str, Any] = {"declaration": {"stack": stack, "hosts": changed}, "only": [f"{stack}-A", names["b"]]}
    part: dict[str, Any] = {**given, "prune": True, "verify_secrets": True}
    planned, made, again = ansible.play(
        [{"name": "t", "check_mode": check, "fedcloud.ddns.ddns_sync": part} for check in (True, False, False)], way
    )
    assert planned["changes"] == [{k: v for k, v in change.items() if k != "status"} for change in made["changes"]]
    assert {(change["action"], change["name"]) for change in made["changes"]} == {
        (action, names[label]) for action in ("update", "rotate") for label in "ab"
    }
    assert (made["changed"], again["changed"]) == (True, False)
    addresses = {label: ddnsd.dig(name) for label, name in names.items()}
    assert addresses == {"a": ["192.0.2.2"], "b": ["192.0.2.2"], "c": ["192.0.2.1"], "x": ["192.0.2.1"]}
    assert [label for label, path in files.items() if path.exists()] == ["a", "b"]
    assert "1 other declared hosts are not" in json.dumps(made["warnings"])
    unknown, gone, rotated = ansible.tasks(
        "ddns_sync",
        {**given, "only": [f"{stack}-y*"]},
        {**given, "state": "absent"},
        {**given, "rotate": [names["c"]]},
        variables=way,
        fails=[0, 1, 2],
    )
    assert f"no host or domain matches {stack}-y*" in unknown["msg"]
    assert "only: not with `state: absent`" in gone["msg"]
    assert f"{names['c']} cannot get a new secret: `only` does not match it" in rotated["msg"]
    assert ddnsd.dig(names["a"]) == ["192.0.2.2"]
    pruned = ansible.task("ddns_sync", way, **{**given, "only": [f"{stack}-[ax]"], "prune": True})
    assert [(change["action"], change["name"]) for change in pruned["changes"]] == [("delete", names["x"])]
    assert ddnsd.dig(names["x"]) == []


@pytest.mark.parametrize("in_process", [True, False])
def test_too_many_changes_are_refused(ansible: Ansible, ddnsd: Service, stack: str, in_process: bool) -> None:
    way, names = {"ddns_in_process": in_process}, [f"{stack}-{number}.dyn.example.org" for number in range(4)]

    def declared(address: str, **rules: str) -> dict[str, Any]:
        hosts = {name: {"ipv4": address, "secret": "none"} for name in names}
        return {"stack": {"name": stack, **rules}, "hosts": hosts}

    ansible.task("ddns_sync", way, declaration=declared("192.0.2.1"))
    by_stack, by_option, wrong, allowed = ansible.tasks(
        "ddns_sync",
        {"declaration": declared("192.0.2.2", max_changes="50%")},
        {"declaration": declared("192.0.2.2"), "max_changes": "3"},
        {"declaration": declared("192.0.2.2"), "max_changes": "130%"},
        {"declaration": declared("192.0.2.2", max_changes="50%"), "max_changes": "all"},
        variables=way,
        fails=[0, 1, 2],
    )
    text = "4 of 4 registered hosts would be changed; the limit allows"
    for refused, bound in ((by_stack, 2), (by_option, 3)):
        assert f"{text} {bound}: {names[0]}, " in refused["msg"]
        assert "`max_changes` in Ansible" in refused["msg"]
        assert (refused["changed"], refused["hosts"], refused["counts"]["change"]) == (False, names, 4)
    assert "max_changes: '130%' is not a limit" in wrong["msg"]
    assert allowed["counts"]["change"] == 4
    part: dict[str, Any] = {"declaration": declared("192.0.2.3", max_changes="25%"), "only": [names[0]]}
    assert ansible.task("ddns_sync", way, **part)["counts"]["change"] == 1
    assert [ddnsd.dig(name) for name in names] == [["192.0.2.3"], *[["192.0.2.2"]] * 3]
