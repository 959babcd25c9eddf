# SPDX-License-Identifier: GPL-3.0-or-later
"""What must not silence a machine for good: a section, a disk, a lock, a state, or an old secret of `watch`."""

import argparse
import errno
import fcntl
import json
import os
from pathlib import Path

import pytest
from support.clients.updater import HOST, IPV4, IPV6, SECRET, Machine
from support.servers.http_stub import Web

DAY = 24 * 3600
UPDATED, CURRENT = f"{HOST}: updated: {IPV4} {IPV6}\n", f"{HOST}: current: {IPV4} {IPV6}\n"


# ---- the configuration


def test_a_wrong_section_stops_no_other(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    machine.config.write_text(
        machine.config.read_text() + f"[b.example.org]\nsecret = {HOST}\n[c.example.org]\nserver = {server.url}\n"
        f"secret = gone\nrefresh = never\n"
    )
    ran = machine.run()
    assert ran.status == 3
    assert ran.out.splitlines() == [
        UPDATED.strip(),
        "b.example.org: wrong: server: dyndns2 needs it",
        "c.example.org: wrong: refresh: must be a number and m, h or d, from 5m to 365d",
    ]
    assert [n["status"] for n in machine.run("--json").names] == ["current", "wrong", "wrong"]
    assert machine.run(HOST).out == CURRENT
    ran = machine.run("b.example.org")
    assert (ran.status, ran.out) == (3, "b.example.org: wrong: server: dyndns2 needs it\n")
    assert len(server.asked) == 1


def test_a_section_that_was_wrong_for_a_while_keeps_its_state(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    right = machine.config.read_text()
    machine.config.write_text(right + f"[b.example.org]\nserver = {server.url}\nsecret = {HOST}\n")
    machine.run()
    machine.config.write_text(machine.config.read_text().replace(f"[{HOST}]", f"[{HOST}]\ntimeout = 0"))
    assert machine.run().status == 3
    machine.config.write_text(right)
    server.taken()
    assert machine.run().out == CURRENT
    assert server.asked == []


@pytest.mark.parametrize("section", ["*.vm.example.org", "*.vm.example.org at home"])
def test_a_wildcard_is_refused_with_what_to_do(machine: Machine, server: Web, section: str) -> None:
    machine.configure(server.url, section=section)
    ran = machine.run()
    plain = section.removeprefix("*.")
    assert (ran.status, server.asked) == (2, [])
    assert ran.err == (
        f"ddns-update: {machine.config}: [{section}]: a wildcard cannot be updated: write [{plain}], "
        "and set `wildcard` of that host at the server\n"
    )


def test_a_wildcard_cannot_be_enrolled(machine: Machine) -> None:
    ran = machine.run("enrol", "*.vm.example.org", "--server", "https://ddns.example.org", "--token-file", "/nowhere")
    assert (ran.status, "is not a full host name" in ran.err) == (2, True)


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_files_of_another_editor(machine: Machine, server: Web, mark: str, end: str) -> None:
    machine.configure(server.url)
    for file in (machine.config, machine.folder / "secrets" / HOST):
        file.write_bytes((mark + file.read_text().replace("\n", end)).encode())
    assert machine.run().out == UPDATED
    assert server.asked[0].basic == f"{HOST}:{SECRET}"


def test_a_token_of_another_editor(machine: Machine, server: Web, tmp_path: Path) -> None:
    token, secret = tmp_path / "token", tmp_path / "new-secret"
    token.write_bytes("\ufeffddnse_token\r\n".encode())
    server.says((200, json.dumps({"fqdn": HOST})))
    arguments = ["--server", server.url, "--token-file", str(token), "--secret-file", str(secret)]
    assert machine.run("enrol", HOST, *arguments).out == f"{HOST}: enrolled\n"
    assert server.asked[0].headers["authorization"] == "Bearer ddnse_token"
    assert not token.exists()


# ---- the state


def full_disk(machine: Machine, monkeypatch: pytest.MonkeyPatch, number: int = errno.ENOSPC) -> None:
    """The folder of the state cannot be written; the one in /run can."""
    real = os.open

    def opened(file: str, flags: int, *mode: int) -> int:
        if str(file).startswith(str(machine.state_file.parent)) and flags & os.O_WRONLY:
            raise OSError(number, os.strerror(number))
        return real(file, flags, *mode)

    monkeypatch.setattr(os, "open", opened)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES])
