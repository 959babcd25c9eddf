# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations: how long plans, applies and Ansible tasks take, next to octoDNS with the same records."""

import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from support.servers.service import Service, dev

from bench import octodns
from bench.address import fresh
from bench.clock import seconds_of
from bench.figure import Figure, Section, number
from bench.octodns import OctoDns
from bench.plan import Plan, say
from bench.rig import Rig

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent
HOSTS, SYNCED, LOOPED = 10_000, 2_000, 200
MANY_ROUNDS = 2
SENT_SECONDS = 300.0

TEXT = f"""\
Whole commands, from their start to their end, against a running service on SQLite. *Plan* and *apply*: one YAML file
with {HOSTS:,} hosts, an IPv4 address each; the apply begins with an empty service and ends when all of them have a
secret and stand in DNS. octoDNS plans and applies the same A records from its YAML to a zone of the same BIND. Ansible:
the task's time, on localhost, when there is nothing to change.""".replace(",", " ")

MANY_TEXT = """\
As above, with one large stack on SQLite. The apply begins with a service that has one host of another stack, and the
destroy deletes all of the large one. The small stack has one host, and there is nothing to change."""

PLAYBOOK = """\
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    declared: "{{ lookup('ansible.builtin.file', 'looped.json') | from_json }}"
  module_defaults:
    group/fedcloud.ddns.ddns:
      api_url: "{{ lookup('ansible.builtin.env', 'DDNS_SERVER') }}"
      api_token: "{{ lookup('ansible.builtin.env', 'DDNS_TOKEN') }}"
  tasks:
    - name: sync
      fedcloud.ddns.ddns_sync:
        src: synced.yml
    - name: loop
      fedcloud.ddns.ddns_host:
        name: "{{ item.name }}"
        ipv4: "{{ item.ipv4 }}"
      loop: "{{ declared }}"
      loop_control: {label: "{{ item.name }}"}
"""


def section(plan: Plan) -> Section:
    """Measure ours and octoDNS in turn."""
    octodns.install()
    start = Figure("`ddnsctl --help`", "s", 0.25, 0.15, less=True)
    ours = Figure(f"`ddnsctl plan`, {HOSTS} hosts, nothing to do", "s", 2.3, 0.5, less=True)
    theirs = Figure("octoDNS, the same plan", "s")
    ratio = Figure("**octoDNS / `ddnsctl`, plan**", "×", 1, 4)
    apply = Figure(f"`ddnsctl apply`, {HOSTS} new hosts", "s", 10, 4, less=True)
    applied = Figure("octoDNS, the same apply", "s")
    apply_ratio = Figure("**octoDNS / `ddnsctl`, apply**", "×", 1, 1.5)
    sync = Figure(f"`ddns_sync`, {SYNCED} hosts, second run", "s", 2, 1, less=True)
    loop = Figure(f"`ddns_host` in a loop of {LOOPED}, second run", "s", 3, 1, less=True)
    for round_number in range(min(plan.rounds, 3)):
        with dev(plan.directory / f"declared{round_number}") as service:
            desk = Desk(plan.directory / f"desk{round_number}", service)
            addresses = {f"h{n}": fresh() for n in range(HOSTS)}
            other = OctoDns(desk.directory / "octodns", Rig(service).zone("octodns.test"))
            other.declare(addresses)
            desk.declare("hosts.yml", "declared", addresses)
            start.add(desk.ddnsctl("--help"))
            ours_applied = apply.add(desk.ddnsctl("apply", "--yes", "hosts.yml"))
            apply_ratio.add(applied.add(other.apply()) / ours_applied)
            ratio.add(theirs.add(other.plan()) / ours.add(desk.ddnsctl("plan", "hosts.yml")))
            desk.prepare_tasks()
            desk.tasks()
            times = desk.tasks()
            sync.add(times["sync"])
            loop.add(times["loop"])
            figures = [start, ours, theirs, ratio, apply, applied, apply_ratio, sync, loop]
            say(figures)
    return Section("Declarations", TEXT, figures)


