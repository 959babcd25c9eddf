# SPDX-License-Identifier: GPL-3.0-or-later
"""The program as a process with clocks of its own, against the real service and its BIND."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from support.clients.dyndns import Host, register
from support.clients.updater import IPV4, PROGRAM, apart
from support.servers.service import Service, dev

WALL_ALONE = "--exclude-monotonic"
"""Without it the kernel's clocks move as well."""

LAUNCH = textwrap.dedent(
    """
    import sys
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_loader
    loader = SourceFileLoader("u", sys.argv[1])
    u = module_from_spec(spec_from_loader("u", loader))
    loader.exec_module(u)
    u.RESOLV_CONF, u.DNS_PORT = sys.argv[2], int(sys.argv[3])
    u.machine_addresses = lambda: [u.Own(sys.argv[4], "ipv4", 2, u.PERMANENT, 0)]
    u.default_route = lambda _: None
    sys.exit(u.main(sys.argv[5:]))
    """
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("ddnsd") / "ddnsd") as running:
        yield running


class Vm:
    """A machine whose updater keeps a host, and whose resolver is the service's BIND."""

    def __init__(self, folder: Path, host: Host) -> None:
        self.folder, self.host = folder, host
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        self.configure(host.secret)

    def configure(self, secret: str, *options: str) -> None:
        """Its configuration and its secret; `options` are lines."""
        (self.folder / "secret").write_text(secret + "\n")
        lines = [f"[{self.host.fqdn}]", f"server = {self.host.service.url}", "ipv6 = no", "sources = interface"]
        lines += [f"secret_file = {self.folder}/secret", *options, ""]
        (self.folder / "conf").write_text("\n".join(lines))

    def run(self, offset: str, *switches: str) -> tuple[int, str]:
        """A run at this offset from now; its status and the rest of its line."""
        program: list[str | Path] = [sys.executable, "-B", "-c", LAUNCH, PROGRAM, self.folder / "resolv.conf"]
        files: list[str | Path] = ["--config", self.folder / "conf", "--state", self.folder / "state"]
        done = subprocess.run(
            ["faketime", *switches, "-f", offset, *program, str(self.host.service.dns_port), IPV4, "run", *files],
            env={**os.environ, "RUNTIME_DIRECTORY": str(self.folder / "spare")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout.strip().removeprefix(f"{self.host.fqdn}: ")


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
