# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that have not been heard from, by the API and by `ddnsctl show`."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from support import programs
from support.clients.dyndns import Host, register
from support.clients.rest_api import Api, problem
from support.ports import wait_until
from support.servers.service import Service, dev

DAY = 24 * 3600 * 1_000_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("ddnsd") / "ddnsd") as running:
        yield running


def later(service: Service, days: float) -> None:
    """All that was registered and heard so far is so many days ago."""
    with closing(sqlite3.connect(service.dir / "ddnsd.db", timeout=20)) as database, database:
        database.execute("UPDATE hosts SET created = created - ?", [int(days * DAY)])
        database.execute("UPDATE contacts SET at = at - ?", [int(days * DAY)])


def silent(service: Service, days: int, **more: object) -> set[str]:
    return {item["fqdn"] for item in Api(service, service.admin_token).items("/hosts", silent_days=days, **more)}


def update(host: Host, answer: str) -> None:
    """An update of the host, whose time is in the database when this returns."""
    assert host.update(myip="192.0.2.77").text == f"{answer} 192.0.2.77"
    wait_until(lambda: host.fqdn not in silent(host.service, 1), 20, "written")


def test_changed_and_unchanged_updates_are_heard(service: Service) -> None:
    mute, host = (register(service, service.admin_token) for _ in range(2))
    assert silent(service, 1) & {mute.fqdn, host.fqdn} == set(), "both are new"
    later(service, 3)
    assert silent(service, 1) >= {mute.fqdn, host.fqdn}
    assert silent(service, 4) & {mute.fqdn, host.fqdn} == set()
    update(host, "good")
    assert mute.fqdn in silent(service, 1)
    later(service, 3)
    assert host.fqdn in silent(service, 1)
    update(host, "nochg")
    assert {mute.fqdn} <= silent(service, 5)
    page = Api(service, service.admin_token).get("/hosts", silent_days=5, limit=1)
    assert len(page["items"]) == 1

    def show(*arguments: str) -> str:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("DDNS")}
        env = inherited | {"DDNS_SERVER": service.url, "DDNS_TOKEN": service.admin_token}
        return programs.invoke(["ddnsctl", "show", *arguments], env, "").stdout

    assert mute.fqdn in show("--silent-days", "5")
    assert host.fqdn not in show("--silent-days", "5")
    assert mute.fqdn not in show("--silent-days", "7")


@pytest.mark.parametrize("days", ["0", "-1", "3651", "x", "1.5", ""])
def test_days_that_are_not_acceptable(service: Service, days: str) -> None:
    answer = Api(service, service.admin_token).call("GET", "/hosts", params={"silent_days": days})
    problem(answer, 422, fields={"silent_days"})
