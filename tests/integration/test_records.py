# SPDX-License-Identifier: GPL-3.0-or-later
"""RRsets beside addresses: what the write path owes them when the name server hangs, or somebody else is quicker."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import requests
from support.ports import wait_until
from support.servers.dns_proxy import DnsProxy, Mode
from support.servers.faults import hung
from support.servers.service import Service, dev

from ddnsd.db import queries
from ddnsd.db import removals as departures
from ddnsd.db.connect import open_store
from ddnsd.db.history import Author
from ddnsd.db.lookups import Lookups
from ddnsd.db.rows import Host
from ddnsd.dns.writer import Writer
from ddnsd.registry.errors import Taken, Unconfirmed
from ddnsd.registry.policy import Policy
from ddnsd.registry.rates import Rates
from ddnsd.registry.records import RRsets

NAME = "a.dyn.example.org"
AT = f"_x.{NAME}"
ME = Author("admin")


@pytest.fixture
def service(tmp_path: Path, store_settings: Callable[[], dict[str, str]]) -> Iterator[Service]:
    with dev(tmp_path / "service", **store_settings()) as running:
        running.register("a", ip="192.0.2.1")
        yield running


def put(service: Service, *values: str, place: str = "_x/TXT") -> requests.Response:
    path = f"/api/hosts/{NAME}/records/{place}"
    return service.request("PUT", path, service.admin_token, json={"values": values})


def delete(service: Service, place: str = "_x/TXT") -> requests.Response:
    return service.request("DELETE", f"/api/hosts/{NAME}/records/{place}", service.admin_token)


def stored(service: Service) -> dict[tuple[str, str], list[str]]:
    """The values by full name and type."""
    items = service.request("GET", f"/api/hosts/{NAME}/records", service.admin_token).json()["items"]
    assert [item for item in items if item["conflict"]] == []
    return {(item["fqdn"], item["type"]): item["values"] for item in items}


def agrees(service: Service) -> bool:
    """Whether DNS is as the store, as `reconcile` sees it and as a resolver does."""
    wanted: dict[tuple[str, str], list[str]] = {(AT, "TXT"): []} | stored(service)
    found = {place: sorted(service.dig(*place)) for place in wanted}
    return found == wanted and service.cli("reconcile", "--check", check=False).returncode == 0


class Hasty(Writer):
    """Finds room for everything, as one does who looks a moment too early."""

    async def obstacle_of(self, domain_id: int, fqdn: str, rtype: str, values: Sequence[str], *, new: bool) -> None:
        return None


@asynccontextmanager
async def another_process(service: Service) -> AsyncIterator[tuple[RRsets, Host]]:
    """One that is killed at the end of the block."""
    store = open_store(service.settings.get("DDNSD_DATABASE_URL", f"sqlite:///{service.dir}/ddnsd.db"))
    writer = Hasty(store, Lookups(store), deadline=1.0, default_ttl=60)
    await writer.start()
    host = await store.read(lambda c: queries.host(c, NAME))
    assert host is not None
    try:
        yield RRsets(store, writer, Rates(store, Policy())), host
    finally:
        writer.confirmed_versions().clear()
        await writer.stop()
        await store.close()


def allowed(_: Host) -> None:
    """Everybody may."""


def test_reconcile_sees_what_the_store_knows_of_alone(service: Service) -> None:
    for place, value in (("_x/TXT", "mine"), ("@/MX", "0 ."), ("_gone/TXT", "gone"), ("_443._tcp/SRV", "1 2 3 a.")):
        assert put(service, value, place=place).status_code == 200
    assert delete(service, "_gone/TXT").status_code == 204
    assert agrees(service)
    assert service.process is not None
    with hung(service.process.pid):  # it would repair at once
        service.remove_records(f"{AT}.", "TXT")
        service.add_record(f"{NAME}.", "MX", "10 other.")
        service.add_record(f"_gone.{NAME}.", "TXT", "gone")
        service.add_record(f"_acme-challenge.{NAME}.", "TXT", "token")
        found = service.cli("reconcile", "--check", check=False)
        assert found.returncode == 2
        assert set(found.stdout.splitlines()) == {
            f'{AT} TXT: database "mine"; DNS nothing',
            f'_gone.{NAME} TXT: database nothing; DNS "gone"',
            f"{NAME} MX: database 0 .; DNS 0 ., 10 other.",
        }
        assert "3 repaired" in service.cli("reconcile").stdout
        assert service.cli("reconcile", "--check").returncode == 0
    assert (service.dig(AT, "TXT"), service.dig(NAME, "MX"), service.dig(f"_gone.{NAME}", "TXT")) == (
        ['"mine"'],
        ["0 ."],
        [],
    )
    assert service.dig(f"_acme-challenge.{NAME}", "TXT") == ['"token"']


def test_changes_at_once(service: Service) -> None:
    def change(number: int) -> int:
        return delete(service).status_code if number % 4 == 3 else put(service, str(number)).status_code

    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(change, range(48))) <= {200, 204, 404}
    assert agrees(service)
    assert put(service, "last").status_code == 200
    assert service.dig(AT, "TXT") == ['"last"']


async def test_records_that_appear_a_moment_before_ours(service: Service) -> None:
    service.add_record(f"{AT}.", "TXT", "taken")
    async with another_process(service) as (rrsets, host):
        for _ in range(2):
            with pytest.raises(Taken):
                await rrsets.put(host, "_x", "TXT", ["mine"], None, ME, allowed)
            assert await rrsets.of(host) == []
        await rrsets.put(host, "_y", "TXT", ["mine"], None, ME, allowed)
    assert (service.dig(AT, "TXT"), service.dig(f"_y.{NAME}", "TXT")) == (['"taken"'], ['"mine"'])
    assert service.cli("reconcile", "--check").returncode == 0


async def _put_without_an_answer(service: Service, mode: Mode, *all_values: str) -> None:
    """By a process that is killed then; the name server has carried all of it out, and the service knows nothing."""
    proxy = DnsProxy(service.dns_port)
    service.cli("domain", "set", service.domain, "--primary", f"127.0.0.1:{proxy.port}")
    try:
        async with another_process(service) as (rrsets, host):
            await rrsets.put(host, "_first", "TXT", ["first"], None, ME, allowed)  # PostgreSQL: also marks the zone
            proxy.mode = mode
            for value in all_values:
                with pytest.raises(Unconfirmed):
                    await rrsets.put(host, "_x", "TXT", [value], None, ME, allowed)
                wait_until(lambda v=value: service.dig(AT, "TXT") != [], 10, "carried out")  # type: ignore[misc]
    finally:
        service.cli("domain", "set", service.domain, "--primary", f"127.0.0.1:{service.dns_port}")
        proxy.close()


@pytest.mark.parametrize("values", [("one",), ("one", "two")])
async def test_a_process_dies_before_the_answer(service: Service, values: tuple[str, ...]) -> None:
    await _put_without_an_answer(service, Mode.LOST_ANSWER, *values)
    wait_until(lambda: service.dig(AT, "TXT") == [f'"{values[-1]}"'] and agrees(service), 20, "DNS follows")
    assert put(service, *values).status_code == 200
    assert agrees(service)


async def test_another_one_goes_on_where_a_process_died(service: Service) -> None:
    await _put_without_an_answer(service, Mode.LOST_ANSWER, "one")
    wait_until(lambda: put(service, "two").status_code == 200, 10, "accepted")
    assert service.dig(AT, "TXT") == ['"two"']
    wait_until(lambda: agrees(service), 10, "agreement")


async def test_removed_where_a_process_died(service: Service) -> None:
    await _put_without_an_answer(service, Mode.LOST_ANSWER, "one")
    wait_until(lambda: delete(service).status_code in (204, 404), 10, "accepted")
    wait_until(lambda: service.dig(AT, "TXT") == [] and agrees(service), 20, "DNS follows")


async def test_put_and_removed_while_the_name_server_hangs(service: Service) -> None:
    async with another_process(service) as (rrsets, host):
        with hung(service.named_pid()):
            with pytest.raises(Unconfirmed):
                await rrsets.put(host, "_x", "TXT", ["mine"], None, ME, allowed)
            with pytest.raises(Unconfirmed):
                await rrsets.remove(host, "_x", "TXT", ME, allowed)
    wait_until(lambda: service.dig(AT, "TXT") == [] and agrees(service), 20, "DNS follows")


def test_a_killed_service_and_name_server_come_back(service: Service) -> None:
    assert put(service, "one").status_code == 200
    with hung(service.named_pid()):
        assert put(service, "two").status_code == 503
        assert delete(service).status_code == 503
        service.kill()
    service.start()
    wait_until(lambda: service.dig(AT, "TXT") == [] and agrees(service), 20, "DNS follows")


def test_nothing_is_left_of_a_host_that_goes_while_the_name_server_hangs(service: Service) -> None:
    assert put(service, "one").status_code == 200
    with hung(service.named_pid()):
        service.request("PATCH", f"/api/hosts/{NAME}", service.admin_token, json={"ttl": 30})
        assert service.request("DELETE", f"/api/hosts/{NAME}", service.admin_token).status_code == 503
    wait_until(lambda: service.dig(AT, "TXT") == [] and service.dig(NAME) == [], 20, "the records are gone")
    wait_until(lambda: service.cli("reconcile", "--check", check=False).returncode == 0, 10, "agreement")
    service.register("a", ip="192.0.2.1")
    assert stored(service) == {}


async def test_what_is_sent_to_another_zone_is_remembered_there(service: Service) -> None:
    service.cli("domain", "add", "lab.example.org", "--owner", "admin")
    assert put(service, "mine").status_code == 200
    body = {"fqdn": "a.lab.example.org"}
    assert service.request("PATCH", f"/api/hosts/{NAME}", service.admin_token, json=body).status_code == 200
    assert service.dig("_x.a.lab.example.org", "TXT") == ['"mine"']
    store = open_store(service.settings.get("DDNSD_DATABASE_URL", f"sqlite:///{service.dir}/ddnsd.db"))
    domains = {domain.name: domain.id for domain in await store.read(queries.all_domains)}
    found = {
        name: await store.read(lambda c, i=number: departures.former_values(c, i, ["_x.a.lab.example.org"]))  # type: ignore[misc]
        for name, number in domains.items()
    }
    await store.close()
    assert {name: [r.data for r in removals] for name, removals in found.items()} == {
        service.domain: [],
        "lab.example.org": ['"mine"'],
    }


async def test_more_was_tried_than_a_message_holds(service: Service) -> None:
    for digit in "123456":
        assert put(service, *(f'"{n} ' + '" "'.join([digit * 250] * 15) + '"' for n in range(4))).status_code == 200
        assert delete(service).status_code == 204
    await _put_without_an_answer(service, Mode.LOST_ANSWER, "one")
    wait_until(lambda: put(service, "one").status_code == 200, 10, "accepted")
    assert agrees(service)
    secret = service.register("b", ip="192.0.2.1")
    update = service.get("/nic/update", auth=("b.dyn.example.org", secret), params={"myip": "192.0.2.2"})
    assert update.text == "good 192.0.2.2"
