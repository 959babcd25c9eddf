# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool of extensions/molecule that makes machines, as a playbook runs it."""

import fcntl
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[3] / "extensions" / "molecule"
REGISTRY = Path("/run/ddns-machines")
UNABLE = 77
"""Exit status where machines cannot run."""


def command(*words: str) -> list[str]:
    """The tool with these arguments."""
    return [sys.executable, "-m", "machines", *words]


def run(*words: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the tool to its end."""
    done = subprocess.run(
        command(*words), cwd=FOLDER, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **options
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@dataclass
class Machines:
    """The machines of a scenario with this name."""

    scenario: str

    def up(self, *hosts: str) -> dict[str, Any]:
        """Boot machines with these names; what `show` says of them."""
        described: dict[str, Any] = json.loads(run("up", self.scenario, *hosts).stdout)
        return described

    def show(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(run("show", self.scenario).stdout)
        return described

    def run(self, verb: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One of the tool's commands on the scenario."""
        return run(verb, self.scenario, *words, check=check)

    def ssh(self, host: str, script: str, check: bool = True) -> str:
        """What a shell on the machine printed."""
        config = self.folder / "ssh_config"
        done = subprocess.run(
            ["ssh", "-F", config, host, script], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def folder(self) -> Path:
        return FOLDER.parents[1] / ".cache" / "machines" / "scenarios" / self.scenario

    def remains(self) -> list[str]:
        """Whatever on the host still names the scenario: its folder, mounts, processes, network."""
        found = [str(self.folder)] if self.folder.exists() else []
        for lines in (Path("/proc/self/mountinfo").read_text().splitlines(), _processes()):
            found += [line for line in lines if f"/{self.scenario}/" in line]
        taken = REGISTRY.glob("*/scenario")
        return found + [str(file) for file in taken if file.read_text() == str(self.folder)]


def unowned() -> list[str]:
    """Namespaces, interfaces and cgroups of machines on the host that belong to no scenario."""
    with (REGISTRY / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        places = [*Path("/run/netns").glob("ddns*"), *Path("/sys/class/net").glob("ddns*")]
        places += [*Path("/sys/fs/cgroup").glob("ddns*"), *Path("/sys/fs/cgroup").glob("*/ddns*")]
        numbers = {folder.name for folder in REGISTRY.glob("*/")}
        numbered = {place: re.match(r"ddns(\d+)(-|$)", place.name) for place in places}
        return [str(place) for place, match in numbered.items() if match and match[1] not in numbers]


def _processes() -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found.append(words)
    return found