def test_a_disk_that_cannot_be_written_stops_nothing(
    machine: Machine, server: Web, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    machine.configure(server.url)
    machine.run()
    before = machine.state_file.read_text()
    with monkeypatch.context() as patched:
        full_disk(machine, patched, number)
        machine.addresses = ["192.0.2.8", IPV6]
        server.taken()
        assert machine.run().out == f"{HOST}: updated: 192.0.2.8 {IPV6}\n"
        for _ in range(3):
            machine.now += 300
            assert machine.run().out == f"{HOST}: current: 192.0.2.8 {IPV6}\n"
        assert len(server.taken()) == 1, "it knows what it has sent"
        assert machine.state_file.read_text() == before
    spare = machine.folder / "spare" / "state.json"
    assert machine.updater.next_due(str(machine.state_file.parent), machine.moment) > 0
    assert spare.stat().st_mode & 0o777 == 0o600
    assert SECRET not in spare.read_text()
    machine.addresses = ["192.0.2.9", IPV6]
    assert machine.run().out == f"{HOST}: updated: 192.0.2.9 {IPV6}\n"
    assert not spare.exists()
    assert machine.state[HOST]["published"]["ipv4"] == "192.0.2.9"
    assert machine.run().out == f"{HOST}: current: 192.0.2.9 {IPV6}\n"


def test_a_first_run_on_a_full_disk(machine: Machine, server: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.configure(server.url)
    full_disk(machine, monkeypatch)
    assert machine.run().out == UPDATED
    assert machine.run().out == CURRENT


def test_a_damaged_state_on_a_disk_that_cannot_be_written(
    machine: Machine, server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.configure(server.url)
    machine.state_file.parent.mkdir()
    machine.state_file.write_text("{")

    real = os.replace

    def replace(old: str, new: str) -> None:
        if new.endswith(".corrupt"):
            raise OSError(errno.EROFS, "Read-only file system")
        real(old, new)

    full_disk(machine, monkeypatch, errno.EROFS)
    monkeypatch.setattr(os, "replace", replace)
    assert machine.run().out == UPDATED
    assert machine.run().out == CURRENT


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry["pauses"]["ipv4"].update({"for": 10 * 365 * DAY}),
        lambda entry: entry["searches"].update({"ipv4": entry["pauses"].pop("ipv4") | {"for": 2 * DAY}}),
        lambda entry: entry.update(sent={"ipv4": dict.fromkeys(("up", "at", "for"), 2**39) | {"boot": "b"}}),
        lambda entry: entry.update(since={"boot": 7}),
        lambda entry: entry.update(new_in_a_later_version={}),
    ],
)
def test_a_state_from_the_future_or_of_a_later_version(machine: Machine, server: Web, change: object) -> None:
    """A wait that is longer than any that the program makes counts as damage."""
    machine.configure(server.url)
    server.says((200, "nohost"), "good")
    machine.run()
    data = json.loads(machine.state_file.read_text())
    assert callable(change)
    change(data["names"][HOST])
    machine.state_file.write_text(json.dumps(data))
    assert machine.run().out == UPDATED
    assert machine.run().out == CURRENT


def test_waits_that_began_in_the_future_are_no_longer_than_others(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    server.says((200, "nohost"), "good")
    machine.ahead = 20 * 365 * DAY
    machine.run()
    machine.ahead = 0
    machine.now += 1.1 * 3600 + 2
    assert machine.run().out == UPDATED


# ---- the lock


def test_a_run_that_does_not_end_is_told(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    machine.run()
    machine.updater.PATIENCE = 0
    with (machine.state_file.parent / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = machine.run("--force")
    assert (ran.status, ran.out) == (1, "")
    assert "another run has held the lock for" in ran.err
    assert machine.run().out == CURRENT


def test_a_file_system_without_locks(machine: Machine, server: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)
    machine.configure(server.url)
    assert machine.run().out == UPDATED


# ---- the secrets of `watch`, which systemd gave it when it began


def test_a_watch_with_an_old_secret_does_not_send(machine: Machine, server: Web) -> None:
    """Or the two secrets would take turns, each refused and each tried at once, because it differs."""
    machine.configure(server.url)
    began = machine.moment.up
    machine.run("run", "--since", str(began))
    machine.now += 3600
    machine.secret(text="the-new-one")
    assert machine.run().out == UPDATED
    machine.secret()
    server.taken()
    ran = machine.run("run", "--since", str(began))
    assert (ran.status, ran.out, server.asked) == (machine.updater.STALE, "", [])
    assert "a later run has used another secret" in ran.err
    machine.secret(text="the-new-one")
    began = machine.moment.up
    assert machine.run("run", "--since", str(began)).out == CURRENT
    machine.boot()
    machine.secret()
    assert machine.run("run", "--since", "0").out == UPDATED, "after a boot nothing is known of who is older"


def test_watch_ends_for_new_secrets_and_passes_on_when_it_got_them(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / "arguments"
    program = tmp_path / "program"
    program.write_text(f"import sys\nopen({str(written)!r}, 'w').write(' '.join(sys.argv[1:]))\nsys.exit(75)\n")
    machine.updater.ITSELF = [str(program)]
    arguments = argparse.Namespace(config="c", state=str(tmp_path / "state"), names=[HOST])
    assert machine.updater.watch(arguments, clock=lambda: machine.moment) == 75
    assert written.read_text() == f"run --config c --state {tmp_path}/state {HOST}"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert machine.updater.watch(arguments, clock=lambda: machine.moment) == 75
    assert written.read_text() == f"run --config c --state {tmp_path}/state --since {machine.moment.up} {HOST}"


def statuses(machine: Machine, monkeypatch: pytest.MonkeyPatch, *given: int) -> tuple[int, list[float]]:
    """What `watch` ends with after runs with these statuses, and how long it waited after each."""
    waits: list[float] = []
    left = list(given)
    monkeypatch.setattr(machine.updater, "wait_for_change", lambda *a: waits.append(a[2]))
    arguments = argparse.Namespace(state=str(machine.state_file.parent))
    return machine.updater.watch(arguments, lambda: left.pop(0), lambda: machine.moment), waits


def test_watch_looks_twice_at_a_wrong_configuration(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor may just be writing the file."""
    assert statuses(machine, monkeypatch, 0, 2, 0, 2, 3, 1, 2, 2) == (2, [3600, 10, 3600, 10, 3600, 300, 10])


def test_watch_survives_a_run_that_cannot_begin(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("subprocess.Popen", broken)
    opened = len(list(Path("/proc/self/fd").iterdir()))
    assert machine.updater.child(argparse.Namespace(config="c", state="s", names=[]), 0.0) == 1
    assert capsys.readouterr().err == "ddns-update: cannot run: Cannot allocate memory\n"
    assert len(list(Path("/proc/self/fd").iterdir())) == opened


def test_watch_ends_a_run_that_does_not_end(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "program"
    program.write_text("import time\ntime.sleep(600)\n")
    machine.updater.ITSELF = [str(program)]
    monkeypatch.setattr("select.select", lambda *_: ([], [], []))
    assert machine.updater.child(argparse.Namespace(config="c", state="s", names=[]), 0.0) < 0
    assert capsys.readouterr().err == "ddns-update: a run did not end in time\n"
