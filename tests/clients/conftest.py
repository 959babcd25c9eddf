# SPDX-License-Identifier: GPL-3.0-or-later
"""One service for all client tests; each test has hosts of its own."""

import functools
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.clients import programs
from support.clients.programs import Host, Outcome
from support.ports import wait_until
from support.servers.service import Service, dev

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("service"), address_deny="198.18.0.0/15") as running:
        yield running


@pytest.fixture(scope="session")
def secrets(service: Service) -> Iterator[list[str]]:
    """Every secret that a client was given; whatever form it came in, the service's log holds none of them."""
    given: list[str] = []
    yield given
    log = service.log.read_text(errors="replace")
    assert [secret for secret in given if secret in log] == []
    assert "Traceback" not in log


@pytest.fixture(scope="session")
def register(service: Service, secrets: list[str]) -> Callable[..., Host]:
    """Registers another host, with `ip=` where a test needs one that its client changes."""
    names = (f"host{n}.{service.domain}" for n in itertools.count(1))

    def registered(**params: str) -> Host:
        host = Host(service, fqdn := next(names), service.register(fqdn, **params))
        secrets.append(host.secret)
        return host

    return registered


@pytest.fixture(scope="session")
def settled(register: Callable[..., Host]) -> Callable[[], None]:
    """Waits until nothing is sent again, as for a second after an outage, when a repeated update is `good`."""
    host, numbers = register(), itertools.cycle(range(1, 255))

    def settle() -> None:
        given = {"myip": f"192.0.2.{next(numbers)}"}
        url, auth = "/nic/update", (host.fqdn, host.secret)
        wait_until(lambda: host.service.get(url, auth=auth, params=given).text.startswith("nochg"), 10, "nochg")

    return settle


@pytest.fixture
def host(register: Callable[..., Host], settled: Callable[[], None]) -> Host:
    """A host that points somewhere else already."""
    settled()
    return register(ip="192.0.2.250")


@pytest.fixture
def key(service: Service, secrets: list[str]) -> Callable[..., tuple[str, str]]:
    """Makes a key for several hosts: login and secret."""

    def made(*hosts: Host) -> tuple[str, str]:
        options = itertools.chain.from_iterable(("--host", h.fqdn) for h in hosts)
        login, _, secret = service.cli("key", "add", "admin", *options).stdout.strip().partition(":")
        secrets.append(secret)
        return login, secret

    return made


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Outcome]:
    """Runs a program with the test's folder as its home."""
    return functools.partial(programs.run, home=tmp_path)


@pytest.fixture(scope="session")
def clients_venv() -> Path:
    """The programs of the environment that holds the clients of PyPI, made when it is missing."""
    subprocess.run([REPOSITORY / "scripts" / "clients-venv"], env=os.environ | {"PYTHON": sys.executable}, check=True)
    return REPOSITORY / ".cache" / "clients-venv" / "bin"


@pytest.fixture
def run_python_client(tmp_path: Path, clients_venv: Path) -> Callable[..., Outcome]:
    """`run`, for clients from PyPI: a program of their environment by its name, or a driver by its path."""

    def once(program: str | Path, *argv: str | Path, **options: str) -> Outcome:
        command = (clients_venv / "python", program) if isinstance(program, Path) else (clients_venv / program,)
        return programs.run(*command, *argv, home=tmp_path, seconds=60, **options)

    return once
