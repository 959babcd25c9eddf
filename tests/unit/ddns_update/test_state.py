# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept between runs: written at once or not at all, without secrets, and worth nothing when it is damaged."""

import json
import os
from pathlib import Path

import pytest
from support.clients.updater import HOST, IPV4, IPV6, SECRET, Machine
from support.servers.http_stub import Web


def test_it_tells_no_secret_and_only_its_owner_may_read_it(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    machine.run()
    text = machine.state_file.read_text()
    assert SECRET not in text
    assert machine.state_file.stat().st_mode & 0o777 == 0o600
    assert machine.state_file.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(p.name for p in machine.state_file.parent.iterdir()) == ["lock", "state.json"]
    assert set(machine.state[HOST]) == {"fingerprint", "published", "sent", "pauses", "searches", "look", "since"}


def test_the_salt_differs_from_machine_to_machine(tmp_path: Path, server: Web) -> None:
    one, two = Machine(tmp_path / "one"), Machine(tmp_path / "two")
    for machine in (one, two):
        machine.configure(server.url)
        machine.run()
    assert one.state[HOST]["fingerprint"] != two.state[HOST]["fingerprint"]


def test_nothing_changed_writes_nothing(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    machine.run()
    before = machine.state_file.stat()
    machine.run()
    assert machine.state_file.stat() == before


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        "null",
        '{"salt": 1, "names": {}}',
        '{"salt": "x", "names": []}',
        '{"salt": "x", "names": {"vm.dyn.example.org": {"published": {}}}}',
        '{"salt": "x", "names": {"vm.dyn.example.org": {"fingerprint": "f", "published": {"ipv4": 7}}}}',
        '{"salt": "x", "names": {"vm.dyn.example.org": {"fingerprint": "f", "published": {}, "single": "no"}}}',
        '{"salt": "x", "names": {"vm.dyn.example.org": 5}}',
        '{"salt": "x", "names": {"vm.dyn.example.org": {"fingerprint": "f", "published": {}, "pauses": {"ipv4": {}}}}}',
        '{"salt": "x", "names": {"vm.dyn.example.org": {"fingerprint": "f", "published": {}, "pauses": {"ipv5": 1}}}}',
        '{"salt": "x", "names": {"vm.dyn.example.org": {"fingerprint": "f", "published": {}, "sent": {"ipv4": {}}}}}',
        '{"salt": "x", "names": {"vm.dyn.example.org": {"fingerprint": "f", "published": {}, "look": {}}}}',
        '{"salt": "x", "names": {"vm.dyn.example.org": {"fingerprint": "f", "published": {}, "other": 1}}}',
        "\x00\x00\x00",
        "[" * 100_000,
        '{"salt": "x", "names": {"vm.dyn.example.org": {"fingerprint": "f", "published": {}, "pauses": {"ipv4": {'
        f'"boot": "b", "up": 0, "at": {10**400}, "for": 1, '
        '"error": "", "refused": false, "tries": 1, "network": ""}}}}}',
    ],
    ids=lambda damage: damage[:20],
)
def test_a_damaged_file_counts_as_none(machine: Machine, server: Web, damage: str) -> None:
    machine.configure(server.url)
    machine.state_file.parent.mkdir()
    machine.state_file.write_text(damage)
    ran = machine.run()
    assert (ran.status, ran.out) == (0, f"{HOST}: updated: {IPV4} {IPV6}\n")
    aside = machine.state_file.with_name("state.json.corrupt")
    if damage:
        assert "renamed to state.json.corrupt" in ran.err
        assert aside.read_text() == damage
    else:
        assert not aside.exists()
    ran = machine.run()
    assert (ran.out, ran.err) == (f"{HOST}: current: {IPV4} {IPV6}\n", "")


def test_without_a_place_for_state_nothing_is_sent(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    (machine.folder / "state").write_text("a file")
    (machine.folder / "spare").write_text("a file")
    ran = machine.run()
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == f"ddns-update: {machine.folder}/state: cannot save the state: File exists\n"
    assert server.asked == []


def test_a_write_that_fails_leaves_the_old_state(
    machine: Machine, server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.configure(server.url)
    machine.run()
    before = machine.state_file.read_text()
    machine.addresses = ["192.0.2.8"]

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    server.taken()
    for _ in range(2):
        ran = machine.run()
        assert ran.status == 1, "a full disk is emptied some day: systemd tries again"
        assert "cannot save the state: No space left on device" in ran.err
        assert machine.state_file.read_text() == before
    assert server.taken() == [], "or it would be sent at each try"


def test_names_that_are_gone_are_forgotten(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    machine.run()
    machine.configure(server.url, section="new.example.org")
    machine.run()
    assert list(machine.state) == ["new.example.org"]


def test_the_folder_of_systemd(machine: Machine, server: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/systemd:{tmp_path}/second")
    machine.configure(server.url)
    assert machine.updater.main(["--config", str(machine.config)]) == 0
    assert list(json.loads((tmp_path / "systemd" / "state.json").read_text())["names"]) == [HOST]


def test_the_state_of_the_version_that_stopped_for_good(machine: Machine, server: Web) -> None:
    """It is not damaged: what was published is known, and what was stopped is tried."""
    machine.configure(server.url)
    machine.run()
    data = json.loads(machine.state_file.read_text())
    entry = data["names"][HOST]
    for new in ("sent", "pauses", "look"):
        del entry[new]
    entry |= {"stopped": "badauth: …", "retry_at": 2_000_000_000, "failures": 3, "error": "…", "hard": True}
    machine.state_file.write_text(json.dumps(data | {"names": {HOST: entry | {"network": "x", "sent_at": 1}}}))
    ran = machine.run()
    assert (ran.status, ran.out, ran.err) == (0, f"{HOST}: updated: {IPV4} {IPV6}\n", "")
    assert machine.run().out == f"{HOST}: current: {IPV4} {IPV6}\n"


def test_a_run_of_root_s_leaves_the_files_to_the_owner_of_the_folder(
    machine: Machine, server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `ddns-update --force` beside a service with a user of its own, which could not read its state any more."""
    given: dict[str, tuple[int, int]] = {}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    real = os.fstat
    monkeypatch.setattr(os, "fstat", lambda fd: os.stat_result([*real(fd)[:4], 12345, 12345, *real(fd)[6:]]))
    opened = Path("/proc/self/fd")
    monkeypatch.setattr(os, "fchown", lambda fd, *owner: given.update({str((opened / str(fd)).readlink()): owner}))
    machine.configure(server.url)
    folder = machine.state_file.parent
    assert machine.run("--force").status == 0
    owner = folder.stat().st_uid, folder.stat().st_gid
    assert given == {str(folder / "lock"): owner, str(folder / "state.json.new"): owner}


def test_where_the_owner_is_right_nothing_is_asked_that_a_sandbox_forbids(
    machine: Machine, server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", forbidden)
    machine.configure(server.url)
    assert machine.run().status == 0


def test_a_link_in_the_folder_is_not_followed(machine: Machine, server: Web, tmp_path: Path) -> None:
    machine.configure(server.url)
    machine.state_file.parent.mkdir()
    (tmp_path / "precious").write_text("kept")
    machine.state_file.with_name("state.json.new").symlink_to(tmp_path / "precious")
    (machine.folder / "spare").mkdir()
    (machine.folder / "spare" / "state.json.new").symlink_to(tmp_path / "precious")
    assert machine.run().status == 1
    assert (tmp_path / "precious").read_text() == "kept"
