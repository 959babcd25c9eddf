# SPDX-License-Identifier: GPL-3.0-or-later
"""The marker of a zone's owner, which several processes on one PostgreSQL need (see also `test_chaos`)."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.servers.second_bind import second_bind
from support.servers.service import Service, dev

ZONE = "far.example.net"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, new_database: Callable[[], str]) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("fence"), database_url=new_database()) as service:
        yield service


def update(service: Service, fqdn: str, secret: str, address: str) -> str:
    return service.get("/nic/update", auth=(fqdn, secret), params={"myip": address}).text


def test_each_owner_marks_the_zone(service: Service) -> None:
    secret = service.register("a", ip="192.0.2.1")
    marker = f"_ddnsd.{service.domain}"
    (first,) = service.dig(marker, "TXT")
    service.stop()
    service.start()
    assert service.dig(marker, "TXT") == [first]
    assert update(service, f"a.{service.domain}", secret, "192.0.2.2") == "good 192.0.2.2"
    (second,) = service.dig(marker, "TXT")
    assert second != first
    assert int(second.strip('"').split()[0]) > int(first.strip('"').split()[0])


@pytest.mark.parametrize("foreign", [(), ('"somebody else"',), ('"1 00000000"', '"2 00000000"')])
def test_a_marker_that_somebody_changed_is_written_again(service: Service, foreign: tuple[str, ...]) -> None:
    """No host is taken for one in conflict, and no removal for done."""
    secrets = {f"{name}{len(foreign)}.{service.domain}": "" for name in ("b", "c")}
    for fqdn in secrets:
        secrets[fqdn] = service.register(fqdn, ip="192.0.2.1")
    marker = f"_ddnsd.{service.domain}"
    ours = service.dig(marker, "TXT")
    for step, fqdn in enumerate(secrets, 2):
        service.remove_records(f"{marker}.", "TXT")
        for text in foreign:
            service.add_record(f"{marker}.", "TXT", text)
        address = f"192.0.2.{step}"
        assert update(service, fqdn, secrets[fqdn], address) == f"good {address}"
        assert service.dig(fqdn) == [address]
        assert service.dig(marker, "TXT") == ours
    service.remove_records(f"{marker}.", "TXT")
    for fqdn in secrets:
        assert service.get("/nic/unregister", service.admin_token, params={"fqdn": fqdn}).status_code == 200
        assert service.dig(fqdn) == []


def test_a_name_server_may_refuse_the_marker(service: Service, tmp_path: Path) -> None:
    with second_bind(tmp_path / "bind") as bind:
        key_file = bind.make_zone(ZONE)
        bind.set_policy(ZONE, f'deny "{{key}}" name _ddnsd.{ZONE}', 'grant "{key}" zonesub ANY')
        service.cli("domain", "add", ZONE, "--owner", "admin", "--primary", bind.address, "--key-file", str(key_file))
        secret = service.register(f"a.{ZONE}", ip="192.0.2.1")
        assert update(service, f"a.{ZONE}", secret, "192.0.2.2") == "good 192.0.2.2"
        assert bind.dig(f"a.{ZONE}") == ["192.0.2.2"]
        assert bind.dig(f"_ddnsd.{ZONE}", "TXT") == []
        assert (service.dir / "service.log").read_text().count(f"name=_ddnsd.{ZONE}") == 1
