# SPDX-License-Identifier: GPL-3.0-or-later
"""Stacks with `ddnsctl`: only one run at a time applies one; its name and protection; hosts that it gives away."""

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support.clients.ddnsctl import BIN, Tool
from support.ports import wait_until
from support.servers.service import Service, dev

numbers = count(1)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("service") / "dir") as running:
        yield running


@pytest.fixture
def tool(service: Service, tmp_path: Path) -> Tool:
    return Tool(service, tmp_path, f"l{next(numbers)}")


def stack(tool: Tool) -> Any:
    return tool.service.get(f"/api/stacks/{tool.stack}", tool.service.admin_token).json()


def lease(tool: Tool, note: str = "job 4711") -> dict[str, str]:
    """Take the lease as another run. Returns the header with its id."""
    path = f"/api/stacks/{tool.stack}/lease"
    answer = tool.service.request("POST", path, tool.service.admin_token, json={"note": note})
    assert answer.status_code == 201, answer.text
    return {"Stack-Lease": answer.json()["id"]}


def give_back(tool: Tool, held: dict[str, str]) -> None:
    path = f"/api/stacks/{tool.stack}/lease"
    assert tool.service.request("DELETE", path, tool.service.admin_token, headers=held).status_code == 204


def test_an_apply_leaves_its_job_and_commit_and_no_lease(tool: Tool) -> None:
    tool.declare(a={"ipv4": "192.0.2.1"})
    tool.run("apply", "web.yml", "-y", CI_JOB_ID="4711", CI_COMMIT_SHA="abc123")
    found = stack(tool)
    assert found["last_apply"]["by"].endswith(" (job 4711)")
    assert found["last_apply"]["commit"] == "abc123"
    assert found["lease"] is None
    tool.run("rotate", f"a-{tool.stack}", "-f", "web.yml", "--secret-dir", "secrets", "-y", GITHUB_RUN_ID="7")
    assert stack(tool)["last_apply"]["by"].endswith(" (run 7)")
    tool.run("destroy", "web.yml", "-y", GITHUB_RUN_ID="8")
    assert "error" in tool.run("destroy", "--stack", tool.stack, "-y", code=1)


def test_a_second_run_is_refused_waits_or_takes_the_lease(tool: Tool) -> None:
    tool.declare(a={"ipv4": "192.0.2.1", "secret": {"file": "a"}})
    tool.run("plan", "web.yml", "-o", "plan.json", code=2)
    held = lease(tool)
    for arguments in (["web.yml"], ["plan.json"]):
        told = tool.run("apply", *arguments, "-y", code=6)
        assert f"{tool.stack} is being applied by " in told
        assert " (job 4711) since " in told
        assert "so nothing has been changed. Wait for it with --wait." in told
    assert " (job 4711) since " in tool.run("destroy", "web.yml", "-y", code=6)
    assert "Waiting for at most 1 seconds …" in tool.run("apply", "web.yml", "-y", "--wait", "1", code=6)
    tool.run("plan", "web.yml", code=2)
    end = threading.Timer(1, give_back, (tool, held))
    end.start()
    told = tool.run("apply", "-y", "--wait", "web.yml")
    assert "Waiting for at most 600 seconds …" in told
    assert "Applied: 1 added." in told
    end.join()
    lease(tool, "a run that died")
    tool.declare(a={"ipv4": "192.0.2.2", "secret": {"file": "a"}})
    told = tool.run("apply", "web.yml", "-y", "--force-unlock")
    assert f"Took the lease of {tool.stack} from " in told
    assert "(a run that died)." in told
    assert stack(tool)["lease"] is None


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM], ids=lambda end: end.name)
def test_a_run_that_is_stopped_gives_the_lease_back(tool: Tool, end: signal.Signals) -> None:
    tool.declare(a={"ipv4": "192.0.2.1"})
    lease(tool)
    arguments = [str(BIN / "ddnsctl"), "apply", "web.yml", "-y", "--force-unlock", "--verify", "--dns", "127.0.0.1:1"]
    with subprocess.Popen(arguments, cwd=tool.folder, env=tool.env, stderr=subprocess.PIPE) as process:
        wait_until(lambda: stack(tool)["last_apply"] is not None, what="a change")
        assert str(process.pid) in stack(tool)["lease"]["holder"]
        process.send_signal(end)
        process.wait(10)
    assert stack(tool)["lease"] is None


def test_without_a_stack_there_is_no_lease(tool: Tool) -> None:
    content = {"version": 1, "hosts": {tool.name("a"): {"ipv4": "192.0.2.1"}}}
    (tool.folder / "web.yml").write_text(json.dumps(content))
    tool.run("apply", "web.yml", "-y")
    assert tool.service.get(f"/api/stacks/{tool.stack}", tool.service.admin_token).status_code == 404


