# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection against a service: what the examples do not show. `in_process` is both ways in which a module runs."""

import json
import subprocess
import threading
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support.ansible.playbooks import PROGRAMS, REPOSITORY, Ansible
from support.ports import free_port
from support.servers.http_proxy import http_proxy
from support.servers.service import Service

NUMBERS = count(1)


@pytest.fixture
def name(ddnsd: Service) -> str:
    """A name that no other test uses."""
    return f"a{next(NUMBERS)}.{ddnsd.domain}"


@pytest.fixture(params=[True, False], ids=["process", "module"])
def way(request: pytest.FixtureRequest) -> dict[str, bool]:
    """Variables for each way."""
    return {"ddns_in_process": request.param}


def host(ddnsd: Service, name: str) -> dict[str, object]:
    found: dict[str, object] = ddnsd.get(f"/api/hosts/{name}", ddnsd.admin_token).json()
    return found


class TestRecord:
    def test_one_rrset_is_set_and_removed_and_others_are_left_alone(
        self, ansible: Ansible, ddnsd: Service, name: str, way: dict[str, bool]
    ) -> None:
        records = {"MX": ["10 mail.example.org."], "TXT": ["kept"]}
        made = ansible.task("ddns_host", way, name=name, ipv4="192.0.2.1", records=records)
        assert made["host"]["records"]["@ TXT"] == {"values": ['"kept"'], "ttl": None}
        assert not ansible.task("ddns_host", way, name=name, records={**records, "MX": ["10 Mail.example.org."]})[
            "changed"
        ]
        given = {"host": name, "type": "caa", "values": ["0 issue ca.example.net"], "ttl": 300}
        done, again, absent, gone = ansible.tasks(
            "ddns_record", given, given, *[{"host": name, "type": "CAA", "state": "absent"}] * 2, variables=way
        )
        assert [result["changed"] for result in (done, again, absent, gone)] == [True, False, True, False]
        shown = {"host": name, "name": "@", "type": "CAA", "fqdn": name, "ttl": 300}
        assert done["record"] == again["record"] == {**shown, "values": ['0 issue "ca.example.net"']}
        assert "CAA @: none" in done["diff"]["before"]
        assert sorted(host(ddnsd, name)["records"]) == ["@ MX", "@ TXT"]  # type: ignore[call-overload]
        none = ansible.task("ddns_host", way, name=name, records={})
        assert none["changed"]
        assert (ddnsd.dig(name, "TXT"), ddnsd.dig(name)) == ([], ["192.0.2.1"])

    def test_an_alias_several_addresses_and_related_names(
        self, ansible: Ansible, ddnsd: Service, name: str, way: dict[str, bool]
    ) -> None:
        several = {"name": name, "ipv4": ["192.0.2.2", "192.0.2.1"], "ipv6": "2001:db8::1", "related": {"nas": "::7"}}
        alias = {"name": name, "alias": "front.example.net."}
        bare = {"name": name, "alias": "none"}
        made, again, renamed, same, none = ansible.tasks(
            "ddns_host", several, several, alias, alias, bare, variables=way
        )
        assert [one["changed"] for one in (made, again, renamed, same, none)] == [True, False, True, False, True]
        assert made["host"]["ipv4"] == ["192.0.2.1", "192.0.2.2"]
        assert made["host"]["related"] == {"nas": "::7"}
        assert "related nas: ::7" in renamed["diff"]["before"]
        assert (renamed["host"]["alias"], renamed["host"]["related"]) == ("front.example.net.", {})
        assert none["host"]["alias"] is None
        assert ddnsd.dig(f"nas.{name}", "AAAA") == []

    def test_a_value_that_is_refused_changes_nothing(self, ansible: Ansible, ddnsd: Service, name: str) -> None:
        bad: dict[str, Any] = {"host": name, "type": "MX", "values": ["10 relative"]}
        assert "is not registered" in ansible.task("ddns_record", **bad, fails=True)["msg"]
        ansible.task("ddns_host", name=name)
        assert "relative is not a full name" in ansible.task("ddns_record", **bad, fails=True)["msg"]
        assert "values" in ansible.task("ddns_record", host=name, type="MX", fails=True)["msg"]
        assert host(ddnsd, name)["records"] == {}


