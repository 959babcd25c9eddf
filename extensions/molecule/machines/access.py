# SPDX-License-Identifier: GPL-3.0-or-later
"""How the controller reaches the machines of a scenario: OpenSSH's configuration, and Ansible's inventory."""

import json
from pathlib import Path

from .host import run
from .machine import Machine
from .network import HOST
from .registry import sockets

ALL = """\
Host {names}
  User root
  IdentityFile {folder}/id_ed25519
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  GlobalKnownHostsFile none
  StrictHostKeyChecking yes
  BatchMode yes
  ConnectTimeout 10
  ServerAliveInterval 10
  ControlMaster auto
  ControlPersist 60
  ControlPath {sockets}/ssh-%k
"""
ONE = """\
Host {names}
  HostName {address}
  HostKeyAlias {host}
"""


def make_key(folder: Path) -> str:
    """A new key for the scenario in the folder; its public part."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", folder.name, "-f", folder / "id_ed25519")
    return (folder / "id_ed25519.pub").read_text()


def write(folder: Path, machines: list[Machine]) -> None:
    """Write ssh_config, known_hosts and inventory.json for the machines of the scenario in the folder."""
    names = {machine: " ".join((machine.host, *machine.addresses)) for machine in machines}
    config = ALL.format(names=" ".join(names.values()), folder=folder, sockets=sockets(machines[0].network))
    for machine in machines:
        config += ONE.format(names=names[machine], address=machine.addresses[0], host=machine.host)
    (folder / "ssh_config").write_text(config)
    known = "".join(f"{machine.host} {machine.host_key()}\n" for machine in machines)
    (folder / "known_hosts").write_text(known)
    (folder / "inventory.json").write_text(json.dumps(_inventory(folder, machines), indent=2))


def ssh(folder: Path) -> list[str]:
    """The command that reaches a machine of the scenario, without its name."""
    return ["ssh", "-F", str(folder / "ssh_config")]


def _inventory(folder: Path, machines: list[Machine]) -> dict[str, object]:
    hosts = {
        machine.host: {
            "ansible_host": machine.addresses[0],
            "machine_ipv4": machine.addresses[0],
            "machine_ipv6": machine.addresses[1],
        }
        for machine in machines
    }
    ipv4, ipv6 = machines[0].network.addresses(HOST)
    return {
        "all": {
            "hosts": hosts,
            "vars": {
                "ansible_python_interpreter": "/usr/bin/python3",
                "ansible_ssh_args": f"-F {folder}/ssh_config",
                "controller_ipv4": ipv4,
                "controller_ipv6": ipv6,
                "machines_scenario": folder.name,
            },
        }
    }
