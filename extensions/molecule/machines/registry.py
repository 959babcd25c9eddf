# SPDX-License-Identifier: GPL-3.0-or-later
"""Which scenario has which network of the host, written down so that what a killed run left is found and removed."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .host import Failure, cgroups, locked, remove_cgroup, unmount
from .network import NUMBERS, Network

REGISTRY = Path("/run/ddns-machines")
"""A folder per network in use, named by its number. In it, `scenario` holds the folder of its scenario, and ssh-* are
the sockets of ssh's kept connections."""


@contextmanager
def held() -> Iterator[None]:
    """Hold the host's lock, and remove what belongs to no scenario any more."""
    with locked(REGISTRY / "lock"):
        for taken in _taken():
            if _number(taken) != int(taken.name):
                _release(taken, None)
        yield


def reserve(folder: Path, places: dict[str, int]) -> None:
    """Take a free network for the scenario in the folder; its state.json tells the number and the machines' places."""
    with held():
        for network in map(Network, NUMBERS):
            taken = sockets(network)
            if not taken.exists() and network.free():
                (folder / "state.json").write_text(json.dumps({"number": network.number, "places": places}))
                taken.mkdir(mode=0o700)
                (taken / "scenario").write_text(str(folder))
                return
    raise Failure("No network is free for the scenario")


def release(folder: Path) -> None:
    """Remove whatever runs, is mounted or is wired for the scenario in the folder."""
    with held():
        for taken in _taken():
            if (taken / "scenario").read_text() == str(folder):
                _release(taken, folder)
    unmount(folder)


def sockets(network: Network) -> Path:
    """The folder for ssh's kept connections into the network."""
    return REGISTRY / str(network.number)


def disconnect(socket: Path) -> None:
    """End the ssh process that keeps a connection open."""
    if socket.exists():
        command = ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "machine"]
        subprocess.run(command, capture_output=True, check=False)
        socket.unlink(missing_ok=True)


def _taken() -> list[Path]:
    return sorted(folder for folder in REGISTRY.glob("*/") if folder.name.isdigit())


def _number(taken: Path) -> int | None:
    """The number of the network that the scenario says it has; nothing if there is no such scenario."""
    try:
        folder = Path((taken / "scenario").read_text())
        return int(json.loads((folder / "state.json").read_text())["number"])
    except (FileNotFoundError, ValueError):
        return None


def _release(taken: Path, folder: Path | None) -> None:
    """End the processes in a network and remove its namespaces; then it is free."""
    for socket in taken.glob("ssh-*"):
        disconnect(socket)
    network, groups = Network(int(taken.name)), cgroups()
    for group in groups.glob(f"{network.name}-*") if groups else ():
        remove_cgroup(group)
        shutil.rmtree(Path("/run/systemd/nspawn/propagate", group.name), ignore_errors=True)
    if folder:
        unmount(folder)
    network.remove()
    shutil.rmtree(taken)