class TestHost:
    def test_what_is_not_given_is_left_alone(self, ansible: Ansible, ddnsd: Service, name: str) -> None:
        given = {"ipv4": "192.0.2.1", "comment": "c", "ttl": 300, "labels": {"a": 1}, "wildcard": True}
        _, result = ansible.tasks("ddns_host", {"name": name, **given}, {"name": name, "ipv6": "2001:db8::1"})
        assert result["changed"]
        assert "secret" not in result
        kept = {"ipv4": "192.0.2.1", "comment": "c", "ttl": 300, "labels": {"a": "1"}, "wildcard": True}
        assert kept.items() <= result["host"].items()
        assert kept.items() <= host(ddnsd, name).items()
        assert ddnsd.dig(f"x.{name}", "AAAA") == ["2001:db8::1"]

    def test_a_warning_of_the_service_is_shown(
        self, ansible: Ansible, ddnsd: Service, name: str, way: dict[str, bool]
    ) -> None:
        ansible.task("ddns_host", way, name=name, ipv4="192.0.2.1", wildcard=True)
        below = {"name": f"c.b.{name}", "ipv4": "192.0.2.2"}
        made, again = ansible.tasks("ddns_host", below, below, variables=way)
        text = (
            f"The wildcard *.{name} does not answer for b.{name} and names below it, because c.b.{name} is registered"
        )
        assert [text in str(result.get("warnings")) for result in (made, again)] == [True, False]
        hosts = {f"c.b{number:02}.{name}": {"ipv4": "192.0.2.2"} for number in range(12)}
        bulk = ansible.task("ddns_sync", way, declaration={"stack": name.partition(".")[0], "hosts": hosts})
        _unsaved, first, *_ = bulk["warnings"]
        assert f"does not answer for b00.{name} and names below it" in first
        assert bulk["warnings"][11:] == ["and 2 more warnings of the server"]

    def test_a_secret_goes_to_its_file(
        self, ansible: Ansible, ddnsd: Service, name: str, way: dict[str, bool], tmp_path: Path
    ) -> None:
        given = {"name": name, "ipv4": "dynamic", "secret": {"file": str(tmp_path / "s")}}
        absent = {"name": name, "state": "absent"}
        sent = given | {"secret": {"exec": ["cp", "/dev/stdin", str(tmp_path / "{name}")]}}
        made, again, _, refused, _ = ansible.tasks(
            "ddns_host", given, given, absent, given, sent, variables=way, fails=[3]
        )
        by_command = (tmp_path / name.partition(".")[0]).read_text()
        ansible.task("ddns_secret", name=name, secret=by_command)
        ansible.task("ddns_host", name=name, state="absent")
        secret = (tmp_path / "s").read_text().strip()
        assert [made["changed"], again["changed"]] == [True, False]
        assert not [result for result in (made, again) if secret in json.dumps(result)]
        assert f"file {tmp_path}/s" in made["diff"]["after"]
        assert "the file for its secret exists" in refused["msg"]
        assert ddnsd.get(f"/api/hosts/{name}", ddnsd.admin_token).status_code == 404

    def test_a_secret_that_is_not_stored_is_told_if_a_machine_needs_it(
        self, ansible: Ansible, name: str, way: dict[str, bool]
    ) -> None:
        static, dynamic = {"name": name, "ipv4": "192.0.2.1"}, {"name": f"d-{name}", "ipv4": "dynamic"}
        first, second = ansible.tasks("ddns_host", static, dynamic, variables=way)
        assert not [result for result in (first, second) if "secret" in result]
        assert "warnings" not in first
        assert f"d-{name}: the new secret is not stored anywhere" in str(second["warnings"])
        refused = ansible.task("ddns_secret", way, name=name, fails=True)["msg"]
        assert "would not be stored anywhere, so nothing has been changed" in refused

    def test_a_check_tells_what_the_service_would_refuse_and_what_goes_with_a_host(
        self, ansible: Ansible, ddnsd: Service, name: str, way: dict[str, bool]
    ) -> None:
        wpad = {"name": "t", "fedcloud.ddns.ddns_host": {"name": f"wpad.{ddnsd.domain}"}, "vars": way}
        (refused,) = ansible.play([wpad | {"ignore_errors": True}], None, "--check")
        assert refused["status"] == "failed"
        assert f"create wpad.{ddnsd.domain}: " in refused["msg"]
        ansible.task("ddns_host", name=name, ipv4="192.0.2.1")
        content = {"values": [f"10 {name}."]}
        path = f"/api/hosts/{name}/records/@/MX"
        assert ddnsd.request("PUT", path, ddnsd.admin_token, json=content).status_code == 200
        absent = ansible.task("ddns_host", way, name=name, state="absent")
        assert f"also removed: MX {name}" in absent["diff"]["before"]

    def test_words_remove_values(self, ansible: Ansible, ddnsd: Service, name: str) -> None:
        given = {"name": name, "ipv4": "192.0.2.1", "comment": "c", "ttl": 300, "labels": {"a": "b"}}
        blank = {"name": name, "ipv4": "none", "comment": "", "ttl": 0, "labels": {}}
        results = ansible.tasks("ddns_host", given, blank, blank)
        assert [result["changed"] for result in results] == [True, True, False]
        wanted: dict[str, object] = {"ipv4": None, "comment": None, "ttl": None, "labels": {}}
        assert wanted.items() <= host(ddnsd, name).items()
        assert ddnsd.dig(name) == []

    def test_flags_are_set_and_taken_away(self, ansible: Ansible, ddnsd: Service, name: str) -> None:
        flags = {"protect": True, "ptr": True}
        made, kept, off = ansible.tasks(
            "ddns_host", {"name": name, **flags}, {"name": name}, {"name": name, "protect": False, "ptr": False}
        )
        assert [made["changed"], kept["changed"], off["changed"]] == [True, False, True]
        assert flags.items() <= kept["host"].items()
        assert {"protect": False, "ptr": False}.items() <= host(ddnsd, name).items()

    def test_a_dynamic_address_is_never_a_difference(self, ansible: Ansible, ddnsd: Service, name: str) -> None:
        secret = ansible.task("ddns_host", name=name, ipv4="dynamic", return_secrets=True)["secret"]
        assert ddnsd.dig(name) == []
        answer = ddnsd.get("/nic/update", params={"myip": "192.0.2.9"}, auth=(name, secret))
        assert answer.text == "good 192.0.2.9"
        assert not ansible.task("ddns_host", name=name, ipv4="dynamic")["changed"]
        assert ddnsd.dig(name) == ["192.0.2.9"]

    def test_a_host_of_another_stack_is_not_taken(self, ansible: Ansible, ddnsd: Service, name: str) -> None:
        one, two = {"name": name, "stack": "one"}, {"name": name, "stack": "two"}
        _, moved, removed = ansible.tasks(
            "ddns_host",
            {**one, "ipv4": "192.0.2.1"},
            {**two, "ipv4": "192.0.2.2"},
            {**two, "state": "absent"},
            fails=[1, 2],
        )
        for failed, said in ((moved, "belongs to stack one"), (removed, "do not belong to stack two")):
            assert name in failed["msg"]
            assert said in failed["msg"]
        assert host(ddnsd, name)["ipv4"] == "192.0.2.1"
        refused = ansible.task("ddns_host", name=name, stack="two", adopt=True, fails=True)
        assert "does not give it to two" in refused["msg"]
        gives = {"gives": {name: "two"}}
        assert ddnsd.request("PATCH", "/api/stacks/one", ddnsd.admin_token, json=gives).status_code == 200
        taken, gone = ansible.tasks("ddns_host", {**two, "adopt": True}, {**two, "state": "absent"})
        assert (taken["changed"], taken["host"]["stack"], gone["changed"]) == (True, "two", True)

    def test_a_host_of_another_user_is_left_alone(
        self, ansible: Ansible, ddnsd: Service, name: str, way: dict[str, bool]
    ) -> None:
        """The token is an administrator's, and sees everybody's."""
        user = name.partition(".")[0]
        token = ddnsd.user(user)
        body = {"fqdn": name, "ipv4": "192.0.2.66", "stack": "one"}
        secret = ddnsd.request("POST", "/api/hosts", token, json=body).json()["secret"]
        tries = ({"ipv4": "192.0.2.1"}, {"stack": "one"}, {"stack": "one", "adopt": True}, {"state": "absent"})
        failed = ansible.tasks("ddns_host", *({"name": name, **t} for t in tries), variables=way, fails=range(4))
        failed += ansible.tasks("ddns_secret", {"name": name, "state": "rotated"}, variables=way, fails=[0])
        declared = {"stack": "one", "hosts": {name: {"adopt": True}}}
        failed += ansible.tasks("ddns_sync", {"declaration": declared}, variables=way, fails=[0])
        for result in failed:
            assert name in result["msg"]
            assert f"use a token of {user}, or ask an administrator to change the owner" in result["msg"]
        pruned = ansible.task("ddns_sync", way, declaration={"stack": "one"}, prune=True, max_deletes="all")
        gone = ansible.task("ddns_sync", way, declaration={"stack": "one"}, state="absent")
        assert (pruned["changed"], gone["changed"]) == (False, False)
        assert f"{name} ({user})" in str(pruned["warnings"])
        answer = ddnsd.get("/nic/update", params={"myip": "192.0.2.66"}, auth=(name, secret))
        assert answer.text == "nochg 192.0.2.66"
        ansible.api_token = token
        assert ansible.task("ddns_host", way, name=name, stack="one", state="absent")["changed"]

    def test_a_host_is_taken_over_from_the_named_user(
        self, ansible: Ansible, ddnsd: Service, name: str, way: dict[str, bool]
    ) -> None:
        user = name.partition(".")[0]
        body = {"fqdn": name, "ipv4": "192.0.2.66"}
        former = ddnsd.request("POST", "/api/hosts", ddnsd.user(user), json=body).json()["secret"]
        options = {"name": name, "adopt_from": user, "return_secrets": True}
        (taken, again) = ansible.tasks("ddns_host", options, options, variables=way)
        assert (taken["changed"], taken["host"]["owner"], again["changed"]) == (True, "admin", False)
        for secret, said in ((former, "badauth"), (taken["secret"], "nochg 192.0.2.66")):
            assert ddnsd.get("/nic/update", params={"myip": "192.0.2.66"}, auth=(name, secret)).text == said

    def test_bad_options_are_named_and_change_nothing(
        self, ansible: Ansible, ddnsd: Service, name: str, way: dict[str, bool]
    ) -> None:
        bad = ({"ipv4": "2001:db8::1", "ttl": 99999999, "labels": {"a": [1]}}, {"ipv5": "x"}, {"state": "gone"})
        failed = ansible.tasks("ddns_host", *({"name": name, **b} for b in bad), variables=way, fails=range(3))
        values, option, choice = (str(result["msg"]) for result in failed)
        assert all(f"{field}: " in values for field in ("ipv4", "ttl", "labels")), values
        assert option.startswith("Unsupported parameters for (fedcloud.ddns.ddns_host) module: ipv5.")
        assert "value of state must be one of: present, absent" in choice
        assert ddnsd.get(f"/api/hosts/{name}", ddnsd.admin_token).status_code == 404

    def test_a_service_that_cannot_be_asked_is_an_error(
        self, ansible: Ansible, name: str, way: dict[str, bool]
    ) -> None:
        nowhere = f"http://127.0.0.1:{free_port()}"
        options = ({"api_url": nowhere}, {"api_token": "ddns_wrong"})
        failed = ansible.tasks("ddns_host", *({"name": name, **o} for o in options), variables=way, fails=range(2))
        refused, unknown = (str(result["msg"]) for result in failed)
        assert refused == f"{nowhere} does not answer: connection refused. Check `api_url` and that the service runs."
        assert "does not accept the token" in unknown
        assert "ddns_wrong" not in unknown


