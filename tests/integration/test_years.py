# SPDX-License-Identifier: GPL-3.0-or-later
"""Three years of a service and of machines that nobody looks after: at the end every name points to its machine.

Service, BIND and updaters are real processes. libfaketime moves their clocks; all of a machine's clocks, or that on its
wall alone.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import programs
from support.clients.dyndns import register
from support.clients.vm import WALL_ALONE, Vm
from support.ports import free_port, wait_until
from support.servers.service import FILE, Service

HOUR, DAY, YEAR = 3600, 86400, 365 * 86400
RUNS_A_DAY = 3
"""The timers of the updater run it every five minutes. Fewer runs make it harder."""


class World:
    """A service and machines in the same time, which only a test moves."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, 0
        self.clock = folder / "clock"
        self.tell_service(0)
        [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
        # `ddnsd dev` gives its environment to its BIND. libfaketime and BIND's jemalloc would call each other without
        # end, so another library of malloc comes first.
        fake = {
            "LD_PRELOAD": f"libc_malloc_debug.so.0 {library}",
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_NO_CACHE": "1",
        }
        self.service = Service(folder / "ddnsd", free_port(), free_port(), settings=fake)
        self.machines: list[Vm] = []

    def tell_service(self, ahead: float) -> None:
        """Move all clocks of service and BIND, to so many seconds from now. While they run, only ahead."""
        self.clock.write_text(f"{ahead:+.0f}\n")

    def add(self, address: str, *options: str) -> Vm:
        """One more machine, with its host."""
        vm = Vm(self.folder / address, register(self.service, self.service.admin_token), address)
        vm.configure(vm.host.secret, *options)
        self.machines.append(vm)
        return vm

    def passes(self, seconds: float) -> None:
        """Time passes, and the updaters run once."""
        self.now += int(seconds)
        self.tell_service(self.now)
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda vm: vm.run(f"+{self.now}s"), self.machines))

    def a_day(self) -> None:
        """A day passes."""
        for _ in range(RUNS_A_DAY):
            self.passes(DAY / RUNS_A_DAY)

    def is_right(self, vm: Vm) -> bool:
        return vm.host.addresses() == [vm.address]

    def wrong(self) -> list[Vm]:
        """The machines whose name does not point to them."""
        return [vm for vm in self.machines if not self.is_right(vm)]

    def all_right(self) -> None:
        """Every name points to its machine, as soon as the service has sent what waits."""
        wait_until(lambda: not self.wrong(), what="every name points to its machine")

    @contextmanager
    def without_service(self) -> Iterator[None]:
        self.service.stop()
        yield
        self.service.start()


def block(vm: Vm, *, blocked: bool) -> None:
    """An administrator blocks the host, or ends that."""
    service = vm.host.service
    path = f"/api/hosts/{vm.host.fqdn}"
    answer = service.request("PATCH", path, service.admin_token, json={"abuse_blocked": blocked})
    assert answer.status_code == 200, answer.text


def new_secret(vm: Vm) -> str:
    """Replace the host's secret."""
    answer = vm.host.service.get("/nic/generate_secret", vm.host.token, params={"fqdn": vm.host.fqdn})
    assert answer.status_code == 200, answer.text
    secret: str = answer.json()["secret"]
    return secret


def lose(service: Service) -> None:
    """The disk with database and zones is lost; what the operator keeps elsewhere stays."""
    shutil.rmtree(service.dir / "bind")
    for file in service.dir.glob(f"{FILE}*"):
        file.unlink()


@pytest.mark.long
def test_three_years(tmp_path: Path) -> None:
    world = World(tmp_path)
    service = world.service
    service.start()
    try:
        steady = world.add("192.0.2.11", "refresh = 25d")
        daily = world.add("192.0.2.12", "refresh = 1d")
        moving = world.add("192.0.2.13", "refresh = 1d")
        silent = world.add("192.0.2.14", "refresh = 365d")
        world.passes(HOUR)
        world.all_right()

        # Reboots and power cuts
        daily.boot()
        service.kill()
        service.start()
        world.passes(10 * DAY)
        world.all_right()

        # A lost record, a record that another machine took, and another address
        steady.host.delete(myip="0.0.0.0")
        silent.host.update(myip="198.51.100.66")
        moving.address = "192.0.2.113"
        wait_until(lambda: set(world.wrong()) == {steady, silent, moving}, what="three wrong names")
        world.a_day()
        world.passes(HOUR)
        world.all_right()

        # Blocked for three days, and a secret that is wrong for two
        world.passes(60 * DAY)
        block(daily, blocked=True)
        steady.configure("a-wrong-secret", "refresh = 25d")
        steady.address = "192.0.2.111"
        for _ in range(2):
            world.a_day()
        assert world.wrong() == [steady, daily]
        steady.configure(new_secret(steady), "refresh = 25d")
        block(daily, blocked=False)
        world.a_day()
        world.passes(HOUR)
        world.all_right()

        # The service is away for a day
        world.passes(30 * DAY)
        with world.without_service():
            moving.address = "192.0.2.213"
            world.a_day()
        assert moving in world.wrong()
        world.passes(HOUR)
        world.all_right()

        # Wrong clocks: of a machine at its boot, then of the service
        daily.boot()
        daily.address = "192.0.2.112"
        assert daily.run("+20y", WALL_ALONE)[0] == 0
        silent.address = "192.0.2.114"
        silent.run("-8h", WALL_ALONE)
        for vm in (daily, silent):
            vm.boot()
        for number, ahead in enumerate((30 * DAY, -DAY)):
            with world.without_service():
                world.tell_service(world.now + ahead)
            steady.address = f"198.51.100.{number}"
            assert steady.run(f"+{world.now}s")[0] == 0
            assert world.is_right(steady)
        world.a_day()
        world.passes(HOUR)
        world.all_right()

        # The machine of the service is lost; an older backup is restored
        backup = tmp_path / "store.json"
        service.cli("export", str(backup))
        for number, vm in enumerate(world.machines):
            vm.address = f"203.0.113.{number}"
        world.a_day()
        world.all_right()
        with world.without_service():
            lose(service)
            service.cli("db", "upgrade")
            service.cli("import", str(backup))
        wait_until(lambda: len(world.wrong()) == 4, what="the addresses of the backup")
        world.a_day()
        world.passes(HOUR)
        world.all_right()

        # Years in which nothing happens
        for _ in range(5):
            world.passes(YEAR / 2)
        for vm in world.machines:
            vm.boot()
        world.passes(HOUR)
        world.all_right()
        assert world.now > 2.5 * YEAR
        done = programs.run(["ddnsd", "reconcile", "--check"], service.env)  # with the clock of the service
        assert (done.returncode, done.stdout) == (0, "")
    finally:
        service.stop()
