# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible as a user runs it, with this checkout as the collection, and its results as values."""

import ast
import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from support import programs

REPOSITORY = Path(__file__).parents[3]
PROGRAMS = Path(sys.executable).parent
GROUP = "group/fedcloud.ddns.ddns"

Task = dict[str, Any]
"""A task of a playbook."""
Result = dict[str, Any]
"""What a task answers, with `task` and `status` added."""


@functools.cache
def surroundings() -> dict[str, str]:
    """The environment that all share: this checkout is the collection."""
    folder = Path(tempfile.mkdtemp(prefix="ansible-"))
    atexit.register(shutil.rmtree, folder)
    namespace = folder / "collections" / "ansible_collections" / "fedcloud"
    namespace.mkdir(parents=True)
    (namespace / "ddns").symlink_to(REPOSITORY)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ANSIBLE_", "DDNS_"))}
    return inherited | {
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "ANSIBLE_ACTION_PLUGINS": str(Path(__file__).parent / "action"),
        "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callback"),
        "ANSIBLE_STDOUT_CALLBACK": "lines",
        "ANSIBLE_LOCALHOST_WARNING": "false",
    }


@dataclass
class Ansible:
    """A folder to run in, and where the service is."""

    folder: Path
    api_url: str = ""
    api_token: str = ""
    collections: Path | None = None
    """Where `ansible_collections` lies; otherwise this checkout is the collection."""
    settings: dict[str, str] = field(default_factory=dict)
    """Environment variables."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def env(self) -> dict[str, str]:
        where = {"ANSIBLE_COLLECTIONS_PATH": str(self.collections)} if self.collections else {}
        return surroundings() | {"HOME": str(self.folder)} | where | self.settings

    def run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of Ansible's programs in the folder."""
        done = programs.run([program, *arguments], self.env, cwd=self.folder, timeout=240)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def play(
        self, tasks: Sequence[Task], variables: Mapping[str, Any] | None = None, *options: str, check: bool = True
    ) -> list[Result]:
        """Run the tasks on the controller; their results, in order."""
        playbook = self.folder / "play.yml"
        defaults = {key: value for key, value in (("api_url", self.api_url), ("api_token", self.api_token)) if value}
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": sys.executable, **(variables or {})},
            "module_defaults": {GROUP: defaults},
            "tasks": list(tasks),
        }
        playbook.write_text(yaml.safe_dump([play], sort_keys=False))
        done = self.run("ansible-playbook", "-i", "localhost,", str(playbook), *options, check=check)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"task"')]
        assert lines or not check, done.stdout + done.stderr
        return [{**line["result"], "task": line["task"], "status": line["status"]} for line in lines]

    def task(
        self, module: str, variables: Mapping[str, Any] | None = None, *, fails: bool = False, **options: Any
    ) -> Result:
        """Run one task, with `--diff`; its result."""
        (result,) = self.tasks(module, options, variables=variables, fails=[0] if fails else [])
        return result

    def tasks(
        self,
        module: str,
        *given: Mapping[str, Any],
        variables: Mapping[str, Any] | None = None,
        fails: Collection[int] = (),
    ) -> list[Result]:
        """Run one task after another with these options and `--diff`, those that must fail by number; their results."""
        tasks = [{"name": module, f"fedcloud.ddns.{module}": options, "ignore_errors": True} for options in given]
        results = self.play(tasks, variables, "--diff")
        assert [n for n, result in enumerate(results) if result["status"] == "failed"] == sorted(fails), results
        return results


def four(tasks: Sequence[Task]) -> list[Task]:
    """Each task in check mode and without, and both again; with differences."""
    return [
        {**task, "name": f"{task['name']} {number}", "check_mode": number % 2 == 0, "diff": True}
        for task in tasks
        for number in range(4)
    ]


def examples(module: str) -> list[Task]:
    """The tasks of a module's EXAMPLES."""
    tree = ast.parse((REPOSITORY / "plugins" / "modules" / f"{module}.py").read_text())
    texts = {
        node.targets[0].id: str(node.value.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    tasks: list[Task] = yaml.safe_load(texts["EXAMPLES"])
    return tasks