class TestOptions:
    def test_the_environment_says_where_and_who(
        self, ansible: Ansible, ddnsd: Service, name: str, way: dict[str, bool]
    ) -> None:
        ansible.api_url = ansible.api_token = ""
        ansible.settings |= {"DDNS_SERVER": ddnsd.url, "DDNS_TOKEN": ddnsd.admin_token}
        assert ansible.task("ddns_host", way, name=name)["changed"]
        ansible.settings = {}
        there = {"DDNS_SERVER": ddnsd.url, "DDNS_TOKEN": ddnsd.admin_token}
        task = {"name": "t", "fedcloud.ddns.ddns_host": {"name": name}, "environment": there}
        (result,) = ansible.play([task], way)
        assert not result["changed"]
        assert "api_token, api_url" in ansible.task("ddns_host", way, name=name, fails=True)["msg"]

    def test_the_token_is_in_no_result(self, ansible: Ansible, ddnsd: Service, name: str, way: dict[str, bool]) -> None:
        tasks = [
            {"name": "t", "fedcloud.ddns.ddns_host": options, "ignore_errors": True}
            for options in ({"name": name}, {"name": name, "ipv4": "bad"})
        ]
        results = ansible.play(tasks, way, "-vvvv")
        assert [result["status"] for result in results] == ["ok", "failed"]
        assert ddnsd.admin_token not in json.dumps(results)

    def test_an_asynchronous_task_runs_as_a_module(self, ansible: Ansible, name: str) -> None:
        ansible.settings["ANSIBLE_ASYNC_DIR"] = str(ansible.folder / "async")
        (result,) = ansible.play([{"name": "t", "fedcloud.ddns.ddns_host": {"name": name}, "async": 60, "poll": 1}])
        assert result["changed"]
        assert result["host"]["fqdn"] == name


