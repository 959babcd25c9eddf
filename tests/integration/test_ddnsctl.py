# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl` against a running service with a real name server: every command, every exit code, no secret in sight."""

import contextlib
import json
import os
import pty
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rrset
import pytest
import requests
from support.clients.ddnsctl import Tool
from support.ports import unread, wait_until
from support.servers.egi import egi
from support.servers.faults import hung
from support.servers.service import Service, dev

from ddnsctl.sync.api import Response
from ddnsctl.transport import RequestsTransport

BIN = Path(sys.executable).parent
numbers = count(1)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("service") / "dir") as running:
        yield running


@pytest.fixture
def tool(service: Service, tmp_path: Path) -> Tool:
    return Tool(service, tmp_path, f"s{next(numbers)}")


def test_declare_plan_apply_change_move_destroy(tool: Tool) -> None:
    tool.declare(www={"ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "wildcard": True}, vm={"ipv4": "dynamic"})
    assert "Plan: 2 to add" in tool.run("plan", "web.yml", code=2)
    assert "Applied: 2 added." in tool.run("apply", "web.yml", "-y", "--verify", "20", "--dns", tool.dns)
    assert tool.service.dig(tool.name("www")) == ["192.0.2.1"]
    assert tool.service.dig("x." + tool.name("www"), "AAAA") == ["2001:db8::1"]
    assert "No changes: 2 hosts match." in tool.run("plan", "web.yml")
    assert "No changes" in tool.run("apply", "web.yml", "-y")

    moved = f"www-{tool.stack}"
    tool.declare(front={"ipv4": "192.0.2.2", "moved_from": moved}, vm={"ipv4": "dynamic", "comment": "VM"})
    assert "1 to change" in tool.run("plan", "web.yml", code=2)
    assert "Applied: 1 changed, 1 moved." in tool.run("apply", "web.yml", "-y", "--verify=20", "--dns", tool.dns)
    assert tool.service.dig(tool.name("front")) == ["192.0.2.2"]
    assert tool.service.dig(tool.name("www")) == tool.service.dig(tool.name("front"), "AAAA") == []
    tool.run("plan", "web.yml")

    tool.run("destroy", "--stack", tool.stack, "-y")
    assert tool.service.dig(tool.name("front")) == []
    assert f"nothing is registered for stack {tool.stack}; " in tool.run("destroy", "--stack", tool.stack, "-y", code=1)
    assert "No changes.\n" in tool.run("destroy", "web.yml", "-y")
    assert tool.journals() == []


def test_warnings_of_the_service_are_printed(tool: Tool) -> None:
    tool.declare(w={"ipv4": "192.0.2.1", "wildcard": True})
    assert "warning:" not in tool.run("apply", "web.yml", "-y")
    hosts = {f"h{number:02}.a{number:02}.{tool.name('w')}": {"ipv4": "192.0.2.2"} for number in range(22)}
    below = {"version": 1, "stack": tool.stack, "hosts": hosts}
    (tool.folder / "below.yml").write_text(json.dumps(below))
    said = tool.run("apply", "below.yml", "-y")
    first, of = f"a00.{tool.name('w')}", tool.name("w")
    assert f"warning: The wildcard *.{of} does not answer for {first} and names below it, because h00.{first}" in said
    assert said.count("warning:") == 20
    assert "… and 2 more warnings of the server" in said
    assert "warning:" not in tool.run("apply", "below.yml", "-y")


def test_an_address_that_the_vm_owns_is_no_drift(tool: Tool) -> None:
    tool.declare(vm={"ipv4": "dynamic", "secret": {"file": "vm"}})
    tool.run("apply", "web.yml", "-y")
    answer = requests.get(
        f"{tool.service.url}/nic/update?myip=192.0.2.77", auth=(tool.name("vm"), tool.secret("vm")), timeout=10
    )
    assert answer.text == "good 192.0.2.77"
    assert "No changes" in tool.run("plan", "web.yml")


def test_pruning_is_chosen_and_limited(tool: Tool) -> None:
    hosts: dict[str, Any] = {f"h{number}": {"ipv4": f"192.0.2.{number}"} for number in range(1, 6)}
    tool.declare(**hosts)
    tool.run("apply", "web.yml", "-y")
    tool.declare(h1={"ipv4": "192.0.2.1"})
    assert "--prune" in tool.run("plan", "web.yml")
    refused = tool.run("plan", "web.yml", "--prune", code=3)
    assert all(tool.name(f"h{number}") in refused for number in range(2, 6))
    tool.run("apply", "web.yml", "--prune", "-y", code=3)
    assert len(tool.json("show", "--stack", tool.stack, "--format", "json")) == 5
    assert "4 deleted" in tool.run("apply", "web.yml", "--prune", "--max-deletes", "4", "-y")
    assert [h["fqdn"] for h in tool.json("show", "--stack", tool.stack, "--format", "json")] == [tool.name("h1")]


def test_a_saved_plan_is_applied_as_it_is_or_not_at_all(tool: Tool) -> None:
    tool.declare(a={"ipv4": "192.0.2.1", "secret": {"file": "a"}}, b={"ipv4": "192.0.2.2"})
    tool.run("plan", "web.yml", "-o", "plan.json", code=2)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tool.folder / "plan.json").stat().st_mode) == 0o666 & ~mask
    assert "secret" not in (tool.folder / "plan.json").read_text().replace('"secret": {', "")
    tool.declare(a={"ipv4": "192.0.2.9"})
    assert f"+ {tool.name('a')}" in tool.run("show", "plan.json")
    assert tool.run("show", "plan.json", "--format", "markdown").startswith("### Plan: 2 to add")
    assert len(json.loads(tool.run("show", "plan.json", "--format", "json"))["changes"]) == 2
    assert "not changes of a plan" in tool.run("show", "plan.json", "--stack", "web", code=1)
    assert "markdown is a format of plans" in tool.run("show", "--format", "markdown", code=1)
    assert "2 added" in tool.run("apply", "plan.json", "-y")
    assert tool.service.dig(tool.name("a")) == ["192.0.2.1"]

    tool.declare(a={"ipv4": "192.0.2.3"}, b={"ipv4": "192.0.2.4"})
    tool.run("plan", "web.yml", "-o", "plan.json", code=2)
    tool.service.get(f"/nic/update?hostname={tool.name('b')}&myip=192.0.2.99", tool.service.admin_token)
    stale = tool.run("apply", "plan.json", "-y", code=5)
    assert f"{tool.name('b')}: ipv4 was 192.0.2.2 and is now 192.0.2.99" in stale
    assert tool.service.dig(tool.name("a")) == ["192.0.2.1"]
    assert tool.journals() == []
    assert "was made for" in tool.run("apply", "plan.json", "-y", "--server", "http://127.0.0.1:1", code=1)


