# SPDX-License-Identifier: GPL-3.0-or-later
"""The program as a process with clocks of its own, against the real service and its BIND."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from support.clients.dyndns import register
from support.clients.updater import IPV4, PROGRAM, apart
from support.clients.vm import WALL_ALONE, Vm
from support.servers.service import Service, dev


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("ddnsd") / "ddnsd") as running:
        yield running


@pytest.fixture
def vm(tmp_path: Path, service: Service) -> Vm:
    return Vm(tmp_path, register(service, service.admin_token))


def test_a_year_of_a_machine(vm: Vm) -> None:
    """A record that another machine took, one that was lost, a secret that was wrong for a week: nobody helps."""
    vm.configure(vm.host.secret, "refresh = 365d")
    updated, current = (0, f"updated: {IPV4}"), (0, f"current: {IPV4}")
    assert vm.run("+0d") == updated
    assert vm.run("+1h") == current
    vm.host.update(myip="198.51.100.66")
    assert vm.run("+2h") == current
    assert vm.run("+26h") == updated
    assert vm.host.addresses() == [IPV4]

    vm.host.service.get("/nic/delete", auth=(vm.host.fqdn, vm.host.secret), params={"myip": "0.0.0.0"})
    assert vm.host.addresses() == []
    assert vm.run("+3d") == updated
    assert vm.host.addresses() == [IPV4]
    assert vm.run("+5d") == current

    vm.configure("not-the-secret", "refresh = 365d")
    status, text = vm.run("+6d")
    assert (status, text.startswith("paused: badauth: ")) == (3, True)
    vm.configure(vm.host.secret, "refresh = 365d")
    assert vm.run("+6d") == updated
    assert vm.run("+400d") == updated


def test_a_block_that_was_lifted_is_found_within_a_day(vm: Vm) -> None:
    def blocked(flag: bool) -> None:
        admin = {"Authorization": f"Bearer {vm.host.service.admin_token}"}
        url = f"{vm.host.service.url}/api/hosts/{vm.host.fqdn}"
        assert requests.patch(url, headers=admin, json={"abuse_blocked": flag}, timeout=20).status_code == 200

    blocked(True)
    for offset in ("+0h", "+2h", "+5h"):
        status, text = vm.run(offset)
        assert (status, text.startswith("paused: abuse: ")) == (3, True)
    blocked(False)
    assert vm.run("+6h")[0] == 3
    assert vm.run("+29h") == (0, f"updated: {IPV4}")
    assert vm.host.addresses() == [IPV4]


@pytest.mark.parametrize("ahead", ["+8h", "-8h", "+5y"])
def test_a_clock_that_is_set_right_after_a_failure_delays_nothing(vm: Vm, ahead: str) -> None:
    vm.host.service.stop()
    try:
        assert vm.run(ahead, WALL_ALONE)[1].startswith("failed: cannot reach 127.0.0.1 port ")
        if ahead != "-8h":  # there the clock has jumped ahead over the wait
            assert vm.run("+0", WALL_ALONE)[1].startswith("waiting: until ")
    finally:
        vm.host.service.start()
    # Much later by the kernel's clock, and still before the end of the wait by the one that was ahead.
    assert vm.run("+1m") == (0, f"updated: {IPV4}")
    assert vm.host.addresses() == [IPV4]


WATCH = """
import json, os, subprocess, sys
from pathlib import Path
from support.ports import wait_until
from support.servers.http_stub import web
program, folder = os.environ["PROGRAM"], Path(os.environ["FOLDER"])
(library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
clock = folder / "clock"
clock.write_text("+8h\\n")
fake = {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1", "RUNTIME_DIRECTORY": str(folder / "spare")}
with web(lambda _: "good") as server:
    (folder / "secret").write_text("the-secret")
    (folder / "conf").write_text(f"[vm.example.org]\\nserver = {server.url}\\nsources = interface\\n"
                                 f"secret_file = {folder}/secret\\n")
    watch = subprocess.Popen(
        [sys.executable, "-B", program, "watch", "--config", folder / "conf", "--state", folder / "state"],
        env=os.environ | fake, stdout=subprocess.DEVNULL)
    try:
        for number, ahead in enumerate(("+8h", "+0", "-8h", "+8h", "+0")):
            clock.write_text(ahead + "\\n")
            subprocess.run(["ip", "addr", "add", f"192.0.2.{number + 1}/32", "dev", "wan0"], check=True)
            if number:
                subprocess.run(["ip", "addr", "del", f"192.0.2.{number}/32", "dev", "wan0"], check=True)
            wanted = f"192.0.2.{number + 1}"
            wait_until(lambda: wanted in [a.query["myip"] for a in server.asked], 30, wanted)
        status = watch.poll()
    finally:
        watch.kill(); watch.wait()
    print(json.dumps({"asked": [a.query["myip"] for a in server.asked], "status": status}))
"""


def test_watch_survives_steps_of_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROGRAM", str(PROGRAM))
    monkeypatch.setenv("FOLDER", str(tmp_path))
    found = apart(WATCH, "link add wan0 type veth peer name wan1", "link set wan0 up", "link set wan1 up")
    assert found["status"] is None
    assert list(dict.fromkeys(found["asked"])) == [f"192.0.2.{number}" for number in range(1, 6)]