def test_a_loop_asks_once_what_the_service_is(ansible: Ansible, ddnsd: Service) -> None:
    with http_proxy(ddnsd) as proxy:
        ansible.api_url = proxy.url
        names = [f"loop-{number}.{ddnsd.domain}" for number in range(5)]
        task = {
            "name": "t",
            "fedcloud.ddns.ddns_host": {"name": "{{ item }}", "ipv4": "192.0.2.1"},
            "loop": names,
        }
        first, again = ansible.play([task, task])
        assert [item["changed"] for item in first["results"]] == [True] * 5
        assert [item["changed"] for item in again["results"]] == [False] * 5
        assert proxy.paths.count("/api/") == 2


class TestSecret:
    def test_a_secret_that_works_is_kept(self, ansible: Ansible, ddnsd: Service, name: str) -> None:
        secret = ansible.task("ddns_host", name=name, return_secrets=True)["secret"]
        kept, made = ansible.tasks(
            "ddns_secret", *({"name": name, "secret": given, "return_secrets": True} for given in (secret, "wrong"))
        )
        assert not kept["changed"]
        assert secret not in json.dumps(kept)
        assert made["changed"]
        assert made["secret"] != secret
        assert ddnsd.get("/nic/update", auth=(name, secret)).status_code == 401
        assert ddnsd.get("/nic/update", auth=(name, made["secret"])).status_code == 200

    def test_the_file_has_it_and_nothing_else_does(
        self, ansible: Ansible, ddnsd: Service, name: str, way: dict[str, bool], tmp_path: Path
    ) -> None:
        file = tmp_path / "secret"
        ansible.task("ddns_host", name=name, ipv4="192.0.2.1")
        asked = (f"'ansible.builtin.file', '{file}'", f"'ansible.builtin.pipe', 'stat -c %a {file}'")
        look = {"name": "look", "ansible.builtin.debug": {"msg": [f"{{{{ lookup({what}) }}}}" for what in asked]}}
        tasks = []
        for options in ({}, {}, {"state": "rotated"}):
            tasks += [{"name": "t", "fedcloud.ddns.ddns_secret": {"name": name, "path": str(file), **options}}, look]
        results = ansible.play(tasks, way, "--diff")
        (a, *modes), (b, *more), (c, *most) = (result["msg"] for result in results[1::2])
        assert [str(mode) for mode in (*modes, *more, *most)] == ["600"] * 3
        assert [result["changed"] for result in results[::2]] == [True, False, True]
        assert not [secret for secret in (a, b, c) if secret in json.dumps(results[::2])]
        assert a == b != c
        assert ddnsd.get("/nic/update", auth=(name, c)).status_code == 200

    def test_a_secret_that_is_given_goes_to_the_file(self, ansible: Ansible, name: str, tmp_path: Path) -> None:
        secret = ansible.task("ddns_host", name=name, return_secrets=True)["secret"]
        options = {"name": name, "secret": secret, "path": str(tmp_path / "secret")}
        assert [result["changed"] for result in ansible.tasks("ddns_secret", options, options)] == [True, False]
        assert (tmp_path / "secret").read_text() == secret + "\n"

    def test_nothing_is_made_where_it_could_not_be_kept(
        self, ansible: Ansible, ddnsd: Service, name: str, tmp_path: Path
    ) -> None:
        secret = ansible.task("ddns_host", name=name, return_secrets=True)["secret"]
        failed = ansible.task("ddns_secret", name=name, path=str(tmp_path / "no" / "secret"), fails=True)
        assert failed["msg"].startswith(f"path: {tmp_path}/no")
        assert ddnsd.get("/nic/update", auth=(name, secret)).status_code == 200

    def test_a_host_that_is_not_there(self, ansible: Ansible, name: str) -> None:
        task = {"name": "t", "fedcloud.ddns.ddns_secret": {"name": name, "return_secrets": True}}
        failed, checked = ansible.play([{**task, "ignore_errors": True}, {**task, "check_mode": True}])
        assert failed["status"] == "failed"
        assert failed["msg"].startswith(f"{name} is not registered")
        assert checked["changed"]


def declaration(stack: str, **hosts: object) -> dict[str, object]:
    return {"stack": stack, "defaults": {"domain": "dyn.example.org"}, "hosts": hosts}