def many_section(plan: Plan) -> Section:
    """Apply, plan and destroy a large stack, and plan a small one beside it."""
    many = number(plan.many)
    apply = Figure(f"`ddnsctl apply`, {many} new hosts", "s", 40, 20, less=True)
    planned = Figure(f"`ddnsctl plan`, {many} hosts, nothing to do", "s", 4.4, 3, less=True)
    beside = Figure(f"`ddnsctl plan`, a stack of one host beside {many}", "s", 1, 0.3, less=True)
    destroy = Figure(f"`ddnsctl destroy`, {many} hosts", "s", 80, 20, less=True)
    figures = [apply, planned, beside, destroy]
    for round_number in range(min(plan.rounds, MANY_ROUNDS)):
        with dev(plan.directory / f"declared-many{round_number}") as service:
            desk = Desk(plan.directory / f"many{round_number}", service)
            desk.declare("many.yml", "many", {f"m{n}": fresh() for n in range(plan.many)})
            desk.declare("one.yml", "one", {"one": fresh()})
            desk.ddnsctl("apply", "--yes", "one.yml")
            apply.add(desk.ddnsctl("apply", "--yes", "many.yml"))
            Rig(service).wait_for_dns(SENT_SECONDS)
            planned.add(desk.ddnsctl("plan", "many.yml"))
            beside.add(desk.ddnsctl("plan", "one.yml"))
            destroy.add(desk.ddnsctl("destroy", "--yes", "many.yml"))
            say(figures)
    return Section(f"Declarations of {many} hosts", MANY_TEXT, figures)


@dataclass(frozen=True)
class Desk:
    """A folder with declarations, and the commands that read them."""

    directory: Path
    service: Service

    @property
    def environment(self) -> dict[str, str]:
        """What names the service and the caller."""
        return os.environ | {
            "DDNS_SERVER": self.service.url,
            "DDNS_TOKEN": self.service.admin_token,
            "ANSIBLE_COLLECTIONS_PATH": str(self.directory / "collections"),
            "ANSIBLE_HOME": str(self.directory / "ansible"),
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "bench" / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "durations",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "LC_ALL": "C.UTF-8",
        }

    def declare(self, file: str, stack: str, addresses: dict[str, str]) -> None:
        """Write a declaration of hosts by label."""
        self.directory.mkdir(exist_ok=True)
        hosts = (f"  {label}:\n    ipv4: {address}\n" for label, address in addresses.items())
        head = f"version: 1\nstack: {stack}\ndefaults: {{domain: {self.service.domain}}}\nhosts:\n"
        (self.directory / file).write_text(head + "".join(hosts))

    def ddnsctl(self, *arguments: str) -> float:
        """Seconds of a command that ends well."""
        return seconds_of([PROGRAMS / "ddnsctl", *arguments], self.directory, environment=self.environment)[0]

    def prepare_tasks(self) -> None:
        """Write the playbook and what it declares, and have the collection where Ansible looks for it."""
        self.declare("synced.yml", "synced", {f"s{n}": fresh() for n in range(SYNCED)})
        looped = [{"name": f"l{n}.{self.service.domain}", "ipv4": fresh()} for n in range(LOOPED)]
        (self.directory / "looped.json").write_text(json.dumps(looped))
        (self.directory / "playbook.yml").write_text(PLAYBOOK)
        namespace = self.directory / "collections" / "ansible_collections" / "fedcloud"
        namespace.mkdir(parents=True)
        (namespace / "ddns").symlink_to(ROOT)

    def tasks(self) -> dict[str, float]:
        """Run the playbook; seconds of each task by name."""
        command: list[str | Path] = [PROGRAMS / "ansible-playbook", "--inventory", "localhost,", "playbook.yml"]
        _, output = seconds_of(command, self.directory, environment=self.environment)
        return {name: float(seconds) for name, seconds in re.findall(r"seconds of (\w+): ([\d.]+)", output)}
