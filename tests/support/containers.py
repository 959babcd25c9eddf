# SPDX-License-Identifier: GPL-3.0-or-later
"""podman, and the services of containers/compose.yaml."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.ports import free_port, wait_until

FOLDER = Path(__file__).parents[2] / "containers"
NAME = "ddns.example.org"
SERVICES = ("ddnsd", "bind", "database", "front")


def podman(*words: str | Path, check: bool = True, stdin: str | None = None) -> str:
    """What podman prints; with `check=False` also its errors."""
    done = subprocess.run(["podman", *map(str, words)], capture_output=True, text=True, input=stdin, check=False)
    assert not check or done.returncode == 0, f"podman {words}: {done.stdout}{done.stderr}"
    return done.stdout if check else done.stdout + done.stderr


def inspect(container: str) -> dict[str, Any]:
    """What podman knows of a container."""
    found: dict[str, Any] = json.loads(podman("inspect", container))[0]
    return found


class Stack:
    """The services on free ports of loopback, as `compose.yaml` has them."""

    def __init__(self, folder: Path) -> None:
        self.ports = {name: free_port() for name in ("DNS", "HTTPS", "HTTP", "UPDATE")}
        self._authority = folder / "authority.pem"
        self._env = {
            "DDNS_NAME": NAME,
            "DDNS_NAME_SERVERS": NAME,
            "DDNS_TLS": "internal",
            "DDNS_MONITORING": "127.0.0.1/32",
            **{f"DDNS_{name}_PORT": f"127.0.0.1:{port}" for name, port in self.ports.items()},
        }

    def compose(self, *words: str) -> str:
        """Run podman-compose."""
        options = ["-f", str(FOLDER / "compose.yaml"), "--podman-run-args=--pull=never"]
        command = [sys.executable, os.environ["DDNS_PODMAN_COMPOSE"], *options, *words]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | self._env, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self) -> None:
        """Start all services, and wait until each is healthy."""
        self.compose("up", "--detach", "--no-build")
        for service in SERVICES:
            self.wait_for(service, "healthy")

    def container(self, service: str) -> str:
        """The name of the service's container."""
        return f"ddns_{service}_1"

    def health(self, service: str) -> str:
        """Check the health once, as podman's timer does; the state that follows: starting, healthy or unhealthy."""
        podman("healthcheck", "run", self.container(service), check=False)
        state = inspect(self.container(service))["State"]
        found: str = (state.get("Health") or state["Healthcheck"])["Status"]
        return found

    def wait_for(self, service: str, health: str) -> None:
        """Wait until the service has this health."""
        try:
            wait_until(lambda: self.health(service) == health, 120, f"{service} {health}")
        except BaseException:
            print(podman("logs", self.container(service), check=False))
            raise

    def execute(self, service: str, *command: str, check: bool = True) -> str:
        """Run a command in the service's container."""
        return podman("exec", self.container(service), *command, check=check)

    def ddnsd(self, *words: str) -> str:
        """Run the service's command."""
        return self.execute("ddnsd", "ddnsd", *words).strip()

    def curl(self, path: str, *options: str) -> str:
        """Ask the proxy by HTTPS, and check its certificate."""
        root = "/var/lib/front/caddy/pki/authorities/local/root.crt"
        self._authority.write_text(self.execute("front", "cat", root))
        port = str(self.ports["HTTPS"])
        command = ["curl", "--silent", "--show-error", "--cacert", str(self._authority)]
        command += ["--connect-to", f"{NAME}:443:127.0.0.1:{port}", *options, f"https://{NAME}{path}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def dig(self, *words: str) -> str:
        """Ask BIND at its port on the host."""
        command = ["dig", "@127.0.0.1", "-p", str(self.ports["DNS"]), "+short", "+tries=1", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