class TestSync:
    def test_a_file_is_read_here_and_what_is_wrong_with_it_has_a_place(
        self, ansible: Ansible, ddnsd: Service, way: dict[str, bool]
    ) -> None:
        (ansible.folder / "bad.yml").write_text("version: 1\nhosts:\n  f.dyn.example.org:\n    ipv4: 192.0.2.1000\n")
        (ansible.folder / "worse.yml").write_text("version: 1\nhosts: [\n")
        files = ({"src": f"{name}.yml"} for name in ("bad", "worse", "nowhere"))
        bad, worse, nowhere = (r["msg"] for r in ansible.tasks("ddns_sync", *files, variables=way, fails=range(3)))
        assert "hosts.f.dyn.example.org.ipv4: '192.0.2.1000' is not an IPv4 address" in bad
        assert bad.startswith("bad.yml:4:5: ")
        assert "worse.yml:3:1: is not valid YAML" in worse
        assert "nowhere.yml" in nowhere

    def test_a_declaration_is_composed_here(self, ansible: Ansible, way: dict[str, bool], name: str) -> None:
        label = name.partition(".")[0]
        (ansible.folder / "parts").mkdir()
        host = '{ipv4: "${net}.${n}", secret: {file: "s-${n}"}}'
        hosts = f'hosts: {{"{label}-[1..2].dyn.example.org": {host}}}'
        (ansible.folder / "parts" / "c.yml").write_text(f"version: 1\n{hosts}\n")
        text = f"version: 1\nstack: {label}\ninclude: parts/c.yml\nenvironments: {{prod: {{net: 192.0.2}}}}\n"
        (ansible.folder / "c.yml").write_text(text)
        inline = {"stack": label, "include": "parts/c.yml", "vars": {"net": "192.0.2"}}
        unset, absolute, again, changed, wrong = ansible.tasks(
            "ddns_sync",
            {"src": "c.yml", "env": "prd"},
            {"src": "c.yml", "env": "prod", "secret_dir": str(ansible.folder / "secrets"), "vars": {"net": "10.0.0"}},
            {"src": "c.yml", "env": "prod", "vars": {"net": "10.0.0"}},
            {"declaration": inline},
            {"declaration": inline, "vars": {"net": "x", "nett": "y"}},
            variables=way | {"ansible_check_mode": False},
            fails=[0, 4] + ([] if way["ddns_in_process"] else [1, 2, 3]),
        )
        assert "env prd: no declaration has this environment (did you mean prod?)" in unset["msg"]
        assert "vars nett: no declaration has this variable" in wrong["msg"]
        if not way["ddns_in_process"]:  # secrets in files of another machine need absolute paths
            assert "parts/s-1" in absolute["msg"]
            return
        assert [change["after"]["ipv4"] for change in absolute["changes"]] == ["10.0.0.1", "10.0.0.2"]
        assert (ansible.folder / "parts" / "s-1").exists()
        assert not again["changed"]
        assert [change["after"]["ipv4"] for change in changed["changes"]] == ["192.0.2.1", "192.0.2.2"]

    def test_a_file_may_be_encrypted(self, ansible: Ansible, way: dict[str, bool], name: str) -> None:
        (ansible.folder / "password").write_text("p")
        (ansible.folder / "v.yml").write_text(f"version: 1\nstack: vaulted\nhosts: {{{name}: {{ipv4: 192.0.2.1}}}}\n")
        ansible.run("ansible-vault", "encrypt", "--vault-password-file", "password", "v.yml")
        ansible.settings["ANSIBLE_VAULT_PASSWORD_FILE"] = str(ansible.folder / "password")
        first, again = ansible.tasks("ddns_sync", {"src": "v.yml"}, {"src": "v.yml"}, variables=way)
        assert first["counts"]["add"] == 1
        assert not again["changed"]

    def test_only_what_is_pruned_is_removed_and_not_too_much(self, ansible: Ansible, ddnsd: Service) -> None:
        stack = "prune"
        names = [f"{stack}-{number}" for number in range(4)]
        everything = declaration(stack, **{name: {"ipv4": "192.0.2.1"} for name in names})
        less = declaration(stack, **{names[0]: {"ipv4": "192.0.2.1"}})
        first, kept, refused = ansible.tasks(
            "ddns_sync",
            {"declaration": everything, "return_secrets": True},
            {"declaration": less},
            {"declaration": less, "prune": True},
            fails=[2],
        )
        assert first["counts"]["add"] == 4
        assert sorted(first["secrets"]) == [f"{name}.dyn.example.org" for name in names]
        assert [change["status"] for change in first["changes"]] == ["applied"] * 4
        assert not kept["changed"]
        assert "3" in " ".join(kept["warnings"])
        assert refused["hosts"] == [f"{name}.dyn.example.org" for name in names[1:]]
        assert len(ddnsd.get(f"/api/hosts?stack={stack}", ddnsd.admin_token).json()["items"]) == 4
        absent = {"declaration": {"stack": stack}, "state": "absent"}
        done, gone, again = ansible.tasks(
            "ddns_sync", {"declaration": less, "prune": True, "max_deletes": "all"}, absent, absent
        )
        assert done["counts"]["delete"] == 3
        assert gone["counts"]["delete"] == 1
        assert not again["changed"]

    def test_only_one_run_at_a_time_applies_a_stack(
        self, ansible: Ansible, ddnsd: Service, name: str, way: dict[str, bool]
    ) -> None:
        stack = name.replace(".", "-")
        declared = {"stack": stack, "hosts": {name: {"ipv4": "192.0.2.1"}}}
        path = f"/api/stacks/{stack}/lease"
        taken = ddnsd.request("POST", path, ddnsd.admin_token, json={"note": "job 4711"})
        own = {"Stack-Lease": taken.json()["id"]}
        refused = ansible.task("ddns_sync", way, declaration=declared, fails=True)["msg"]
        assert f"{stack} is being applied by " in refused
        assert "(job 4711) since" in refused
        assert "Set `wait` to wait for it." in refused
        end = threading.Timer(2, lambda: ddnsd.request("DELETE", path, ddnsd.admin_token, headers=own))
        end.start()
        result = ansible.task("ddns_sync", way, declaration=declared, wait=60)
        end.join()
        assert result["changed"]
        found = ddnsd.get(f"/api/stacks/{stack}", ddnsd.admin_token).json()
        assert found["lease"] is None
        assert "(process " in found["last_apply"]["by"]

    def test_what_would_be_refused_is_told_at_once_and_nothing_is_done(
        self, ansible: Ansible, ddnsd: Service, name: str, way: dict[str, bool], tmp_path: Path
    ) -> None:
        ddnsd.add_record(f"taken-{name}.", "A", "192.0.2.77")
        (tmp_path / "s").write_text("old")
        hosts = {
            f"taken-{name}": {"ipv4": "192.0.2.1"},
            f"free-{name}": {"ipv4": "192.0.2.2"},
            f"file-{name}": {"secret": {"file": str(tmp_path / "s")}},
            f"wpad.{ddnsd.domain}": {},
        }
        task = {
            "name": "t",
            "fedcloud.ddns.ddns_sync": {"declaration": declaration("partly", **hosts)},
            "vars": way,
            "ignore_errors": True,
        }
        failed = [*ansible.play([task], None, "--check", "--diff"), *ansible.play([task])]
        for result in failed:
            assert (result["status"], result["changed"], result["counts"]["add"]) == ("failed", False, 4)
            for refused in (
                f"create taken-{name}: ",
                f"file-{name} is new, but the file",
                f"create wpad.{ddnsd.domain}",
            ):
                assert refused in result["msg"]
            assert f"free-{name}" not in result["msg"]
            assert f"free-{name}" in result["diff"]["after"]
        assert ddnsd.dig(f"free-{name}") == []

    def test_secrets_are_encrypted_on_the_controller(self, ansible: Ansible, name: str, tmp_path: Path) -> None:
        declared = declaration("vault", **{name: {"secret": {"vault": str(tmp_path / "v")}}})
        refused = ansible.task("ddns_sync", declaration=declared, fails=True)["msg"]
        assert "--vault-password-file" in refused
        (ansible.folder / "password").write_text("p")
        ansible.settings["ANSIBLE_VAULT_PASSWORD_FILE"] = str(ansible.folder / "password")
        assert (
            "only the controller"
            in ansible.task("ddns_sync", {"ddns_in_process": False}, declaration=declared, fails=True)["msg"]
        )
        assert ansible.task("ddns_sync", declaration=declared)["changed"]
        assert (tmp_path / "v").read_text().startswith("$ANSIBLE_VAULT")
        secret = ansible.run("ansible-vault", "view", str(tmp_path / "v")).stdout.strip()
        assert not ansible.task("ddns_secret", name=name, secret=secret)["changed"]

    def test_secrets_go_to_their_files(self, ansible: Ansible, tmp_path: Path) -> None:
        stack = "files"
        command = ["tee", str(tmp_path / "{fqdn}")]
        hosts = {
            f"{stack}-own": {"secret": {"file": str(tmp_path / "own")}},
            f"{stack}-other": {},
            f"{stack}-command": {"secret": {"exec": command}},
        }
        folder = tmp_path / "new" / "folder"
        result = ansible.task("ddns_sync", declaration=declaration(stack, **hosts), secret_dir=str(folder))
        given = (tmp_path / f"{stack}-command.dyn.example.org").read_text()
        assert given == given.strip()
        written = [(tmp_path / "own").read_text(), (folder / f"{stack}-other.dyn.example.org").read_text(), given]
        assert "secrets" not in result
        assert not [secret for secret in written if secret.strip() in json.dumps(result)]
        rotated = ansible.task(
            "ddns_sync", declaration=declaration(stack, **hosts), rotate=[f"{stack}-own.dyn.example.org"]
        )
        assert rotated["counts"]["rotate"] == 1
        assert (tmp_path / "own").read_text() not in written

    def test_secrets_are_in_the_result_only_when_asked_for(
        self, ansible: Ansible, ddnsd: Service, way: dict[str, bool], name: str
    ) -> None:
        declared = declaration("unasked", **{name: {"ipv4": "192.0.2.1"}, f"b-{name}": {"ipv4": "192.0.2.2"}})
        ask = {"rotate": [name], "return_secrets": True}
        dropped, asked = ansible.tasks(
            "ddns_sync", {"declaration": declared}, {"declaration": declared, **ask}, variables=way
        )
        assert "secrets" not in dropped
        assert f"because no file is named for them: {name}, b-{name}" in str(dropped["warnings"])
        (secret,) = asked["secrets"].values()
        assert ddnsd.get("/nic/update", params={"myip": "192.0.2.1"}, auth=(name, secret)).status_code == 200
        assert secret not in json.dumps([asked["diff"], asked["invocation"], asked["changes"], asked.get("warnings")])
        ansible.task("ddns_sync", way, declaration=declared, state="absent")

    def test_relative_files_start_from_the_file_that_names_them(self, ansible: Ansible) -> None:
        (ansible.folder / "files").mkdir()
        text = "version: 1\nstack: relative\nhosts: {relative.dyn.example.org: {secret: {file: kept/secret}}}\n"
        (ansible.folder / "files" / "d.yml").write_text(text)
        said = ansible.task("ddns_sync", {"ddns_in_process": False}, src="d.yml", fails=True)["msg"]
        assert "kept/secret is relative" in said
        assert ansible.task("ddns_sync", src="d.yml")["changed"]
        assert (ansible.folder / "files" / "kept" / "secret").stat().st_size > 20

    def test_the_collection_s_playbook(self, ansible: Ansible, ddnsd: Service) -> None:
        (ansible.folder / "book.yml").write_text(
            "version: 1\nstack: book\nhosts: {book.dyn.example.org: {ipv4: dynamic}}\n"
        )
        ansible.settings |= {"DDNS_SERVER": ddnsd.url, "DDNS_TOKEN": ddnsd.admin_token}
        options = ("-e", "src=book.yml", "-e", "secret_dir=kept")
        changes = []
        for more in (("--check",), (), ("--check",), ()):
            done = ansible.run("ansible-playbook", "fedcloud.ddns.sync", *options, *more)
            changes.append(json.loads(next(x for x in done.stdout.splitlines() if x.startswith('{"task"')))["result"])
        assert [result["changed"] for result in changes] == [True, True, False, False]
        assert [path.name for path in (ansible.folder / "kept").iterdir()] == ["book.dyn.example.org"]

    def test_the_collection_s_playbook_shows_differences_and_errors_and_no_secret(
        self, ansible: Ansible, ddnsd: Service, tmp_path: Path, name: str
    ) -> None:
        """As a person sees it: with Ansible's own output, and all of it (`-vvv`)."""
        file = tmp_path / "secret"
        text = f"version: 1\nstack: shown\nhosts:\n  {name}: {{ipv4: 192.0.2.1, secret: {{file: {file}}}}}\n"
        (ansible.folder / "shown.yml").write_text(f"{text}  b-{name}: {{ipv4: 192.0.2.2}}\n")
        ansible.settings |= {"ANSIBLE_STDOUT_CALLBACK": "default", "ANSIBLE_NOCOLOR": "1"}
        ansible.settings |= {"DDNS_SERVER": ddnsd.url, "DDNS_TOKEN": ddnsd.admin_token}

        def play(*options: str, fails: bool = False) -> str:
            given = ("fedcloud.ddns.sync", "-e", "src=shown.yml", "--diff", "-vvv", *options)
            done = ansible.run("ansible-playbook", *given, check=False)
            assert (done.returncode != 0) is fails, done.stdout
            assert "censored" not in done.stdout
            return done.stdout + done.stderr

        planned = play("--check")
        assert f"+{name}:" in planned
        assert "+  ipv4: 192.0.2.1" in planned
        assert "new secrets are not saved" in " ".join(planned.split())
        done = play()
        assert f"+{name}:" in done
        assert ddnsd.admin_token not in planned + done
        assert file.read_text().strip() not in done
        ddnsd.add_record(f"taken-{name}.", "A", "192.0.2.77")
        (ansible.folder / "shown.yml").write_text(f"{text}  taken-{name}: {{ipv4: 192.0.2.3}}\n")
        assert f"taken-{name}: " in play("--check", fails=True)
        assert f"taken-{name}: " in play(fails=True)
        (ansible.folder / "shown.yml").write_text(f"{text}  bad-{name}: {{ipv4: 192.0.2.300}}\n")
        assert "'192.0.2.300' is not an IPv4 address" in play("--check", fails=True)


