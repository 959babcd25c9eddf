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

pytestmark = pytest.mark.long

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
    """Each `when` of the role, and each `that` of its checks; each of several is one."""
    found = [task["when"] for task in tasks_of(role) if "when" in task]
    checks = [task["ansible.builtin.assert"]["that"] for task in tasks_of(role) if "ansible.builtin.assert" in task]
    return [part for one in found + checks for part in (one if isinstance(one, list) else [one])]


Outcome = tuple[str, str, str]
"""Of a condition, a variable or a template: its name, status and text."""


def evaluated(folder: Path, role: str, *given: str) -> list[Outcome]:
    """What all of the role is with the values `given` by `-e`."""
    names = [*load(ROLES / role / "vars" / "main.yml"), *load(ROLES / role / "defaults" / "main.yml")]
    names = [name for name in names if name not in booleans(role)]
    texts = {name: f"{{{{ {name} }}}}" for name in names}
    for template in sorted((ROLES / role / "templates").iterdir()):
        texts[template.name] = f"{{{{ lookup('ansible.builtin.template', '{template}') }}}}"
    (folder / "parts.json").write_text(json.dumps({"conditions": conditions(role), "texts": texts}))
    play: dict[str, Any] = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars_files": [f"{ROLES / role}/{part}/main.yml" for part in ("defaults", "vars")],
        "vars": {"ansible_python_interpreter": sys.executable, "role_path": str(ROLES / role), "item": {}},
        "tasks": [{"name": "Evaluate", "evaluate": {"file": str(folder / "parts.json")}}],
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
    done = Ansible(folder).run("ansible-playbook", "play.yml", "-i", "localhost,", *options)
    (line,) = (json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"task"'))
    found = [(name, status, text) for name, status, text in line["result"]["outcomes"]]
    assert len(found) == len(conditions(role)) + len(texts)
    return found


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
    assert {"holds", "does not hold"} <= {text for _, _, text in found[0]}, "conditions are true and false"


@pytest.mark.parametrize("role", ["ddns_client", "ddns_server"])
def test_conditions_of_texts_and_lists_are_booleans(tmp_path: Path, role: str) -> None:
    defaults = load(ROLES / role / "defaults" / "main.yml")
    for text, values in (("", []), ("text", ["text"])):
        given = {name: text for name, value in defaults.items() if isinstance(value, str) and "{{" not in value}
        given |= {name: values for name, value in defaults.items() if isinstance(value, list)}
        for outcome in evaluated(tmp_path, role, json.dumps(given)):
            assert "must have a boolean result" not in outcome[2], outcome