@pytest.mark.parametrize("where", ["file", "exec"])
def test_a_container_stores_the_secrets_that_another_one_could_not(tool: Tool, tmp_path: Path, where: str) -> None:
    """The answer of the first run is lost with its container. Its journal is lost as well."""
    place: Any = {"file": "a"} if where == "file" else {"exec": ["cp", "/dev/stdin", "{name}"]}
    tool.declare(a={"ipv4": "192.0.2.1", "secret": place})
    content = json.loads((tool.folder / "web.yml").read_text())
    path = tool.folder / ("a" if where == "file" else f"a-{tool.stack}")
    held = lease(tool, "a container that is gone")
    change = {"action": "create", "fqdn": tool.name("a"), "set": {"ipv4": "192.0.2.1", "stack": tool.stack}}
    headers = held | {"Idempotency-Key": tool.stack + where}
    answer = tool.service.request(
        "POST", "/api/changes", tool.service.admin_token, json={"changes": [change]}, headers=headers
    )
    secret = answer.json()["results"][0]["secret"]
    told = tool.run("apply", "-y", "--force-unlock", "-", given=json.dumps(content))
    assert f"Stored the secrets that an earlier run has made, but not stored: {tool.name('a')}." in told
    assert "No changes: 1 host match" in told
    assert path.read_text().strip() == secret
    assert tool.works("a", secret)
    assert secret not in tool.said
    path.unlink()
    assert "Stored" not in tool.run("apply", "-y", "web.yml")
    assert not path.exists()


def declare(tool: Tool, options: dict[str, Any], file: str = "web.yml", **hosts: dict[str, Any]) -> None:
    """Write a declaration with options of the stack; the stack's name is that of the tool, unless they have one."""
    full = {f"{label}-{tool.stack}": values for label, values in hosts.items()}
    content = {"version": 1, "stack": {"name": tool.stack, **options}, "defaults": {"domain": "dyn.example.org"}}
    (tool.folder / file).write_text(json.dumps({**content, "hosts": full}))


def test_a_stack_gets_a_new_name_in_one_change(tool: Tool) -> None:
    tool.declare(a={"ipv4": "192.0.2.1"}, b={"ipv4": "192.0.2.1"})
    tool.run("apply", "web.yml", "-y")
    new = f"{tool.stack}-prod"
    declare(
        tool, {"name": new, "moved_from": tool.stack, "protect": True}, a={"ipv4": "192.0.2.2"}, b={"ipv4": "192.0.2.1"}
    )
    told = tool.run("plan", "web.yml", "-o", "plan.json", code=2)
    assert f"> stack {tool.stack} → {new}" in told
    assert "protect  false → true" in told
    assert "Plan: 0 to add, 1 to change, 0 to replace, 0 to delete, 1 to move, 1 unchanged." in told
    assert "Applied: 1 changed, 1 moved." in tool.run("apply", "plan.json", "-y")
    assert "No changes: 2 hosts match." in tool.run("plan", "web.yml")
    shown = tool.service.get("/api/stacks", tool.service.admin_token).json()["items"]
    assert [(one["hosts"], one["protect"]) for one in shown if one["name"].startswith(tool.stack)] == [(2, True)]


def test_what_is_protected_stays_until_an_apply_takes_the_protection_away(tool: Tool) -> None:
    declare(tool, {"protect": True}, a={"ipv4": "192.0.2.1"}, b={"ipv4": "192.0.2.1", "protect": True}, c={})
    tool.run("apply", "web.yml", "-y")
    declare(tool, {"protect": False}, a={"ipv4": "192.0.2.1"})
    lift = ["apply", "web.yml", "-y"]
    told = tool.run(*lift, "--prune", "--max-deletes", "all", code=3)
    assert f"the stack {tool.stack} is protected, so its hosts cannot be deleted or replaced: {tool.name('b')}" in told
    assert "is protected, so" in tool.run("destroy", "web.yml", "-y", code=3)
    assert f"~ stack {tool.stack}" in tool.run(*lift)
    told = tool.run(*lift, "--prune", "--max-deletes", "all", code=3)
    assert f"protected hosts cannot be deleted or replaced: {tool.name('b')}. If" in told
    assert "    protect: true" in tool.run("import", "--stack", tool.stack)
    declare(tool, {}, a={"ipv4": "192.0.2.1"}, b={"ipv4": "192.0.2.1", "protect": False}, c={})
    assert "protect  true → false" in tool.run(*lift)
    declare(tool, {}, a={"ipv4": "192.0.2.1"})
    assert "Applied: 2 deleted." in tool.run(*lift, "--prune", "--max-deletes", "all")


def test_two_teams_hand_a_host_over(tool: Tool) -> None:
    """Each has a token for its own stack alone."""
    db = f"db-{tool.stack}"
    tokens = {
        stack: tool.service.cli("token", "add", "admin", "--name", stack, "--stack", stack).stdout.strip()
        for stack in (tool.stack, db)
    }
    mine, theirs = tokens[tool.stack], tokens[db]
    tool.declare(a={"ipv4": "192.0.2.1", "secret": {"file": "a"}}, b={"ipv4": "192.0.2.1"})
    tool.run("apply", "web.yml", "-y", DDNS_TOKEN=mine)
    declare(tool, {"name": db}, "db.yml", a={"ipv4": "192.0.2.1", "adopt": True})
    assert "is now registered" not in tool.run("apply", "db.yml", "-y", code=1, DDNS_TOKEN=theirs)
    told = tool.run("plan", "db.yml", code=1)
    assert f"{tool.name('a')} belongs to the stack {tool.stack}, which does not give it to {db}." in told
    declare(tool, {"gives": {f"a-{tool.stack}": db}}, b={"ipv4": "192.0.2.1"})
    assert f"gives  {{}} → {{{tool.name('a')}: {db}}}" in tool.run("apply", "web.yml", "-y", "--prune", DDNS_TOKEN=mine)
    assert "Applied: 1 adopted." in tool.run("apply", "db.yml", "-y", DDNS_TOKEN=theirs)
    assert tool.works("a", tool.secret("a"))
    for file, token in (("web.yml", mine), ("db.yml", theirs)):
        assert "No changes" in tool.run("plan", file, "--prune", DDNS_TOKEN=token)
