# SPDX-License-Identifier: GPL-3.0-or-later
"""Each role's README lists the tags of its tasks, and the checks run with every tag."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = Path(__file__).parents[3] / "roles"
NAMES = sorted(folder.name for folder in ROLES.iterdir())


def tasks(role: str) -> list[dict[str, Any]]:
    """The tasks of main.yml, also those in blocks."""
    top: list[dict[str, Any]] = yaml.safe_load((ROLES / role / "tasks" / "main.yml").read_text())
    return [inner for task in top for inner in task.get("block", [task])]


@pytest.mark.parametrize("role", NAMES)
def test_the_readme_lists_the_tags(role: str) -> None:
    listed = re.findall(r"^\| `(\w+)` \|", (ROLES / role / "README.md").read_text(), re.MULTILINE)
    assert set(listed) == {task["tags"] for task in tasks(role) if "tags" in task} - {"always"}


@pytest.mark.parametrize("role", NAMES)
def test_checks_and_handlers_run_with_every_tag(role: str) -> None:
    tags = {
        task.get("ansible.builtin.import_tasks") or task.get("ansible.builtin.meta"): task.get("tags")
        for task in tasks(role)
    }
    assert (tags["check.yml"], tags["flush_handlers"]) == ("always", "always")


@pytest.mark.parametrize("role", NAMES)
def test_a_tag_that_leads_to_dynamic_includes_is_for_skipping(role: str) -> None:
    """With `--tags`, Ansible runs such an include, but none of the tasks in it."""
    readme = (ROLES / role / "README.md").read_text()
    for task in tasks(role):
        file = task.get("ansible.builtin.import_tasks")
        if file and task.get("tags", "always") != "always":
            text = (ROLES / role / "tasks" / file).read_text()
            included = set(re.findall(r"include_tasks: (\S+)$", text, re.MULTILINE)) - {
                "packages.yml",
                "packaged_server.yml",
            }
            row = next(line for line in readme.splitlines() if line.startswith(f"| `{task['tags']}` |"))
            assert ("--skip-tags" in row) >= bool(included), f"{file} includes {included}"
