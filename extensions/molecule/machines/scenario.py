# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines of a scenario, from nothing to running and back."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import access
from .host import Failure, locked
from .image import image
from .machine import Machine
from .network import FIRST_MACHINE, Network
from .registry import disconnect, release, reserve, sockets


@dataclass(frozen=True)
class Scenario:
    """A scenario by its name, in the folder where images and scenarios are kept."""

    home: Path
    name: str

    @property
    def folder(self) -> Path:
        return self.home / "scenarios" / self.name

    def up(self, hosts: Mapping[str, Sequence[str]], suite: str = "") -> None:
        """Make and boot machines with these names, on these wires. What is left of earlier ones is removed first."""
        root = image(self.home / "images", suite)
        with self._locked():
            self._remove()
            try:
                self._make(root, hosts)
            except BaseException:
                self._remove()
                raise

    def down(self) -> None:
        """Remove whatever exists of the scenario."""
        with self._locked():
            self._remove()

    def kill(self, host: str) -> None:
        """Cut a machine's power."""
        machine = self.machine(host)
        machine.kill()
        disconnect(sockets(machine.network) / f"ssh-{host}")

    def boot(self, host: str) -> None:
        """Power a machine on that was killed or has shut down, and wait until it has booted."""
        machine = self.machine(host)
        machine.start()
        machine.wait(access.ssh(self.folder))

    def describe(self) -> dict[str, Any]:
        """Paths of `ssh_config` and `inventory`; `machines`: `{host: {"ipv4": …, "ipv6": …, "running": bool}}`."""
        machines = {
            machine.host: {"ipv4": machine.addresses[0], "ipv6": machine.addresses[1], "running": machine.running()}
            for machine in self.machines()
        }
        return {
            "ssh_config": str(self.folder / "ssh_config"),
            "inventory": str(self.folder / "inventory.json"),
            "machines": machines,
        }

    def machines(self) -> list[Machine]:
        """All of them, in the order in which they were named."""
        try:
            state = json.loads((self.folder / "state.json").read_text())
        except FileNotFoundError:
            raise Failure(f"The scenario {self.name} is not up") from None
        network = Network(state["number"])
        return [Machine(self.folder / host, network, host, place) for host, place in state["places"].items()]

    def machine(self, host: str) -> Machine:
        """The machine with this name."""
        for machine in self.machines():
            if machine.host == host:
                return machine
        raise Failure(f"The scenario {self.name} has no machine {host}")

    def _make(self, root: Path, hosts: Mapping[str, Sequence[str]]) -> None:
        self.folder.mkdir(parents=True)
        reserve(self.folder, {host: FIRST_MACHINE + index for index, host in enumerate(hosts)})
        machines = self.machines()
        known = "".join(f"{address} {machine.host}\n" for machine in machines for address in machine.addresses)
        files = {
            "etc/hosts": f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n{known}",
            "root/.ssh/authorized_keys": access.make_key(self.folder),
        }
        network = machines[0].network
        network.make()
        for wire in sorted({wire for wires in hosts.values() for wire in wires}):
            network.lay(wire)
        for machine in machines:
            machine.make(root, files)
            network.plug(hosts[machine.host], machine.host, machine.place)
        access.write(self.folder, machines)
        for machine in machines:
            machine.start()
        for machine in machines:
            machine.wait(access.ssh(self.folder))

    def _remove(self) -> None:
        release(self.folder)
        if self.folder.exists():
            shutil.rmtree(self.folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with locked(self.home / "scenarios" / f"{self.name}.lock"):
            yield


def scenarios(home: Path) -> list[Scenario]:
    """Those that something exists of."""
    return [Scenario(home, folder.name) for folder in sorted((home / "scenarios").glob("*/"))]