class TestInventory:
    def listed(self, ansible: Ansible, source: str) -> dict[str, dict[str, Any]]:
        (ansible.folder / "ddns.yml").write_text("plugin: fedcloud.ddns.ddns\n" + source)
        text = ansible.run("ansible-inventory", "-i", "ddns.yml", "--list").stdout
        listed: dict[str, dict[str, Any]] = json.loads(text, object_hook=lambda o: o.get("__ansible_unsafe", o))
        return listed

    def test_groups_filters_and_variables(self, ansible: Ansible, ddnsd: Service) -> None:
        hosts = [
            {"name": f"inv-{role}.{ddnsd.domain}", "ipv4": address, "stack": "inv-1", "labels": {"role": role}}
            for role, address in (("web", "192.0.2.1"), ("db", "192.0.2.2"))
        ]
        ansible.tasks("ddns_host", *hosts)
        ansible.settings |= {"DDNS_SERVER": ddnsd.url, "DDNS_TOKEN": ddnsd.admin_token}
        found = self.listed(ansible, "stack: [inv-1]\ncompose: {ansible_host: ddns_ipv4}\n")
        names = [f"inv-{role}.{ddnsd.domain}" for role in ("db", "web")]
        assert found["ddns_domain_dyn_example_org"]["hosts"] == found["ddns_stack_inv_1"]["hosts"] == names
        assert found["ddns_label_role_web"]["hosts"] == [names[1]]
        variables = found["_meta"]["hostvars"][names[1]]
        assert (variables["ansible_host"], variables["ddns_ipv4"], variables["ddns_stack"]) == (
            "192.0.2.1",
            "192.0.2.1",
            "inv-1",
        )
        only = self.listed(ansible, "labels: {role: db}\nstack: [inv-1]\ngroup_by: []\n")
        assert list(only["_meta"]["hostvars"]) == [names[0]]
        assert "ddns_stack_inv_1" not in only

    def test_hosts_of_other_users_are_listed_only_when_asked_for(
        self, ansible: Ansible, ddnsd: Service, name: str
    ) -> None:
        mine, theirs = f"mine-{name}", f"theirs-{name}"
        bob = ddnsd.user(f"bob-{name}")
        for token, fqdn in ((ddnsd.admin_token, mine), (bob, theirs)):
            body = {"fqdn": fqdn, "stack": "shared", "labels": {"role": "shared"}}
            assert ddnsd.request("POST", "/api/hosts", token, json=body).status_code == 201
        ansible.settings |= {"DDNS_SERVER": ddnsd.url, "DDNS_TOKEN": ddnsd.admin_token}
        found = self.listed(ansible, "")
        assert found["ddns_stack_shared"]["hosts"] == found["ddns_label_role_shared"]["hosts"] == [mine]
        assert theirs not in json.dumps(found)
        everybody = self.listed(ansible, "others: true\n")
        assert everybody["ddns_stack_shared"]["hosts"] == [mine, theirs]
        variables = everybody["_meta"]["hostvars"][theirs]
        assert (variables["ddns_own"], variables["ddns_owner"]) == (False, f"bob-{name}")

    def test_nothing_that_users_wrote_is_a_template(self, ansible: Ansible, ddnsd: Service, name: str) -> None:
        evil = "{{ lookup('ansible.builtin.pipe', 'touch " + str(ansible.folder / "evil") + "') }}"
        body = {"fqdn": name, "comment": evil, "labels": {"l": evil}, "stack": "evil"}
        assert ddnsd.request("POST", "/api/hosts", ddnsd.admin_token, json=body).status_code == 201
        ansible.settings |= {"DDNS_SERVER": ddnsd.url, "DDNS_TOKEN": ddnsd.admin_token}
        (ansible.folder / "ddns.yml").write_text(
            "plugin: fedcloud.ddns.ddns\nstack: [evil]\nstrict: true\n"
            "compose: {copy: ddns_comment}\nkeyed_groups: [{key: ddns_labels.l}]\n"
        )
        play = "[{hosts: all, gather_facts: false, tasks: [{debug: {msg: '{{ ddns_comment }}{{ copy }}'}}]}]"
        (ansible.folder / "show.yml").write_text(play)
        done = ansible.run("ansible-playbook", "-i", "ddns.yml", "show.yml")
        assert json.loads(done.stdout.splitlines()[-1])["result"]["msg"] == evil + evil
        assert not (ansible.folder / "evil").exists()

    def test_the_token_may_be_encrypted_or_a_template(self, ansible: Ansible, ddnsd: Service, name: str) -> None:
        assert ddnsd.register(name)
        (ansible.folder / "password").write_text("p")
        options = ("--vault-password-file", "password", "--name", "api_token")
        token = ansible.run("ansible-vault", "encrypt_string", *options, ddnsd.admin_token).stdout
        ansible.settings["ANSIBLE_VAULT_PASSWORD_FILE"] = str(ansible.folder / "password")
        assert name in self.listed(ansible, f"api_url: {ddnsd.url}\n{token}")["_meta"]["hostvars"]
        (ansible.folder / "token").write_text(ddnsd.admin_token)
        template = f"\"{{{{ lookup('ansible.builtin.file', '{ansible.folder}/token') }}}}\""
        assert name in self.listed(ansible, f"api_url: {ddnsd.url}\napi_token: {template}")["_meta"]["hostvars"]

    def test_it_is_cached_until_it_is_asked_to_look_again(self, ansible: Ansible, ddnsd: Service, name: str) -> None:
        ansible.settings |= {"DDNS_SERVER": ddnsd.url, "DDNS_TOKEN": ddnsd.admin_token}
        cache = "cache: true\ncache_plugin: ansible.builtin.jsonfile\ncache_connection: cached\n"
        assert name not in self.listed(ansible, cache)["_meta"]["hostvars"]
        assert ddnsd.register(name)
        assert name not in self.listed(ansible, cache)["_meta"]["hostvars"]
        fresh = ansible.run("ansible-inventory", "-i", "ddns.yml", "--list", "--flush-cache").stdout
        assert name in json.loads(fresh)["_meta"]["hostvars"]

    def test_a_service_that_cannot_be_asked_is_an_error(self, ansible: Ansible) -> None:
        (ansible.folder / "ddns.yml").write_text(
            f"plugin: fedcloud.ddns.ddns\napi_url: http://127.0.0.1:{free_port()}\napi_token: t\n"
        )
        done = ansible.run("ansible-inventory", "-i", "ddns.yml", "--list", check=False)
        assert "connection refused" in done.stderr


