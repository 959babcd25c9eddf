# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_key`, `ddns_token`, `ddns_token_info` and `ddns_user` against a service: what the examples do not show."""

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support.ansible.playbooks import Ansible
from support.servers.service import Service

NUMBERS = count(1)


@pytest.fixture
def name() -> str:
    """A name of a credential or user that no other test uses."""
    return f"credential-{next(NUMBERS)}"


def named(ddnsd: Service, path: str, name: str) -> list[dict[str, Any]]:
    """The registered keys or tokens with the name."""
    items = ddnsd.get(path, ddnsd.admin_token).json()["items"]
    return [item for item in items if item["name"] == name]


def test_a_key_is_written_works_and_is_replaced_if_its_file_is_lost(
    ansible: Ansible, ddnsd: Service, name: str
) -> None:
    hosts = [f"{label}-{name}.{ddnsd.domain}" for label in "ab"]
    for host in hosts:
        ddnsd.register(host)
    file = ansible.folder / "keys" / "router"
    given: dict[str, Any] = {"name": name, "hosts": [hosts[1].upper(), hosts[0]], "secret": {"file": str(file)}}
    made, again, fewer = ansible.tasks("ddns_key", given, given, {**given, "hosts": hosts[:1]})
    assert (made["changed"], again["changed"], fewer["changed"]) == (True, False, True)
    assert made["key"] == again["key"]
    assert made["key"]["hosts"] == hosts
    assert f"new secret → file {file}" in made["diff"]["after"]
    assert fewer["key"]["login"] == made["key"]["login"]
    assert hosts[1] in fewer["diff"]["before"]
    assert hosts[1] not in fewer["diff"]["after"]
    login, secret = file.read_text().strip().split(":")
    assert file.stat().st_mode & 0o777 == 0o600
    assert secret not in json.dumps([made, again, fewer])
    answer = ddnsd.request("GET", f"/nic/update?hostname={hosts[0]}&myip=192.0.2.7", auth=(login, secret))
    assert answer.text == "good 192.0.2.7"
    file.write_text("another:secret\n")
    kept = {key: value for key, value in given.items() if key != "hosts"}
    replaced, returned = ansible.tasks("ddns_key", kept, {"name": name, "state": "rotated", "return_secrets": True})
    assert replaced["key"]["hosts"] == hosts[:1]
    (registered,) = named(ddnsd, "/api/keys", name)
    assert returned["secret"].split(":")[0] == returned["key"]["login"] == registered["login"]
    body = {"name": name, "hosts": hosts}
    assert ddnsd.request("POST", "/api/keys", ddnsd.admin_token, json=body).status_code == 201
    assert "2 keys have the name" in ansible.task("ddns_key", **kept, fails=True)["msg"]
    assert ansible.task("ddns_key", name=name, state="absent")["changed"]
    assert named(ddnsd, "/api/keys", name) == []


def test_a_secret_without_a_place_changes_nothing(ansible: Ansible, ddnsd: Service, name: str) -> None:
    taken = ansible.folder / "taken"
    taken.write_text("precious\n")
    nowhere, exists, bad, unknown = ansible.tasks(
        "ddns_token",
        {"name": name},
        {"name": name, "secret": {"file": str(taken)}},
        {"name": name, "expires": "2030-01-01", "return_secrets": True},
        {"name": name, "networks": ["300.0.0.0/8"], "return_secrets": True},
        fails=range(4),
    )
    assert "would not be stored anywhere" in nowhere["msg"]
    assert f"the file for its secret exists: {taken}" in exists["msg"]
    assert "expires: '2030-01-01' is not a time with a time zone" in bad["msg"]
    assert "networks: '300.0.0.0/8'" in unknown["msg"]
    assert (taken.read_text(), named(ddnsd, "/api/tokens", name)) == ("precious\n", [])


