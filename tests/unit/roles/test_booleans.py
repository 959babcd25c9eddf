# SPDX-License-Identifier: GPL-3.0-or-later
"""`-e NAME=true` gives a role a text. Every condition, variable and template has the same result as with a boolean."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.ansible.playbooks import Ansible

ROLES = Path(__file__).parents[3] / "roles"

REGISTERED = {
    "changed": False,
    "rc": 0,
    "stdout": "",
    "stderr": "",
    "stdout_lines": [],
    "stat": {"exists": False},
    "results": [],
}
"""What a task registered."""


def load(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def booleans(role: str) -> list[str]:
    """The roles' variables with the type `bool`."""
    specs = load(ROLES / role / "meta" / "argument_specs.yml")["argument_specs"].values()
    return sorted({name for spec in specs for name, one in spec["options"].items() if one.get("type") == "bool"})


def every_task(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from every_task(task.get(part, []))


def tasks_of(role: str) -> list[dict[str, Any]]:
    files = [*sorted((ROLES / role / "tasks").glob("*.yml")), ROLES / role / "handlers" / "main.yml"]
    return [task for file in files for task in every_task(load(file) or [])]


def conditions(role: str) -> list[Any]:
    """Each `when` of the role, and each `that` of its checks."""
    found = [task["when"] for task in tasks_of(role) if "when" in task]
    checks = [task["ansible.builtin.assert"]["that"] for task in tasks_of(role) if "ansible.builtin.assert" in task]
    return found + checks


Outcome = tuple[str, str, str]
"""Of a condition, a variable or a template: its task, status and text."""


def evaluated(folder: Path, role: str, *given: str) -> list[Outcome]:
    """What all of the role is with the values `given` by `-e`."""
    names = [*load(ROLES / role / "vars" / "main.yml"), *load(ROLES / role / "defaults" / "main.yml")]
    names = [name for name in names if name not in booleans(role)]
    texts = {name: f"{{{{ {name} }}}}" for name in names}
    for template in sorted((ROLES / role / "templates").iterdir()):
        texts[template.name] = f"{{{{ lookup('ansible.builtin.template', '{template}') }}}}"
    tasks: list[dict[str, Any]] = [
        {"name": f"{n}: {condition}", "ansible.builtin.debug": {"msg": "yes"}, "when": condition}
        for n, condition in enumerate(conditions(role))
    ]
    tasks += [{"name": name, "ansible.builtin.debug": {"msg": text}} for name, text in texts.items()]
    play: dict[str, Any] = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars_files": [f"{ROLES / role}/{part}/main.yml" for part in ("defaults", "vars")],
        "vars": {"ansible_python_interpreter": sys.executable, "role_path": str(ROLES / role), "item": {}},
        "tasks": [{**task, "ignore_errors": True} for task in tasks],
    }
    registered = {task["register"]: REGISTERED for task in tasks_of(role) if "register" in task}
    facts = {
        "os_family": "Debian",
        "service_mgr": "systemd",
        "distribution": "Debian",
        "distribution_release": "bookworm",
    }
    (folder / "known.json").write_text(json.dumps({**registered, "ansible_facts": facts}))
    (folder / "play.yml").write_text(json.dumps([play]))
    options = [word for value in ["@known.json", *given] for word in ("-e", value)]
    done = Ansible(folder).run("ansible-playbook", "play.yml", "-i", "localhost,", *options, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"task"')]
    assert [line["task"] for line in lines] == [task["name"] for task in tasks], done.stderr
    return [(line["task"], line["status"], str(line["result"].get("msg"))) for line in lines]


@pytest.mark.parametrize("role", ["ddns_client", "ddns_server"])
def test_a_text_is_as_good_as_a_boolean(tmp_path: Path, role: str) -> None:
    names = booleans(role)
    assert names
    found = []
    for value in ("true", "false"):
        real = evaluated(tmp_path, role, json.dumps(dict.fromkeys(names, value == "true")))
        assert evaluated(tmp_path, role, *(f"{name}={value}" for name in names)) == real
        found.append(real)
    assert found[0] != found[1], "the values matter"
    assert len({status for _, status, _ in found[0]}) > 1, "conditions are true and false"
