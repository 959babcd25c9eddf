# SPDX-License-Identifier: GPL-3.0-or-later
"""Bulk calls through faults: what was answered is kept, and DNS comes to hold it with no client doing anything."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.clients.rest_api import Api, Content, problem
from support.ports import wait_until
from support.servers.faults import hung, insert, locked
from support.servers.service import Service, dev

pytestmark = pytest.mark.long

Settings = Callable[[], dict[str, str]]
HOSTS = 520  # three messages


@pytest.fixture
def service(tmp_path: Path, store_settings: Settings) -> Iterator[Service]:
    with dev(tmp_path / "service", **store_settings()) as running:
        yield running


@pytest.fixture
def api(service: Service) -> Api:
    return Api(service, service.admin_token)


def names(service: Service) -> list[str]:
    return [f"h{n}.{service.domain}" for n in range(HOSTS)]


def changes(service: Service, action: str, **fields: object) -> list[Content]:
    given: Content = {"set": fields} if fields else {}
    return [{"action": action, "fqdn": name, **given} for name in names(service)]


def call(api: Api, items: list[Content], key: str = "") -> list[Content]:
    headers = {"Idempotency-Key": key} if key else {}
    answer = api.call("POST", "/changes", {"changes": items}, headers=headers)
    assert answer.status_code == 200, answer.text
    results: list[Content] = answer.json()["results"]
    return results


def statuses(results: list[Content]) -> set[str]:
    return {result["status"] for result in results}


def holds(service: Service, *addresses: str, names: Sequence[str]) -> bool:
    """Whether DNS holds these addresses at every name."""
    if service.dig(names[-1]) != list(addresses):  # that is quicker to see than all of them
        return False
    found = service.addresses()
    return all(found.get(name, []) == list(addresses) for name in names)


def follows(service: Service, api: Api, *addresses: str) -> None:
    """DNS comes to hold these addresses at every name, and the service to know it."""
    wait_until(lambda: holds(service, *addresses, names=names(service)), 30, "DNS follows")
    wait_until(lambda: {host["dns"] for host in api.items("/hosts", limit=1000)} <= {"current"}, 30, "known")


def test_a_hung_name_server_makes_all_pending(service: Service, api: Api) -> None:
    secret = service.register("other", ip="192.0.2.9")
    assert statuses(call(api, changes(service, "create", ipv4="192.0.2.1")[:1])) == {"applied"}
    with hung(service.named_pid()):
        assert statuses(call(api, changes(service, "create", ipv4="192.0.2.1")[1:])) == {"pending"}
        assert statuses(call(api, changes(service, "update", ipv4="192.0.2.2"))) == {"pending"}
        assert statuses(call(api, changes(service, "update", ipv4="192.0.2.2")[:3])) == {"pending"}
        assert {host["dns"] for host in api.items("/hosts", limit=1000) if host["name"] != "other"} == {"pending"}
        answer = service.get("/nic/update", auth=(f"other.{service.domain}", secret), params={"myip": "192.0.2.9"})
        assert answer.text == "nochg 192.0.2.9"
    follows(service, api, "192.0.2.2")
    assert statuses(call(api, changes(service, "update", ipv4="192.0.2.2"))) == {"unchanged"}
    with hung(service.named_pid()):
        assert statuses(call(api, changes(service, "delete"))) == {"pending"}
        assert [host["name"] for host in api.items("/hosts")] == ["other"]
    follows(service, api)


def test_nothing_that_was_answered_is_lost(service: Service, api: Api) -> None:
    service.register("other", ip="192.0.2.9")
    items = changes(service, "create", ipv4="192.0.2.1")
    with hung(service.named_pid()):
        first = call(api, items, key="once")
        assert statuses(first) == {"pending"}
        service.kill()
    service.start()
    follows(service, api, "192.0.2.1")
    assert call(api, items, key="once") == first
    for name, result in list(zip(names(service), first, strict=True))[::100]:
        answer = service.get("/nic/update", auth=(name, result["secret"]), params={"myip": "192.0.2.1"})
        assert answer.text == "nochg 192.0.2.1"
    call(api, changes(service, "delete"))
    service.kill()
    service.start()
    follows(service, api)


def test_a_call_that_was_cut_off_is_carried_out_whole_or_not_at_all(service: Service, api: Api) -> None:
    items = changes(service, "create", ipv4="192.0.2.1")
    for _ in range(3):
        with ThreadPoolExecutor(1) as pool:
            calling = pool.submit(call, api, items)
            wait_until(lambda: service.dig(names(service)[0]) == ["192.0.2.1"], 10, "under way")
            service.kill()
            assert calling.exception() is not None or statuses(calling.result()) == {"applied"}
        service.start()
        assert len(api.items("/hosts", limit=1000)) == HOSTS
        follows(service, api, "192.0.2.1")
        assert statuses(call(api, changes(service, "delete"))) == {"applied"}


def test_a_name_in_the_zone_shows_when_the_name_server_answers(service: Service, api: Api) -> None:
    service.register("other", ip="192.0.2.9")
    taken = names(service)[300]
    insert(service, service.domain, taken, "TXT", "mine")
    with hung(service.named_pid()):
        assert statuses(call(api, changes(service, "create", ipv4="192.0.2.1"))) == {"pending"}
    wait_until(lambda: api.get(f"/hosts/{taken}")["dns"] == "conflict", 20, "conflict")
    assert "is not ours" in api.get(f"/hosts/{taken}")["conflict"]
    assert service.dig(taken) == []
    others = [name for name in names(service) if name != taken]
    wait_until(lambda: holds(service, "192.0.2.1", names=others), 30, "the others")


def test_a_store_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    with dev(tmp_path / "service") as service:
        api = Api(service, service.admin_token)
        items = changes(service, "create", ipv4="192.0.2.1")
        with locked(service):
            for _ in range(2):
                answer = api.call("POST", "/changes", {"changes": items}, headers={"Idempotency-Key": "k"})
                problem(answer, 503, "urn:ddns:store")
        assert api.items("/hosts") == []
        assert service.dig(names(service)[0]) == []
        assert statuses(call(api, items, key="k")) == {"applied"}
        follows(service, api, "192.0.2.1")