def test_rights_are_compared_however_they_are_written(ansible: Ansible, ddnsd: Service, name: str) -> None:
    given = {
        "name": name,
        "scopes": ["write", "read"],
        "networks": ["192.0.2.77/24", "127.0.0.1"],
        "expires": "2099-01-31T12:00:00+02:00",
        "return_secrets": True,
    }
    other_way = {"networks": ["127.0.0.1/32", "192.0.2.0/24"], "expires": "2099-01-31T10:00:00Z"}
    made, again, none, rotated = ansible.tasks(
        "ddns_token",
        given,
        {**given, **other_way},
        {"name": name},
        {"name": name, "state": "rotated", "return_secrets": True},
    )
    assert [one["changed"] for one in (made, again, none, rotated)] == [True, False, False, True]
    assert "secret" not in again
    rights = ("scopes", "networks", "expires", "hosts")
    assert [made["token"][right] for right in rights] == [rotated["token"][right] for right in rights]
    works = [ddnsd.get("/api/users/me", one["secret"]).status_code for one in (made, rotated)]
    assert works == [401, 200]
    (found,) = ansible.task("ddns_token_info", name=[name])["tokens"]
    assert found.items() >= {"name": name, "scopes": rotated["token"]["scopes"]}.items()
    assert all(word not in str(found) for word in ("ddns_", "secret"))


def test_a_token_of_a_vault_and_the_one_in_use(ansible: Ansible, ddnsd: Service, name: str) -> None:
    (ansible.folder / "password").write_text("password\n")
    ansible.settings["ANSIBLE_VAULT_PASSWORD_FILE"] = str(ansible.folder / "password")
    vault, plain = ansible.folder / "token.vault", ansible.folder / "token"
    given = {"name": name, "secret": {"vault": str(vault)}}
    assert [one["changed"] for one in ansible.tasks("ddns_token", given, given)] == [True, False]
    assert vault.read_text().startswith("$ANSIBLE_VAULT;")
    on_host = ansible.task("ddns_token", {"ddns_in_process": False}, **given, state="rotated", fails=True)
    assert "only the controller can encrypt secrets" in on_host["msg"]
    own = f"{name}-own"
    made = ddnsd.request("POST", "/api/tokens", ddnsd.admin_token, json={"name": own}).json()
    plain.write_text(made["token"])
    used = {"name": own, "secret": {"file": str(plain)}, "api_token": made["token"]}
    assert not ansible.task("ddns_token", **used)["changed"]
    assert (
        "also delete the token of your request"
        in ansible.task("ddns_token", **used, state="rotated", fails=True)["msg"]
    )
    assert len(named(ddnsd, "/api/tokens", own)) == 1


def test_a_user_is_created_disabled_and_kept(ansible: Ansible, ddnsd: Service, name: str, tmp_path: Path) -> None:
    closed = {"name": name, "active": False, "records": "remove", "reason": "Closed"}
    made, again, opened, none, own = ansible.tasks(
        "ddns_user",
        closed,
        closed,
        {"name": name, "active": True, "reason": ""},
        {"name": name},
        {"name": "admin", "active": False},
        fails=[4],
    )
    assert [one["changed"] for one in (made, again, opened, none)] == [True, False, True, False]
    assert made["user"].items() >= closed.items()
    assert '"Closed"' in opened["diff"]["before"]
    assert opened["user"].items() >= {"active": True, "reason": None}.items()
    assert "own" in own["msg"]
    token = ddnsd.user(name)
    ddnsd.register(f"www-{name}.{ddnsd.domain}", token)
    kept, gone = ansible.tasks(
        "ddns_user",
        {"name": name, "state": "absent"},
        {"name": name, "state": "absent", "remove_hosts": True},
        fails=[0],
    )
    assert "hosts" in kept["msg"]
    assert gone["changed"]
    denied = ansible.task("ddns_user", name=f"{name}-2", api_token=ddnsd.user(f"{name}-3"), fails=True)
    assert denied["msg"]
