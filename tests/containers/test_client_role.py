# SPDX-License-Identifier: GPL-3.0-or-later
"""The client role on a Debian without systemd, in a container."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.ansible.playbooks import Ansible
from support.containers import podman
from support.ports import wait_until
from support.servers.http_stub import Web, web

CONTAINER = "client"
HOST = "vm.example.org"
ADDRESS = "203.0.113.7"
SSH = f"""#!/bin/sh
# What ssh does, without a network: run the last argument.
for command; do :; done
exec podman exec --interactive {CONTAINER} sh -c "$command"
"""


@pytest.fixture
def server() -> Iterator[Web]:
    with web(lambda asked: ADDRESS if asked.path == "/myip" else "good") as running:
        yield running


@pytest.fixture
def ansible(tmp_path: Path, server: Web) -> Iterator[Ansible]:
    """Plays reach the container."""
    podman(
        "run",
        "--detach",
        "--pull=never",
        "--name",
        CONTAINER,
        "--network=host",
        "localhost/client",
        "sleep",
        "infinity",
    )
    try:
        ansible = Ansible(tmp_path / "ansible", settings={"ANSIBLE_STDOUT_CALLBACK": "default"})
        (ssh := ansible.folder / "ssh").write_text(SSH)
        ssh.chmod(0o755)
        variables = {
            "ansible_ssh_executable": str(ssh),
            "ansible_ssh_transfer_method": "piped",
            "ansible_pipelining": True,
            "ddns_client_server": server.url,
            "ddns_client_names": [{"name": HOST, "secret": "the-secret"}],
            "ddns_client_sources": ["server"],
            "ddns_client_ipv6": "no",
            "ddns_client_interval": 1,
        }
        (ansible.folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": {CONTAINER: variables}}}))
        play = [{"hosts": "all", "roles": ["fedcloud.ddns.ddns_client"]}]
        (ansible.folder / "play.yml").write_text(json.dumps(play))
        yield ansible
    finally:
        podman("rm", "--force", "--time=0", CONTAINER)


def test_cron_runs_the_updater(ansible: Ansible, server: Web) -> None:
    def play(*options: str) -> str:
        return ansible.run("ansible-playbook", "play.yml", "--inventory", "hosts.yml", *options).stdout

    def updates() -> int:
        return sum(asked.path == "/nic/update" for asked in server.asked)

    assert podman("exec", CONTAINER, "sh", "-c", "command -v systemctl", check=False).strip() == ""
    play()
    assert updates() == 1
    assert "changed=0" in play()
    podman("exec", CONTAINER, "rm", "-r", "/var/lib/ddns-update")
    podman("exec", CONTAINER, "mkdir", "--mode=700", "/var/lib/ddns-update")
    wait_until(lambda: updates() == 2, 180, "an update that cron starts")
    play("--extra-vars", "ddns_client_state=absent")
    remains = podman("exec", CONTAINER, "find", "/", "-xdev", "-name", "*ddns-update*", "-not", "-path", "/tmp/*")
    assert remains == ""