def apply_while_taken(tool: Tool, standing: str) -> str:
    """Apply while somebody else adds a record at the name, after the plan was checked. Returns what is printed."""
    with terminal(tool, "apply", "web.yml") as (process, other):
        shown(other, b"Apply these changes?")
        tool.service.add_record(f"{standing}.", "A", "198.51.100.1")
        os.write(other, b"y\n")
        told = shown(other, b"make a new plan.")
        assert process.wait(10) == 4
    tool.said += told
    return told


def test_what_fails_is_told_and_resumed(tool: Tool) -> None:
    standing = tool.name("b")
    tool.declare(a={"ipv4": "192.0.2.1", "secret": {"file": "a"}}, b={"ipv4": "192.0.2.2", "secret": {"file": "b"}})
    told = apply_while_taken(tool, standing)
    assert "Applied: 1 added." in told
    assert f"create {standing}: " in told
    assert tool.service.dig(tool.name("a")) == ["192.0.2.1"]
    (journal,) = tool.journals()
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    secret = tool.secret("a")
    assert secret not in journal.read_text()
    remove(tool.service, standing)
    assert f"or delete {journal.relative_to(tool.folder)}" in tool.run("apply", "web.yml", code=1)
    assert "Applied: 1 added" in tool.run("apply", "--resume", "-y")
    assert tool.service.dig(standing) == ["192.0.2.2"]
    assert tool.works("b", tool.secret("b"))
    assert tool.secret("a") == secret
    assert tool.journals() == []
    assert "there is no journal" in tool.run("apply", "--resume", code=1)
    tool.run("plan", "web.yml")
    assert secret not in tool.said


def remove(service: Service, name: str) -> None:
    """Somebody else takes their record out of the zone."""
    script = f"server 127.0.0.1 {service.dns_port}\nzone {service.domain}\nupdate delete {name}. A\nsend\n"
    key = service.dir / "bind" / "keys" / f"{service.domain}.key"
    subprocess.run(["nsupdate", "-k", key], input=script, text=True, check=True, capture_output=True)


def test_a_plan_tells_everything_that_would_be_refused_at_once(tool: Tool) -> None:
    tool.service.add_record(f"{tool.name('used')}.", "TXT", '"mine"')
    tool.service.register(tool.name("other"), ip="192.0.2.1")
    (tool.folder / "s").write_text("a secret of somebody")
    hosts = {
        tool.name("good"): {"ipv4": "192.0.2.1"},
        tool.name("used"): {"ipv4": "192.0.2.1"},
        tool.name("other"): {"ipv4": "192.0.2.1"},
        tool.name("file"): {"secret": {"file": "s"}},
        "wpad.dyn.example.org": {},
        "dyn.example.org": {},
        "www.no-domain.example.net": {},
    }
    (tool.folder / "web.yml").write_text(json.dumps({"version": 1, "stack": tool.stack, "hosts": hosts}))
    told = tool.run("plan", "web.yml", "-o", "plan.json", code=1)
    assert f"+ {tool.name('good')}" in told
    assert f"{tool.name('other')} is already registered and belongs to no stack" in told
    del hosts[tool.name("other")]
    (tool.folder / "web.yml").write_text(json.dumps({"version": 1, "stack": tool.stack, "hosts": hosts}, indent=1))
    read = tool.service.cli("token", "add", "admin", "--name", tool.stack, "--scope", "read").stdout.strip()
    for arguments in (("plan", "web.yml", "-o", "plan.json"), ("apply", "web.yml", "-y")):
        told = tool.run(*arguments, code=1, DDNS_TOKEN=tool.service.admin_token if arguments[0] == "apply" else read)
        assert "Plan: 6 to add" in told
        assert "error: the plan would be refused, so nothing has been changed (5 problems)" in told
        for name in (tool.name("used"), "wpad.dyn.example.org", "dyn.example.org", "www.no-domain.example.net"):
            assert f": create {name}: " in told
        assert f"{tool.name('file')} is new, but the file for its secret exists: s" in told
        assert f"create {tool.name('good')}" not in told
    whole = json.loads(tool.run("plan", "web.yml", "--format", "json", code=1).partition("\nerror:")[0])
    assert len(whole["refusals"]) == 5
    markdown = tool.run("plan", "web.yml", "--format", "markdown", code=1)
    assert "- refused: web.yml:" in markdown
    assert not (tool.folder / "plan.json").exists()
    assert tool.service.dig(tool.name("good")) == []
    assert tool.journals() == []


def test_a_deletion_names_what_goes_with_the_host(tool: Tool) -> None:
    tool.declare(a={"ipv6": "2001:db8::1"}, b={})
    tool.run("apply", "web.yml", "-y")
    name, token = tool.name("a"), tool.service.admin_token
    put = {"records/@/MX": {"values": [f"10 {name}."]}, "related/nas": {"interface_id": "::7"}}
    for path, content in put.items():
        assert tool.service.request("PUT", f"/api/hosts/{name}/{path}", token, json=content).status_code == 200
    gone = f"also removed  MX {name}, AAAA nas.{name}"
    assert gone in tool.run("destroy", "web.yml", code=1)
    tool.declare(b={})
    assert gone in tool.run("plan", "web.yml", "--prune", "-o", "plan.json", code=2)
    assert gone in tool.run("apply", "web.yml", "--prune", code=1)
    assert f"also removed: MX {name}" in tool.run("plan", "web.yml", "--prune", "--format", "markdown", code=2)
    record = {"values": ['"x"']}
    path = f"/api/hosts/{name}/records/_new/TXT"
    assert tool.service.request("PUT", path, token, json=record).status_code == 200
    stale = tool.run("apply", "plan.json", "-y", code=5)
    assert f"{name}: the deletion would also remove TXT _new.{name}, which the plan does not list" in stale
    assert "1 deleted" in tool.run("apply", "web.yml", "--prune", "-y")
    assert tool.service.dig(name, "MX") == []