def test_a_built_and_installed_collection_works_without_everything_else(
    ddnsd: Service, tmp_path: Path, name: str
) -> None:
    tool = Ansible(tmp_path / "tool", collections=tmp_path / "installed")
    build: list[str | Path] = [
        PROGRAMS / "ansible-galaxy",
        "collection",
        "build",
        REPOSITORY,
        "--output-path",
        tmp_path,
    ]
    subprocess.run(build, env=tool.env, check=True, capture_output=True, timeout=120)
    (tarball,) = tmp_path.glob("fedcloud-ddns-*.tar.gz")
    tool.run("ansible-galaxy", "collection", "install", str(tarball), "-p", str(tmp_path / "installed"))
    root = tmp_path / "installed" / "ansible_collections" / "fedcloud" / "ddns"
    for entry in root.iterdir():
        if entry.name not in ("meta", "plugins", "roles", "playbooks", "MANIFEST.json"):
            subprocess.run(["rm", "-r", entry], check=True)
    ansible = Ansible(tmp_path / "ansible", ddnsd.url, ddnsd.admin_token, tmp_path / "installed")
    for way in (True, False):
        result = ansible.task("ddns_host", {"ddns_in_process": way}, name=name, ipv4="192.0.2.1")
        assert result["changed"] is way
    assert ansible.task("ddns_sync", declaration=declaration("tarball", tarball={}))["changed"]
    assert ansible.run("ansible-doc", "-t", "inventory", "fedcloud.ddns.ddns").stdout
