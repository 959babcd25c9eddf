# SPDX-License-Identifier: GPL-3.0-or-later
"""The EXAMPLES of every module, against a service: in check mode and without, twice, in both ways of running."""

import json
import re
from typing import Any

import pytest
from support.ansible.playbooks import Ansible, Result, Task, examples, four

HOSTS = """\
version: 1
stack: file
defaults: {domain: dyn.example.org}
hosts:
  one: {ipv4: 192.0.2.1, ipv6: 2001:db8::1}
  two: {ipv4: dynamic, comment: From a file}
"""
ENVIRONMENTS = """\
version: 1
stack: environments
defaults: {domain: dyn.example.org}
environments:
  prod: {label: three, net: 192.0.2}
hosts:
  "${label}": {ipv4: "${net}.3"}
"""
SERVERS = """\
version: 1
stack: servers
defaults: {domain: dyn.example.org}
hosts: {web-1: {ipv4: 192.0.2.5}, db: {ipv4: 192.0.2.6}}
"""
FOLDER = """\
version: 1
stack: folder
hosts: {four.dyn.example.org: {ipv4: 192.0.2.4}}
"""
BEFORE: dict[str, list[Task]] = {
    "ddns_key": [
        {"name": "before", "fedcloud.ddns.ddns_host": {"name": f"{label}.dyn.example.org"}} for label in ("cam", "nas")
    ],
    "ddns_secret": [
        {"name": "before", "fedcloud.ddns.ddns_host": {"name": "www.dyn.example.org", "ipv4": "192.0.2.1"}},
    ],
}
AFTER: dict[str, list[Task]] = {
    "ddns_host": [
        {"name": "after", "fedcloud.ddns.ddns_host": {"name": f"{label}.dyn.example.org", "state": "absent"}}
        for label in ("front", "shop", "cam")
    ],
    "ddns_key": [
        {"name": "after", "fedcloud.ddns.ddns_host": {"name": f"{label}.dyn.example.org", "state": "absent"}}
        for label in ("cam", "nas")
    ],
    "ddns_record": [
        {"name": "after", "fedcloud.ddns.ddns_host": {"name": "mail.dyn.example.org", "state": "absent"}},
    ],
    "ddns_secret": [
        {"name": "after", "fedcloud.ddns.ddns_host": {"name": "www.dyn.example.org", "state": "absent"}},
    ],
    "ddns_sync": [
        {"name": "after", "fedcloud.ddns.ddns_sync": {"declaration": {"stack": stack}, "state": "absent"}}
        for stack in ("file", "environments", "folder", "servers")
    ],
}
POSITION = re.compile(r"\b\w+\.yml:\d+:\d+: ")
VOLATILE = (
    "created",
    "login",
    "id",
    "updated_ipv4",
    "updated_ipv6",
    "tls_ipv4",
    "tls_ipv6",
    "src",
    "declaration",
    "env",
    "vars",
)


def run(ansible: Ansible, module: str) -> tuple[list[Result], list[Result]]:
    """The examples' results in the controller's process and as modules, four of each; nothing is left registered."""
    tasks: list[Task] = []
    for in_process in (True, False):
        (ansible.folder / f"secrets-{in_process}").mkdir()
        text = json.dumps(examples(module)).replace("/etc/ddns", f"{ansible.folder}/secrets-{in_process}")
        given = json.loads(text)
        assert not [task for task in given if "no_log" in task]
        way = {"vars": {"ddns_in_process": in_process}}
        tasks += [*BEFORE.get(module, []), *(way | task for task in four(given)), *AFTER.get(module, [])]
    text = json.dumps([result for result in ansible.play(tasks) if result["task"][-1].isdigit()])
    for in_process in (True, False):
        text = text.replace(f"{ansible.folder}/secrets-{in_process}", "/etc/ddns")
    results: list[Result] = json.loads(text)
    return results[: len(results) // 2], results[len(results) // 2 :]


def check_rounds(results: list[Result]) -> None:
    """Each changes something in its first round, and nothing in the second; with equal differences."""
    assert len(results) >= 8
    for start in range(0, len(results), 4):
        checked, done, checked_again, again = results[start : start + 4]
        twice = done["invocation"]["module_args"].get("state") == "rotated"
        found = [r["changed"] for r in (checked, done, checked_again, again)]
        assert found == [True, True, twice, twice], done["task"]
        assert checked["diff"] == done["diff"]
        assert checked_again["diff"] == again["diff"]
        assert (done["diff"] != again["diff"]) is not twice, done["task"]


def without_chance(result: Any) -> Any:
    """The result without times and secrets, and without what a module never sees: `src`, `env`, `vars`, positions."""
    if isinstance(result, dict):
        kept = {key: without_chance(value) for key, value in result.items() if key not in VOLATILE}
        return {key: "…" if key == "secret" and isinstance(value, str) else value for key, value in kept.items()}
    if isinstance(result, str):
        return POSITION.sub("", result)
    return [without_chance(item) for item in result] if isinstance(result, list) else result


def secrets_of(results: list[Result]) -> list[str]:
    """Every secret that was returned; it is replaced in the result."""
    found = [result["secret"] for result in results if "secret" in result]
    for result in results:
        found += result.get("secrets", {}).values()
        result["secrets"] = sorted(result.get("secrets", {}))
    return found


OFTEN = ("ddns_host", "ddns_record", "ddns_sync")
SELDOM = ("ddns_domain", "ddns_key", "ddns_secret", "ddns_token", "ddns_user")


@pytest.mark.parametrize("module", [*OFTEN, *(pytest.param(name, marks=pytest.mark.long) for name in SELDOM)])
def test_each_changes_something_and_then_nothing_alike_in_both_ways(ansible: Ansible, module: str) -> None:
    (ansible.folder / "files").mkdir()
    (ansible.folder / "files" / "hosts.yml").write_text(HOSTS)
    (ansible.folder / "files" / "environments.yml").write_text(ENVIRONMENTS)
    (ansible.folder / "files" / "servers.yml").write_text(SERVERS)
    (ansible.folder / "files" / "dns").mkdir()
    (ansible.folder / "files" / "dns" / "four.yml").write_text(FOLDER)
    here, there = run(ansible, module)
    check_rounds(here)
    check_rounds(there)
    made = secrets_of(here) + secrets_of(there)
    assert made == []
    assert without_chance(here) == without_chance(there)