def test_a_refused_plan_is_printed(tool: Tool) -> None:
    tool.declare(a={"ipv4": "192.0.2.1"}, b={}, c={})
    tool.run("apply", "web.yml", "-y")
    tool.declare(a={"ipv4": "192.0.2.2"})
    for command in (("plan", "web.yml"), ("apply", "web.yml", "-y")):
        told = tool.run(*command, "--prune", code=3)
        assert "Plan: 0 to add, 1 to change, 0 to replace, 2 to delete" in told
        assert f"- {tool.name('b')}" in told


def test_a_plan_asks_only_for_its_stack_and_names(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many hosts other stacks have."""
    rows: list[int] = []
    request = RequestsTransport.request

    def counted(self: RequestsTransport, *arguments: Any, **options: Any) -> Response:
        answer = request(self, *arguments, **options)
        if arguments[1].startswith("/api/hosts"):
            rows.append(len(json.loads(answer.body)["items"]))
        return answer

    monkeypatch.setattr(RequestsTransport, "request", counted)
    others: dict[str, Any] = {f"o{number}.{tool.name('x')}": {} for number in range(300)}
    (tool.folder / "o.yml").write_text(json.dumps({"version": 1, "stack": f"other-{tool.stack}", "hosts": others}))
    tool.run("apply", "o.yml", "-y")
    tool.declare(a={"ipv4": "192.0.2.1", "moved_from": f"m-{tool.stack}"}, b={})
    for arguments, code, expected in (
        (("plan", "web.yml"), 2, [0, 0]),
        (("apply", "web.yml", "-y"), 0, [0, 0]),
        (("plan", "web.yml", "--prune"), 0, [2, 0]),
        (("show", "--stack", tool.stack), 0, [2]),
        (("show", tool.name("a")), 0, [1]),
        (("import", "--stack", tool.stack), 0, [2]),
        (("rotate", tool.name("a"), "--secret-dir", "s", "-y"), 0, [1]),
        (("destroy", "--stack", tool.stack, "-y"), 0, [2]),
    ):
        rows.clear()
        tool.run(*arguments, code=code)
        assert rows == expected, arguments


def test_a_check_finds_changes_broken_secrets_and_foreign_answers(tool: Tool) -> None:
    (tool.folder / "password").write_text("open sesame\n")
    vault = ("--vault-password-file", "password")
    arguments = ("check", "web.yml", *vault, "--dns", tool.dns)
    hosts: dict[str, Any] = {
        "a": {"ipv4": "192.0.2.1", "wildcard": True, "secret": {"file": "a"}},
        "b": {"ipv4": "dynamic", "secret": {"vault": "b"}},
        "n": {"ipv4": "192.0.2.3", "secret": "none"},
    }
    tool.declare(**hosts)
    assert "Plan: 3 to add" in tool.run(*arguments, code=2)
    tool.run("apply", "web.yml", "-y", *vault)
    told = tool.run(*arguments)
    assert "secrets: as declared\nDNS: as declared" in told
    answer = tool.service.get(f"/nic/update?hostname={tool.name('b')}&myip=192.0.2.9", tool.service.admin_token)
    assert answer.text == "good 192.0.2.9"
    tool.run(*arguments)

    secret = tool.secret("a")
    (tool.folder / "a").write_text("wrong\n")
    assert f"{tool.name('a')}: file a has a secret that is no longer valid" in tool.run(*arguments, code=2)
    (tool.folder / "a").unlink()
    assert f"{tool.name('a')}: file a is missing or empty" in tool.run(*arguments, code=2)
    (tool.folder / "a").write_text(secret)
    (tool.folder / "password").write_text("wrong\n")
    assert f"{tool.name('b')}: vault b cannot be checked" in tool.run(*arguments, code=2)
    (tool.folder / "password").write_text("open sesame\n")

    with lagging("192.0.2.99", 2) as behind:
        tool.declare(n=hosts["n"])
        content = json.loads(tool.run("check", "web.yml", "--format", "json", "--wait", "0.1", "--dns", behind, code=2))
    (different,) = content["dns"]
    assert different == f"{behind}: {tool.name('n')} A: no answer, not 192.0.2.3"
    assert (content["plan"]["changes"], content["secrets"]) == ([], [])
    tool.declare(n=hosts["n"] | {"comment": "new"}, a=hosts["a"], b=hosts["b"])
    assert "1 to change" in tool.run(*arguments, code=2)
    assert secret not in tool.said


def test_secrets_that_do_not_work_are_planned_and_replaced(tool: Tool) -> None:
    hosts: dict[str, Any] = {label: {"ipv4": "192.0.2.1", "secret": {"file": label}} for label in "abc"}
    tool.declare(**hosts, n={"secret": "none"})
    tool.run("apply", "web.yml", "-y")
    kept, replaced = tool.secret("a"), tool.secret("b")
    assert "No changes" in tool.run("plan", "web.yml", "--secrets")
    (tool.folder / "b").unlink()
    (tool.folder / "c").write_text("old\n")
    told = tool.run("plan", "web.yml", "--secrets", "-o", "plan.json", code=2)
    assert "file b is missing or empty" in told
    assert "file c has a secret that is no longer valid" in told
    assert "2 to rotate" in told
    assert "No changes" in tool.run("plan", "web.yml")
    assert "1 to rotate" in tool.run("plan", "web.yml", "--secrets", "--only", f"c-{tool.stack}", code=2)
    tool.run("apply", "plan.json", "-y")
    assert tool.secret("a") == kept
    assert tool.secret("b") != replaced
    assert all(tool.works(label, tool.secret(label)) for label in "abc")
    (tool.folder / "c").unlink()
    assert "1 rotated" in tool.run("apply", "web.yml", "-y", "--secrets")
    assert tool.works("c", tool.secret("c"))


def test_a_closed_pipe_is_no_error(tool: Tool) -> None:
    tool.declare(a={"ipv4": "192.0.2.1"})
    tool.run("apply", "web.yml", "-y")
    for arguments in (["show"], ["import", "--stack", tool.stack], ["plan", "web.yml"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [BIN / "ddnsctl", *arguments],
            cwd=tool.folder,
            env=tool.env,
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
        )
        os.close(writer)
        assert (done.returncode, done.stderr) == (141, b"")


def test_secrets_are_kept_rotated_and_never_shown(tool: Tool) -> None:
    (tool.folder / "password").write_text("open sesame\n")
    vault = ("--vault-password-file", "password")
    tool.declare(f={"secret": {"file": "s/f"}}, v={"secret": {"vault": "s/v"}}, n={})
    assert "there is no vault password" in tool.run("apply", "web.yml", "-y", code=1)
    assert not (tool.folder / "s").exists()
    assert "1 host has no stored secret" in tool.run("apply", "web.yml", "-y", *vault)
    view = ["ansible-vault", "view", *vault, "s/v"]

    def encrypted() -> str:
        run = subprocess.run(view, cwd=tool.folder, env=tool.env, capture_output=True, text=True, check=True)
        return run.stdout.strip()

    first = {"f": tool.secret("s/f"), "v": encrypted()}
    assert all(tool.works(label, secret) for label, secret in first.items())
    refused = tool.run("rotate", f"n-{tool.stack}", "-y", code=1)
    assert "no file is named for its secret" in refused
    tool.run("rotate", f"f-{tool.stack}", tool.name("v"), "-f", "web.yml", "-y", *vault)
    tool.run("rotate", f"n-{tool.stack}", "--secret-dir", "more", "-y")
    second = {"f": tool.secret("s/f"), "v": encrypted(), "n": tool.secret(f"more/{tool.name('n')}")}
    assert all(tool.works(label, secret) for label, secret in second.items())
    assert not any(tool.works(label, secret) for label, secret in first.items())
    everything = [*first.values(), *second.values()]
    files = [path for path in tool.folder.rglob("*") if path.is_file() and path.parent.name not in ("s", "more")]
    for text in [tool.said, *(path.read_text() for path in files), tool.service.log.read_text()]:
        assert not [secret for secret in everything if secret in text]


def test_what_is_imported_plans_to_nothing(tool: Tool) -> None:
    tool.declare(
        a={"ipv4": "192.0.2.1", "comment": "yes: 'quoted' #1", "labels": {"on": "7"}, "ttl": 300},
        b={"ipv6": "2001:db8::", "wildcard": True},
        c={},
    )
    tool.run("apply", "web.yml", "-y")
    tool.run("import", "--stack", tool.stack, "-o", "imported.yml")
    assert "No changes: 3 hosts match" in tool.run("plan", "imported.yml", DDNS_SERVER=tool.service.url + "/")
    assert tool.run("fmt", "--check", "imported.yml") == ""
    everything = tool.run("import", "--domain", "dyn.example.org")
    assert "No changes" in tool.run("plan", "-", given=everything)
    assert "exists" in tool.run("import", "--stack", tool.stack, "-o", "imported.yml", code=1)


def test_hosts_of_others_are_adopted_only_on_purpose(tool: Tool) -> None:
    tool.service.register(tool.name("old"), ip="192.0.2.1")
    tool.declare(old={"ipv4": "192.0.2.1"})
    assert "adopt it with `adopt: true`" in tool.run("plan", "web.yml", code=1)
    tool.declare(old={"ipv4": "192.0.2.1", "adopt": True})
    assert "1 to adopt" in tool.run("plan", "web.yml", code=2)
    assert "1 adopted" in tool.run("apply", "web.yml", "-y")
    assert "No changes" in tool.run("plan", "web.yml")


def test_a_host_of_another_user_is_taken_over_only_from_the_named_user(tool: Tool) -> None:
    theirs, bob = tool.name("theirs"), f"bob-{tool.stack}"
    body = {"fqdn": theirs, "ipv4": "192.0.2.66", "stack": tool.stack}
    token = tool.service.user(bob)
    secret = tool.service.request("POST", "/api/hosts", token, json=body).json()["secret"]

    def update(known: str) -> str:
        return tool.service.get("/nic/update", auth=(theirs, known), params={"myip": "192.0.2.9"}).text

    declared = {"ipv4": "192.0.2.1", "secret": {"file": "theirs.secret"}}
    tool.declare(theirs=declared)
    assert f"`adopt_from: {bob}` takes the host over, and replaces its secret" in tool.run("plan", "web.yml", code=1)
    tool.declare(theirs=declared | {"adopt_from": "carol"})
    assert f"belongs to the user {bob}" in tool.run("apply", "web.yml", "-y", code=1)
    assert tool.service.dig(theirs) == ["192.0.2.66"]

    tool.declare(theirs=declared | {"adopt_from": bob})
    planned = tool.run("plan", "web.yml", "-o", "plan.json", code=2)
    assert f"owner {bob} → admin" in " ".join(planned.split())
    assert "1 to adopt, 1 to rotate" in planned
    assert "1 adopted" in tool.run("apply", "plan.json", "-y")
    assert tool.service.get(f"/api/hosts/{theirs}", tool.service.admin_token).json()["owner"] == "admin"
    assert tool.service.get(f"/api/hosts/{theirs}", token).status_code == 404
    assert tool.service.dig(theirs) == ["192.0.2.1"]
    assert update(secret) == "badauth"
    assert update((tool.folder / "theirs.secret").read_text().strip()) == "good 192.0.2.9"
    tool.declare(theirs=declared | {"ipv4": "192.0.2.9", "adopt_from": bob})
    assert "No changes" in tool.run("plan", "web.yml")


def test_hosts_of_other_users_are_left_alone_whatever_stack_they_carry(tool: Tool) -> None:
    """The token is an administrator's, and sees everybody's."""
    theirs, labelled = tool.name("theirs"), tool.name("labelled")
    bob = tool.service.user(f"bob-{tool.stack}")
    for name in (theirs, labelled):
        body = {"fqdn": name, "ipv4": "192.0.2.66", "stack": tool.stack, "comment": "c"}
        assert tool.service.request("POST", "/api/hosts", bob, json=body).status_code == 201
    owned = {name: tool.service.get(f"/api/hosts/{name}", bob).json() for name in (theirs, labelled)}

    for adopt in (False, True):
        tool.declare(theirs={"ipv4": "192.0.2.1", "adopt": adopt}, mine={"ipv4": "192.0.2.2"})
        for command in ("plan", "apply"):
            told = tool.run(command, "web.yml", code=1)
            assert f"{theirs} is already registered and belongs to the user bob-{tool.stack}" in told
            assert f"use a token of bob-{tool.stack}, or ask an administrator to change the owner" in told
    tool.declare(moved={"ipv4": "192.0.2.1", "moved_from": theirs, "adopt": True})
    assert f"the former name {theirs} is already registered and belongs to the user" in tool.run(
        "plan", "web.yml", code=1
    )

    tool.declare(mine={"ipv4": "192.0.2.2"})
    assert "1 added" in tool.run("apply", "web.yml", "-y")
    pruned = tool.run("apply", "web.yml", "-y", "--prune", "--max-deletes", "all")
    assert (
        f"because other users own them, although their stack is {tool.stack}: {labelled} (bob-{tool.stack})" in pruned
    )
    assert "No changes" in pruned
    assert "belongs to the user" in tool.run("rotate", labelled, "--secret-dir", "s", "-y", code=1)
    imported = tool.run("import", "--stack", tool.stack)
    assert (f"mine-{tool.stack}" in imported, "labelled" in imported) == (True, False)
    assert "1 deleted" in tool.run("destroy", "--stack", tool.stack, "-y")
    content = {"version": 1, "hosts": {labelled: {}}}
    assert "other users own them" in tool.run("destroy", "-", "-y", given=json.dumps(content))
    for name, before in owned.items():
        assert tool.service.get(f"/api/hosts/{name}", bob).json() == before


def test_a_host_that_was_given_away_makes_a_saved_plan_stale(tool: Tool) -> None:
    tool.declare(a={"ipv4": "192.0.2.1"})
    tool.run("apply", "web.yml", "-y")
    tool.declare(a={"ipv4": "192.0.2.2"})
    tool.run("plan", "web.yml", "-o", "plan.json", code=2)
    tool.service.user(f"bob-{tool.stack}")
    given = {"owner": f"bob-{tool.stack}"}
    path = f"/api/hosts/{tool.name('a')}"
    assert tool.service.request("PATCH", path, tool.service.admin_token, json=given).status_code == 200
    assert f"belongs to the user bob-{tool.stack}" in tool.run("apply", "plan.json", "-y", code=5)
    assert tool.service.dig(tool.name("a")) == ["192.0.2.1"]


def test_an_inventory_with_a_vault(tool: Tool) -> None:
    (tool.folder / "password").write_text("open sesame\n")
    (tool.folder / "group_vars").mkdir()
    host = "web1 ansible_host=192.0.2.31\nweb2 ansible_host=2001:db8::32\n"
    (tool.folder / "hosts.ini").write_text(host)
    variables = tool.folder / "group_vars" / "all.yml"
    names = '{{"web1": "{}", "web2": "{}"}}'.format(tool.name("web1"), tool.name("web2"))
    variables.write_text(f"names: {names}\nddns: {{comment: Of the vault}}\n")
    subprocess.run(
        ["ansible-vault", "encrypt", "--vault-password-file", "password", variables],
        cwd=tool.folder,
        env=tool.env,
        check=True,
        capture_output=True,
    )
    options: tuple[str, ...] = ("-i", "hosts.ini", "--stack", tool.stack, "--domain", "dyn.example.org")
    assert "cannot read it" in tool.run("plan", *options, code=1)
    options += ("--vault-password-file", "password")
    assert "2 added" in tool.run("apply", *options, "-y")
    assert "No changes" in tool.run("plan", *options)
    assert tool.service.dig("web1.dyn.example.org") == ["192.0.2.31"]
    assert tool.service.dig("web2.dyn.example.org", "AAAA") == ["2001:db8::32"]
    found = tool.json("show", "web?", "--stack", tool.stack, "--format", "json")
    assert [host["comment"] for host in found] == ["Of the vault"] * 2
    tool.run("destroy", "--stack", tool.stack, "-y")


def test_forms_of_a_plan(tool: Tool) -> None:
    tool.declare(a={"ipv4": "192.0.2.1"})
    arguments = ("plan", "web.yml", "--format")
    whole = json.loads(tool.run(*arguments, "json", code=2))
    assert (whole["url"], whole["summary"]["add"]) == (tool.service.url, 1)
    lines = [json.loads(line) for line in tool.run(*arguments, "ndjson", code=2).splitlines()]
    assert [line["type"] for line in lines] == ["plan", "change", "summary"]
    assert tool.run(*arguments, "markdown", code=2).startswith("### Plan: 1 to add")
    assert "\x1b" not in tool.run(*arguments, "text", code=2)


@contextlib.contextmanager
def lagging(address: str, queries: int) -> Iterator[str]:
    """A name server that answers so many queries with an old address, and is silent then; hands out HOST:PORT."""

    def serve() -> None:
        for _ in range(queries):
            wire, peer = listener.recvfrom(4096)
            query = dns.message.from_wire(wire)
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.AA
            answer.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", address))
            listener.sendto(answer.to_wire(), peer)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)


@pytest.mark.parametrize(("queries", "seen"), [(1, "no answer"), (4, "192.0.2.99")])
def test_laggards_are_named(tool: Tool, queries: int, seen: str) -> None:
    tool.declare(a={"ipv4": "192.0.2.1", "ipv6": "dynamic"})
    tool.run("apply", "web.yml", "-y")
    with lagging("192.0.2.99", queries) as behind:
        told = tool.run("apply", "web.yml", "-y", "--verify", "1.2", "--dns", tool.dns, "--dns", behind, code=1)
    assert f"  {behind}: {tool.name('a')} A: {seen}, not 192.0.2.1\n" in told
    assert f"  {tool.dns}: " not in told


def test_without_a_terminal_it_does_not_ask(tool: Tool) -> None:
    tool.declare(a={"ipv4": "192.0.2.1"})
    assert "use --yes" in tool.run("apply", "web.yml", code=1, given="y\n")
    assert tool.run("show", "--stack", tool.stack).count("\n") == 1


@contextlib.contextmanager
def terminal(tool: Tool, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`ddnsctl` on a terminal; hands out the process and the terminal's other side."""
    ours, theirs = pty.openpty()
    env = tool.env | {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        [BIN / "ddnsctl", *arguments], cwd=tool.folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        try:
            yield process, ours
        finally:
            if process.poll() is None:
                process.kill()
            os.close(ours)


def shown(terminal_: int, until: bytes) -> str:
    """What appears, up to this."""
    seen = b""

    def there() -> bool:
        nonlocal seen
        with contextlib.suppress(OSError):
            seen += os.read(terminal_, 65536)
        return until in seen

    wait_until(there, what=repr(until))
    return seen.decode()


def test_on_a_terminal_it_asks_in_colour(tool: Tool) -> None:
    tool.declare(a={"ipv4": "192.0.2.1"})
    with terminal(tool, "apply", "web.yml") as (process, other):
        assert "\x1b[32m" in shown(other, b"Apply these changes?")
        os.write(other, b"n\n")
        shown(other, b"not confirmed, so nothing has been changed")
        assert process.wait(10) == 1
    assert tool.service.dig(tool.name("a")) == []
    with terminal(tool, "apply", "web.yml") as (process, other):
        shown(other, b"Apply these changes?")
        os.write(other, b"y\n")
        shown(other, b"Applied: 1 added.")
        assert process.wait(10) == 0
    with terminal(tool, "destroy", "--stack", tool.stack) as (process, other):
        shown(other, b"to delete all of it")
        os.write(other, b"y\n")
        shown(other, b"nothing has been changed")
        assert process.wait(10) == 1
    with terminal(tool, "destroy", "--stack", tool.stack) as (process, other):
        shown(other, b"to delete all of it")
        os.write(other, tool.stack.encode() + b"\n")
        shown(other, b"Applied: 1 deleted.")
        assert process.wait(10) == 0


def test_two_people_apply_the_same_and_the_second_one_goes_on(tool: Tool, tmp_path: Path) -> None:
    """The first one takes the lease. Nothing that the second one does replaces the secret of the first."""
    second = Tool(tool.service, tmp_path / "second", tool.stack)
    second.folder.mkdir()
    for person in (tool, second):
        person.declare(a={"ipv4": "192.0.2.1", "secret": {"file": "a"}})
    with terminal(second, "apply", "web.yml") as (process, other):
        shown(other, b"Apply these changes?")
        told = tool.run("apply", "web.yml", "-y", code=6)
        assert f"{tool.stack} is being applied by admin.token" in told
        assert f"(process {process.pid} on {socket.gethostname()}) since " in told
        tool.run("apply", "web.yml", "-y", "--force-unlock")
        os.write(other, b"y\n")
        told = shown(other, b"make a new plan.")
        assert "the lease of the stack has ended: somebody took it away" in told
        assert "The server refused them, so they were not made." in told
        assert process.wait(10) == 4
    for _ in range(2):
        told = second.run("apply", "--resume", "-y", code=4)
        assert f"create {tool.name('a')}: {tool.name('a')} is now registered (make a new plan)" in told
    assert not (second.folder / "a").exists()
    assert tool.works("a", tool.secret("a"))
    assert made_secrets(tool) == []
    (journal,) = second.journals()
    assert tool.service.admin_token not in journal.read_text()
    assert "No changes" in second.run("plan", "web.yml")
    told = second.run("apply", "web.yml", "-y")
    assert f"Deleted {journal.relative_to(second.folder)}: this plan replaces what the earlier run left." in told
    assert second.journals() == []
    assert tool.works("a", tool.secret("a"))


def test_a_journal_is_deleted_only_by_a_plan_that_covers_it(tool: Tool) -> None:
    tool.declare(b={"ipv4": "192.0.2.2"})
    apply_while_taken(tool, tool.name("b"))
    (journal,) = tool.journals()
    tool.declare("other.yml", c={})
    told = tool.run("apply", "other.yml", "-y")
    assert "an earlier run is unfinished: continue it with `ddnsctl apply --resume`, or delete" in told
    assert tool.journals() == [journal]
    elsewhere = json.loads((tool.folder / "other.yml").read_text()) | {"stack": f"x{tool.stack}", "hosts": {"d": {}}}
    assert "unfinished" not in tool.run("plan", "-", code=2, given=json.dumps(elsewhere))
    remove(tool.service, tool.name("b"))
    copy = journal.read_text()
    assert "1 deleted" in tool.run("destroy", "--stack", tool.stack, "-y")
    assert tool.journals() == []
    journal.parent.mkdir()
    journal.write_text(copy)
    told = tool.run("apply", "web.yml", "-y")
    assert f"Deleted {journal.relative_to(tool.folder)}" in told
    assert "Applied: 1 added." in told
    assert tool.journals() == []


def test_a_live_run_is_named_and_a_second_one_waits(tool: Tool) -> None:
    tool.declare(a={"ipv4": "192.0.2.1", "secret": {"file": "a"}})
    with begun_and_unanswered(tool) as (process, _):
        user = f"process {process.pid} on {socket.gethostname()} since "
        assert user in tool.run("apply", "--resume", "-y", code=1)
        process.kill()
        process.wait(10)
    wait_until(lambda: tool.service.dig(tool.name("a")) == ["192.0.2.1"], what="the host")
    told = tool.run("apply", "web.yml", "-y")
    assert "its answers have secrets that are not stored yet: first continue it" in told
    assert len(tool.journals()) == 1
    tool.run("apply", "--resume", "-y")
    assert tool.works("a", tool.secret("a"))


def test_a_host_that_is_given_away_while_the_plan_waits_is_left_alone(tool: Tool) -> None:
    """An administrator's token could change it all the same."""
    tool.service.cli("user", "add", "bob")
    for action, arguments in (("update", ("apply", "web.yml")), ("delete", ("apply", "web.yml", "--prune"))):
        tool.declare(a={"ipv4": "192.0.2.1"}, b={})
        tool.run("apply", "web.yml", "-y")
        kept: dict[str, Any] = {"a": {"ipv4": "192.0.2.2"}} if action == "update" else {}
        tool.declare(**kept, b={})
        with terminal(tool, *arguments, "--max-deletes", "all") as (process, other):
            shown(other, b"Apply these changes?")
            tool.service.cli("host", "give", tool.name("a"), "--to", "bob", "--yes")
            os.write(other, b"y\n")
            told = shown(other, b"make a new plan.")
            assert f"{action} {tool.name('a')}" in told
            assert 'owner is "bob" now' in told
            assert process.wait(10) == 4
        assert tool.service.dig(tool.name("a")) == ["192.0.2.1"]
        assert "belongs to the user bob" in tool.run("apply", "--resume", "-y", code=4)
        tool.service.cli("host", "give", tool.name("a"), "--to", "admin", "--yes")
        for journal in tool.journals():
            journal.unlink()


def made_secrets(tool: Tool) -> list[dict[str, Any]]:
    """What the service noted of new secrets for the host `a`."""
    found = tool.service.get(f"/api/events?object={tool.name('a')}", tool.service.admin_token).json()["items"]
    assert found
    return [event for event in found if "secret" in event["action"] or "rotate" in event["action"]]


@contextlib.contextmanager
def begun_and_unanswered(tool: Tool) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`terminal` with an apply that has sent its changes to a service that hangs."""
    process_of_service = tool.service.process
    assert process_of_service is not None
    with terminal(tool, "apply", "web.yml") as (process, other):
        shown(other, b"Apply these changes?")
        with hung(process_of_service.pid):
            os.write(other, b"y\n")
            wait_until(lambda: any("begin" in path.read_text() for path in tool.journals()), what="a begun change")
            wait_until(lambda: unread(tool.service.http_port) > 0, what="a request that nobody reads")
            time.sleep(0.2)  # the body follows the head
            yield process, other


def test_what_was_interrupted_is_resumed_with_the_secret_that_nobody_saw(tool: Tool) -> None:
    tool.declare(a={"ipv4": "192.0.2.1", "secret": {"file": "a"}})
    with begun_and_unanswered(tool) as (process, other):
        process.send_signal(signal.SIGINT)
        assert "ddnsctl apply --resume" in shown(other, b"--resume")
        assert process.wait(10) == 4
    assert len(tool.journals()) == 1
    assert not (tool.folder / "a").exists()
    # the request is on its way, and so is the end of the lease: the service carries it out, or not at all
    (journal,) = tool.journals()
    lines = map(json.loads, journal.read_text().splitlines())
    assert [len(line["call"]) for line in lines if line.get("event") == "begin"] == [32]
    told = tool.run("apply", "--resume", "-y")
    assert "replaces the present one" not in told
    assert tool.works("a", tool.secret("a"))
    assert made_secrets(tool) == []
    assert tool.secret("a") not in tool.said
    assert tool.journals() == []
    tool.run("plan", "web.yml")


def test_a_run_is_resumed_with_another_token(tool: Tool) -> None:
    """As those of a provider, which last an hour: the service does not know the call again, and the secret is new."""
    tool.declare(a={"ipv4": "192.0.2.1", "secret": {"file": "a"}})
    with begun_and_unanswered(tool) as (process, _):
        process.kill()
    wait_until(lambda: tool.service.dig(tool.name("a")) == ["192.0.2.1"], what="the host")
    added = tool.service.cli("token", "add", "admin", "--name", tool.stack, "--scope", "admin")
    another = added.stdout.strip()
    assert "new secret, replaces the present one" in tool.run("apply", "--resume", code=1, DDNS_TOKEN=another)
    assert "1 added" in tool.run("apply", "--resume", "-y", DDNS_TOKEN=another)
    assert tool.works("a", tool.secret("a"))
    assert tool.journals() == []


def test_after_a_day_a_resumed_run_says_that_it_replaces_the_secret(tool: Tool) -> None:
    """The service has forgotten the call by then."""
    tool.declare(a={"ipv4": "192.0.2.1", "secret": {"file": "a"}})
    tool.run("plan", "web.yml", "-o", "plan.json", code=2)
    plan = json.loads((tool.folder / "plan.json").read_text())
    begun = {"event": "begin", "index": 0, "at": int(time.time()) - 24 * 3600, "call": "0" * 32}
    (tool.folder / ".ddnsctl").mkdir()
    journal = tool.folder / ".ddnsctl" / "journal-1.jsonl"
    journal.write_text("".join(json.dumps(line) + "\n" for line in ({"journal": 2, "plan": plan}, begun)))
    tool.run("apply", "plan.json", "-y")
    first = tool.secret("a")
    assert "new secret, replaces the present one" in tool.run("apply", "--resume", code=1)
    assert tool.works("a", first)
    assert "1 added" in tool.run("apply", "--resume", "-y")
    assert tool.works("a", tool.secret("a"))
    assert not tool.works("a", first)


def test_a_domain_and_its_hosts(tool: Tool) -> None:
    domain = f"{tool.stack}.example.net"
    content = {"version": 1, "stack": tool.stack, "domains": {domain: {"comment": "Lab"}}, "hosts": {f"a.{domain}": {}}}
    (tool.folder / "lab.yml").write_text(json.dumps(content))
    assert "2 added" in tool.run("apply", "lab.yml", "-y")
    assert "No changes: 1 host and 1 domain match" in tool.run("plan", "lab.yml")
    imported = tool.run("import", "--stack", tool.stack)
    assert f"  {domain}: {{comment: Lab}}\n" in imported
    assert "No changes" in tool.run("plan", "-", given=imported)
    assert "2 deleted" in tool.run("destroy", "lab.yml", "-y")


def test_quotas(tmp_path: Path) -> None:
    with dev(tmp_path / "dir", rules="on", tokens_per_user="7") as service:
        service.cli("user", "add", "alice")
        service.cli("user", "set", "alice", "--keys-per-user", "0")
        token = service.cli("token", "add", "alice", "--name", "mine").stdout.strip()
        tool = Tool(service, tmp_path, "s0")
        lines = tool.run("quotas", DDNS_TOKEN=token).splitlines()
        assert lines[0] == "quota\tused\tlimit"
        assert {"hosts_per_user\t0\t1000", "tokens_per_user\t1\t7", "keys_per_user\t\tno limit"} <= set(lines)
        found = json.loads(tool.run("quotas", "--format", "json", DDNS_TOKEN=token))
        assert found["tokens_per_user"] == {"limit": 7, "used": 1}
        assert {quota["limit"] for quota in tool.json("quotas", "--format", "json").values()} == {None}
        assert "error" in tool.run("quotas", code=1, DDNS_TOKEN=f"{token[:-1]}x")


def test_a_composed_declaration_for_two_environments(tool: Tool) -> None:
    (tool.folder / "parts").mkdir()
    (tool.folder / "common.yml").write_text(
        "version: 1\nvars: {net: 192.0.2}\nenvironments: {prod: {net: 198.51.100}, dev: {}}\n"
        "defaults: {domain: dyn.example.org, labels: {env: '${env}'}, secret: {file: 'secrets/{name}'}}\n"
    )
    (tool.folder / "parts/nodes.yml").write_text(
        f"version: 1\nhosts:\n  'node-[08..10]-${{env}}-{tool.stack}': {{ipv4: '${{net}}.${{n}}'}}\n"
    )
    (tool.folder / "web.yml").write_text(
        f"version: 1\nstack: '{tool.stack}-${{env}}'\ninclude: [common.yml, parts/nodes.yml]\n"
        f"hosts:\n  'www-${{env}}-{tool.stack}': {{ipv4: '${{net}}.1', comment: '$${{kept}}'}}\n"
    )
    assert "choose an environment with --env: dev, prod" in tool.run("plan", "web.yml", code=1)
    assert "Applied: 4 added." in tool.run("apply", ".", "--env", "prod", "-y")
    assert "Applied: 4 added." in tool.run("apply", "web.yml", "--env", "dev", "-y", DDNS_VAR_NET="203.0.113")
    assert tool.secret(f"secrets/node-09-prod-{tool.stack}")
    assert tool.service.dig(f"node-09-prod-{tool.stack}.dyn.example.org") == ["198.51.100.9"]
    assert tool.service.dig(f"node-10-dev-{tool.stack}.dyn.example.org") == ["203.0.113.10"]
    assert "No changes: 4 hosts match." in tool.run("plan", "web.yml", "--env", "prod")

    rendered = tool.run("validate", "web.yml", "--env", "prod", "--render")
    assert "No changes: 4 hosts match." in tool.run("plan", "-", given=rendered)
    imported = tool.run("import", "--stack", f"{tool.stack}-prod")
    assert '"$${kept}"' in imported
    assert "No changes: 4 hosts match." in tool.run("plan", "-", given=imported)

    node = f"node-08-prod-{tool.stack}.dyn.example.org"
    some = ("web.yml", "--env", "prod", "--var", "net=10.0.0", "--only", "node-08-*")
    told = tool.run("plan", *some, code=2)
    assert "1 to change" in told
    assert "3 other declared hosts are not" in told
    tool.run("plan", *some, "-o", "p.json", code=2)
    assert "use --prune, --max-deletes, --max-changes, --only" in tool.run(
        "apply", "p.json", "-y", "--env", "prod", code=1
    )
    assert "Applied: 1 changed." in tool.run("apply", *some, "-y")
    assert tool.service.dig(node) == ["10.0.0.8"]
    assert "3 to change" in tool.run("plan", *some[:5], code=2)
    assert "no host or domain matches nodes-*" in tool.run("plan", *some[:5], "--only", "nodes-*", code=1)
    tool.run("destroy", "web.yml", "--env", "prod", "-y")
    assert "No changes: 4 hosts match." in tool.run("plan", "web.yml", "--env", "dev", "--var", "net=203.0.113")


def test_the_service_of_egi(tmp_path: Path) -> None:
    with egi(delay=0.01) as server:
        server.add_domain("dyn.example.org")
        (tmp_path / "admin.token").write_text("token-of-alice")
        tool = Tool(Service(tmp_path, int(server.url.rpartition(":")[2]), 0), tmp_path, "s0")
        hosts = {"www.dyn.example.org": {"ipv4": "192.0.2.1", "comment": "Front", "secret": {"file": "www"}}}
        declared = {"version": 1, "stack": "s0", "hosts": hosts}
        (tmp_path / "web.yml").write_text(json.dumps(declared))
        assert "only ddnsd does" in tool.run("quotas", code=1)
        assert "1 added" in tool.run("apply", "web.yml", "-y")
        first = tool.secret("www")
        assert "No changes" in tool.run("plan", "web.yml")
        imported = tool.run("import", "--stack", "s0")
        assert "No changes" in tool.run("plan", "-", given=imported)
        hosts["www.dyn.example.org"]["comment"] = "Changed"
        (tmp_path / "web.yml").write_text(json.dumps(declared))
        told = tool.run("plan", "web.yml", "--max-deletes", "all", code=2)
        assert "-/+ www.dyn.example.org" in told
        assert "cannot change comment of a registered host" in told
        assert "1 replaced" in tool.run("apply", "web.yml", "-y", "--max-deletes", "all")
        more = declared | {"hosts": hosts | {"vm.dyn.example.org": {"ipv4": "dynamic"}}}
        (tmp_path / "more.yml").write_text(json.dumps(more))
        told = tool.run("plan", "more.yml", code=2)
        assert "registers these hosts with the address of this machine, because they have no address: vm.dyn" in told
        assert tool.secret("www") not in ("", first)
        assert "No changes" in tool.run("plan", "web.yml")
