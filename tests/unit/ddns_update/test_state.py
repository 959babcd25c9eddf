# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept between runs: written at once or not at all, without secrets, and worth nothing when it is damaged."""

import json
import os
from pathlib import Path

import pytest
from parts.updater import HOST, IPV4, IPV6, SECRET, Machine
from parts.web import Web


def test_it_tells_no_secret_and_only_its_owner_may_read_it(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    machine.run()
    text = machine.state_file.read_text()
    assert SECRET not in text
    assert machine.state_file.stat().st_mode & 0o777 == 0o600
    assert machine.state_file.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(p.name for p in machine.state_file.parent.iterdir()) == ["lock", "state.json"]
    assert set(machine.state[HOST]) == {"fingerprint", "published", "sent_at"}


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
        '{"salt": "x", "names": {"vm.dyn.example.org": {"fingerprint": "f", "published": {}, "retry_at": "soon"}}}',
        '{"salt": "x", "names": {"vm.dyn.example.org": {"fingerprint": "f", "published": {}, "other": 1}}}',
        "\x00\x00\x00",
    ],
)
def test_a_damaged_file_counts_as_none(machine: Machine, server: Web, damage: str) -> None:
    machine.configure(server.url)
    machine.state_file.parent.mkdir()
    machine.state_file.write_text(damage)
    ran = machine.run()
    assert (ran.status, ran.out) == (0, f"{HOST}: updated: {IPV4} {IPV6}\n")
    aside = machine.state_file.with_name("state.json.corrupt")
    if damage:
        assert "set aside as state.json.corrupt" in ran.err
        assert aside.read_text() == damage
    else:
        assert not aside.exists()
    ran = machine.run()
    assert (ran.out, ran.err) == (f"{HOST}: current: {IPV4} {IPV6}\n", "")


def test_without_a_place_for_state_nothing_is_sent(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    (machine.folder / "state").write_text("a file")
    ran = machine.run()
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == f"ddns-update: {machine.folder}/state: cannot keep state there: File exists\n"
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
    ran = machine.run()
    assert ran.status == 2
    assert "cannot keep state there: No space left on device" in ran.err
    assert machine.state_file.read_text() == before


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
