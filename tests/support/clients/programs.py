# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a client program against a service, and what its user would look at afterwards."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.ports import wait_until
from support.servers.faults import hung
from support.servers.service import Service

DENIED = "198.18.0.1"
"""Stands on the shared service's deny list: pointing a host to it blocks the host."""


@dataclass(frozen=True)
class Host:
    """A registered host, as its owner knows it."""

    service: Service
    fqdn: str
    secret: str

    @property
    def server(self) -> str:
        """Host and port, for clients that put the URL together themselves."""
        return f"127.0.0.1:{self.service.http_port}"

    @property
    def url(self) -> str:
        """The service with this host's credentials, as the EGI documentation writes it."""
        return f"http://{self.fqdn}:{self.secret}@{self.server}"

    @property
    def a(self) -> list[str]:
        return self.service.dig(self.fqdn)

    @property
    def aaaa(self) -> list[str]:
        return self.service.dig(self.fqdn, "AAAA")


@dataclass(frozen=True)
class Outcome:
    """How a program ended, and everything that it printed on both streams."""

    code: int
    text: str

    def __contains__(self, part: str) -> bool:
        return part in self.text


def run(*argv: str | Path, home: Path, stdin: str = "", seconds: float = 20, **env: str) -> Outcome:
    """Run a client in a home of its own, without proxies; it fails when it takes more than `seconds`."""
    done = subprocess.run(
        [str(a) for a in argv],
        env=_environment(home) | env,
        cwd=home,
        input=stdin,
        timeout=seconds,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return Outcome(done.returncode, done.stdout)


@contextmanager
def running(*argv: str | Path, home: Path) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """A client that goes on by itself: the process, and a function for what it has printed so far."""
    output = home / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [str(a) for a in argv],
            env=_environment(home),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process, lambda: output.read_text(errors="replace")
    finally:
        process.kill()
        process.wait()


def _environment(home: Path) -> dict[str, str]:
    return {
        "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "RES_OPTIONS": "timeout:1 attempts:1",  # some look their own name up in the system's DNS first
    }


def private_file(path: Path, text: str) -> Path:
    """Write a file that holds a secret; several clients refuse one that others may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text(text)
    return path


def hung_name_server(service: Service) -> AbstractContextManager[None]:
    """The service's BIND accepts connections and answers nothing, until the block ends."""
    return hung(service.named_pid())


def becomes(host: Host, address: str, seconds: float = 20) -> None:
    """Wait until BIND answers `address` as the host's only one of that family, with no client doing anything."""
    rtype = "AAAA" if ":" in address else "A"
    wait_until(lambda: host.service.dig(host.fqdn, rtype) == [address], seconds, f"{rtype} {address} of {host.fqdn}")
