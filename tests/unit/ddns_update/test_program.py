# SPDX-License-Identifier: GPL-3.0-or-later
"""The file itself: with its standard library alone, and light when idle."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

from support.clients.updater import HOST, IPV4, PROGRAM, Machine
from support.servers.http_stub import Web

TREE = ast.parse(PROGRAM.read_text(), str(PROGRAM))


def test_it_can_be_run() -> None:
    assert PROGRAM.stat().st_mode & 0o111 == 0o111
    assert PROGRAM.read_text().startswith("#!/usr/bin/env python3\n# SPDX-License-Identifier: GPL-3.0-or-later\n")


def test_it_imports_the_standard_library_alone() -> None:
    imported = set()
    for node in ast.walk(TREE):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
    assert imported <= sys.stdlib_module_names


def test_sources_and_providers_that_are_not_needed_can_be_cut_out(tmp_path: Path, server: Web) -> None:
    """Each stands in a section of its own, for user data has little room."""
    sections = re.split(r"(?m)^(?=# ---- )", PROGRAM.read_text())
    kept = [section for section in sections if not re.match(r"# ---- (Provider|Providers|Sources): ", section)]
    assert len(sections) - len(kept) == 6
    small = tmp_path / "small"
    small.write_text("".join(kept))
    (tmp_path / "secret").write_text("for-the-host")
    (tmp_path / "conf").write_text(
        f"[{HOST}]\nserver = {server.url}\nsources = command\ncommand = echo {IPV4}\nsecret_file = {tmp_path}/secret\n"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-B", str(small), *arguments, "--config", str(tmp_path / "conf")]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("run", "--state", str(tmp_path / "state")).stdout.startswith(f"{HOST}: updated: ")
    assert run("run", "--state", str(tmp_path / "state")).stdout.startswith(f"{HOST}: current: ")
    assert "\nnat: " in run("report").stdout
    with (tmp_path / "conf").open("a") as file:
        file.write("sources = ec2\nprovider = route53\n".replace("sources", "[a.b.c]\nsources"))
    said = run("run", "--state", str(tmp_path / "state")).stdout
    assert "[a.b.c]" not in said
    assert "sources: must be different ones of auto, server, interface, command" in said
    assert "provider: must be one of dyndns2, noip, dyn, freedns" in said


LIGHT = """
import json, sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
loader = SourceFileLoader("u", sys.argv[1])
u = module_from_spec(spec_from_loader("u", loader))
loader.exec_module(u)
u.machine_addresses = lambda: [u.Own("192.0.2.7", "ipv4", 2, u.PERMANENT, 0)]
status = u.main(sys.argv[2:])
heavy = {"ssl", "http", "email", "xml", "urllib", "subprocess", "asyncio", "inspect", "typing", "hashlib", "pathlib"}
peak = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(json.dumps({"status": status, "heavy": sorted(heavy & set(sys.modules)), "kib": int(peak[0])}))
"""


def test_a_run_without_a_change_is_light(machine: Machine, server: Web, tmp_path: Path) -> None:
    """Under 20 MiB, and without the modules that only requests need; in a process without anything of ours."""
    (tmp_path / "secret").write_text("x")
    machine.config.write_text(
        f"[{HOST}]\nserver = {server.url}\nsources = interface\nsecret_file = {tmp_path}/secret\n"
    )

    def run() -> dict[str, object]:
        arguments = ["--config", str(machine.config), "--state", str(tmp_path / "state")]
        done = subprocess.run(
            [sys.executable, "-I", "-B", "-S", "-c", LIGHT, str(PROGRAM), *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
        found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
        return found

    assert run()["status"] == 0
    assert len(server.taken()) == 1
    light = run()
    assert (light["status"], light["heavy"], server.asked) == (0, [], [])
    assert int(str(light["kib"])) < 20 * 1024


def test_everything_is_documented(machine: Machine) -> None:
    text = (PROGRAM.parents[3] / "docs" / "ddns-update.md").read_text()
    updater = machine.updater
    named = {*updater.OPTIONS, *updater.SOURCES, *updater.PROVIDERS, *(f"{word}: " for word in updater.REFUSALS)}
    assert {name for name in named if f"`{name}" not in text} == set()
    assert {verb for verb in updater.COMMANDS if f"`ddns-update {verb}" not in text} == {"run"}
    defaults = {option: default for option, (_, default) in updater.OPTIONS.items() if default}
    assert {o for o, default in defaults.items() if f"| `{o}` | `{default}` |" not in text} == set()
