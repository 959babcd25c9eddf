# SPDX-License-Identifier: GPL-3.0-or-later
"""A zone at one of two primaries of an operator, and what tests ask of its hosts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.servers.second_bind import SecondBind, second_bind
from support.servers.service import Service, dev

ZONE = "moving.example.net"


@contextmanager
def two_binds(folder: Path) -> Iterator[tuple[SecondBind, SecondBind]]:
    """The old primary with the zone, and the new one without it."""
    with second_bind(folder / "old") as old, second_bind(folder / "new") as new:
        yield old, new


@contextmanager
def serving(folder: Path, old: SecondBind, settings: dict[str, str]) -> Iterator[Service]:
    """A service for the zone, which is at the old primary."""
    with dev(folder, **settings) as running:
        old.make_zone(ZONE)
        running.cli("domain", "add", ZONE, "--owner", "admin", *at(old))
        yield running


def at(primary: SecondBind) -> list[str]:
    """The options for this primary and its key."""
    return ["--primary", primary.address, "--key-file", str(primary.server.folder / f"{ZONE}.tsig")]


def update(service: Service, name: str, secret: str, address: str) -> str:
    """The answer to an update of a host, by its first label."""
    return service.get("/nic/update", auth=(f"{name}.{ZONE}", secret), params={"myip": address}).text


def unregister(service: Service, name: str) -> int:
    """The status of the answer."""
    return service.get("/nic/unregister", service.admin_token, params={"fqdn": f"{name}.{ZONE}"}).status_code


def digs(primary: SecondBind, *names: str) -> dict[str, list[str]]:
    """The addresses that the primary has, by name."""
    return {name: primary.dig(f"{name}.{ZONE}") for name in names}


def agrees(service: Service) -> bool:
    """Whether database and zone are equal."""
    return service.cli("reconcile", "--check", check=False).returncode == 0
