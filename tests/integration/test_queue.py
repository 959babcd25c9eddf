# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd queue`: operators list, retry and skip what BIND refuses."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from support.clients.rest_api import Api
from support.ports import wait_until
from support.servers.faults import granting, in_store, refusing
from support.servers.service import DOMAIN, Service, dev

from ddnsd.db import queries
from ddnsd.db.schema import set_aside

Settings = Callable[[], dict[str, str]]
REFUSED = "the name server answers REFUSED"
TIME = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def service(tmp_path: Path, store_settings: Settings) -> Iterator[Service]:
    with dev(tmp_path / "service", **store_settings()) as running:
        yield running


@pytest.fixture
def api(service: Service) -> Api:
    return Api(service, service.admin_token)


def deny(*labels: str) -> list[str]:
    return [*(f"deny {{key}} name {label}.{DOMAIN} ANY" for label in labels), "grant {key} zonesub ANY"]


def name(label: str) -> str:
    return f"{label}.{DOMAIN}"


def update(service: Service, label: str, secret: str, address: str) -> str:
    return service.get("/nic/update", auth=(name(label), secret), params={"myip": address}).text


def unregister(service: Service, label: str) -> int:
    return service.get("/nic/unregister", service.admin_token, params={"fqdn": name(label)}).status_code


def items(service: Service, *options: str) -> dict[str, dict[str, Any]]:
    """The queue by name; names are without the domain, and with the type."""
    found = json.loads(service.cli("queue", "list", "--json", *options).stdout)
    return {" ".join(filter(None, (i["name"].removesuffix(f".{DOMAIN}"), i["type"]))): i for i in found}


def states(service: Service) -> dict[str, str]:
    return {place: f"{item['kind']} {item['state']}" for place, item in items(service).items()}


def failing(service: Service, *args: str) -> str:
    result = service.cli("queue", *args, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    return result.stderr


def later(service: Service) -> None:
    """Nothing that is set aside is due by itself."""
    in_an_hour = queries.now() + 3_600_000_000
    in_store(service, lambda c: c.execute(set_aside.update().values(retry_at=in_an_hour)))


def skipped(service: Service) -> list[str]:
    query = select(set_aside.c.name).where(set_aside.c.skipped).order_by(set_aside.c.name)
    return in_store(service, lambda c: list(c.scalars(query)))


def events(api: Api, action: str) -> list[tuple[str, str]]:
    return [(e["object"], e["detail"]) for e in api.get("/events?limit=1000")["items"] if e["action"] == action]


def health(service: Service) -> int:
    return service.get("/healthz/dns").status_code


def test_every_kind_and_state_is_listed(service: Service, api: Api) -> None:
    secrets = {label: service.register(label, ip="192.0.2.1") for label in ("a", "b", "c", "gone")}
    wait_until(lambda: items(service) == {}, 10, "the settled changes are forgotten")
    assert service.cli("queue", "list").stdout == ""
    assert api.call("PUT", f"/hosts/{name('b')}/records/_x/TXT", {"values": ["one"]}).status_code == 200
    service.remove_records(name("c") + ".", "A")
    service.add_record(name("c") + ".", "CNAME", "elsewhere.example.net.")
    with granting(service, DOMAIN, f"deny {{key}} name _x.b.{DOMAIN} TXT", *deny("a", "gone")):
        assert update(service, "a", secrets["a"], "192.0.2.2") == "911"
        assert update(service, "b", secrets["b"], "192.0.2.2") == "good 192.0.2.2"
        assert update(service, "c", secrets["c"], "192.0.2.2") == "911"
        assert unregister(service, "gone") == 502
        expected = {
            "a": "host refused",
            "_x.b TXT": "RRset refused",
            "gone": "removal refused",
            "c": "host held",
        }
        wait_until(lambda: states(service) == expected, 10, "the others are published")
        found = items(service)
        assert list(found)[-1] == "c"  # those of operators come first
        assert {found[place]["reason"] for place in ("a", "_x.b TXT", "gone")} == {REFUSED}
        assert "CNAME" in found["c"]["reason"]
        assert {(one["zone"], one["tries"]) for one in found.values()} == {(DOMAIN, 1)}
        assert all(re.fullmatch(TIME, one[field]) for one in found.values() for field in ("since", "next_try"))
        shown = service.cli("queue", "list").stdout.splitlines()
        assert shown[0].split() == ["ZONE", "NAME", "KIND", "STATE", "SINCE", "TRIES", "NEXT", "TRY", "REASON"]
        row = re.escape(f"{DOMAIN}  _x.b.{DOMAIN} TXT") + rf" +RRset +refused +{TIME} +1 +{TIME} +{REFUSED}"
        assert any(re.fullmatch(row, line) for line in shown)
        assert any("held by a foreign record" in line for line in shown)
        assert len({line.index(text) for line, text in zip(shown, ["REASON", *[REFUSED] * 3], strict=False)}) == 1


def test_waiting_items_are_counted_by_zone(service: Service, api: Api) -> None:
    service.register("gone", ip="192.0.2.1")
    service.cli("domain", "add", "other.example.org", "--owner", "admin")
    with refusing(service, DOMAIN):
        assert unregister(service, "gone") == 502
        made = [{"action": "create", "fqdn": name(f"h{n}"), "set": {"ipv4": "192.0.2.1"}} for n in range(60)]
        results = api.call("POST", "/changes", {"changes": made}).json()["results"]
        assert {result["status"] for result in results} == {"pending"}
        found = items(service)
        assert len(found) == 61
        assert (found["h7"]["kind"], found["h7"]["state"], found["h7"]["next_try"]) == ("host", "waiting", None)
        assert (found["gone"]["kind"], found["gone"]["state"]) == ("removal", "waiting")
        assert items(service, "--zone", "other.example.org") == {}
        shown = service.cli("queue", "list").stdout.splitlines()
        assert shown[0].split() == ["ZONE", "REFUSED", "HELD", "SKIPPED", "WAITING", "OLDEST"]
        assert re.fullmatch(rf"{re.escape(DOMAIN)} +0 +0 +0 +61 +{TIME}", shown[1])
        assert (len(shown), shown[-1]) == (2 + 1 + 1 + 50 + 1, "11 more are not shown. List them with --all or --zone.")
        assert len(service.cli("queue", "list", "--all").stdout.splitlines()) == 2 + 1 + 1 + 61
    wait_until(lambda: items(service) == {}, 15, "the zone follows")
    assert "There is no domain nowhere.example.org" in failing(service, "list", "--zone", "nowhere.example.org")


@pytest.mark.parametrize("which", [("a",), ("--zone", DOMAIN), ("--all",)])
def test_retry_makes_items_due(service: Service, api: Api, which: tuple[str, ...]) -> None:
    secrets = {label: service.register(label, ip="192.0.2.1") for label in ("a", "b", "gone")}
    assert api.call("PUT", f"/hosts/{name('b')}/records/_x/TXT", {"values": ["one"]}).status_code == 200
    with granting(service, DOMAIN, f"deny {{key}} name _x.b.{DOMAIN} TXT", *deny("a", "gone")):
        assert update(service, "a", secrets["a"], "192.0.2.2") == "911"
        assert update(service, "b", secrets["b"], "192.0.2.2") == "good 192.0.2.2"
        assert unregister(service, "gone") == 502
        later(service)
    if which == ("a",):
        assert service.cli("queue", "retry", name("a").upper()).stdout == "1 item is due now\n"
        wait_until(lambda: service.dig(name("a")) == ["192.0.2.2"], 10, "sent")
        wait_until(lambda: states(service).keys() == {"_x.b TXT", "gone"}, 10, "the others wait")
        assert events(api, "queue.retry") == [(name("a"), "refused")]
        assert service.cli("queue", "retry", name("_x.b") + " txt", name("gone")).stdout == "2 items are due now\n"
    else:
        assert service.cli("queue", "retry", *which).stdout == "3 items are due now\n"
        assert events(api, "queue.retry") == [(DOMAIN, "3 items")]
    wait_until(lambda: items(service) == {}, 10, "everything is in DNS")
    assert (service.dig(name("a")), service.dig(name("gone"))) == (["192.0.2.2"], [])


def test_a_skipped_host_is_left_alone_until_it_changes(service: Service, api: Api) -> None:
    secret = service.register("a", ip="192.0.2.1")
    with granting(service, DOMAIN, *deny("a")):
        service.register("b", ip="192.0.2.1")
        assert update(service, "a", secret, "192.0.2.2") == "911"
        wait_until(lambda: health(service) == 503, 10, "a fault")
        assert service.cli("queue", "skip", name("a")).stdout == f"skipped host {name('a')}\n"
        assert events(api, "queue.skip") == [(name("a"), f"host: {REFUSED}")]
        wait_until(lambda: health(service) == 200, 10, "no fault")
        assert states(service) == {"a": "host skipped"}
        assert (items(service)["a"]["next_try"], items(service)["a"]["reason"]) == (None, REFUSED)
        assert re.search(
            rf"{re.escape(name('a'))} +host +skipped +{TIME} +1 +never ", service.cli("queue", "list").stdout
        )
        assert "1 skipped" in service.cli("doctor").stdout
        # a client that repeats its request changes nothing
        assert update(service, "a", secret, "192.0.2.2") == "911"
        assert states(service) == {"a": "host skipped"}
        # a change is sent, and a fault again
        assert update(service, "a", secret, "192.0.2.3") == "911"
        assert states(service) == {"a": "host refused"}
        wait_until(lambda: health(service) == 503, 10, "a fault")
        service.cli("queue", "skip", name("a"))
    service.kill()
    service.start()
    for _ in range(2):
        assert service.cli("reconcile").returncode == 0
    assert states(service) == {"a": "host skipped"}
    assert service.dig(name("a")) == ["192.0.2.1"]
    assert update(service, "a", secret, "192.0.2.4") == "good 192.0.2.4"
    wait_until(lambda: items(service) == {}, 10, "published")


def test_a_skipped_item_comes_back_with_retry(service: Service, api: Api) -> None:
    secret = service.register("a", ip="192.0.2.1")
    assert api.call("PUT", f"/hosts/{name('a')}/records/_x/TXT", {"values": ["one"]}).status_code == 200
    service.register("gone", ip="192.0.2.1")
    with granting(service, DOMAIN, f"deny {{key}} name _x.a.{DOMAIN} TXT", *deny("gone")):
        assert update(service, "a", secret, "192.0.2.2") == "good 192.0.2.2"
        assert unregister(service, "gone") == 502
        assert service.cli("queue", "skip", name("_x.a"), name("gone")).stdout.splitlines() == [
            f"skipped RRset _x.a.{DOMAIN} TXT",
            f"skipped removal gone.{DOMAIN}",
        ]
        assert service.cli("doctor").returncode == 0
    assert service.cli("reconcile").returncode == 0
    assert service.dig(name("gone")) == ["192.0.2.1"]
    assert states(service) == {"_x.a TXT": "RRset skipped", "gone": "removal skipped"}
    # the owner changes the RRset
    assert api.call("PUT", f"/hosts/{name('a')}/records/_x/TXT", {"values": ["two"]}).status_code == 200
    wait_until(lambda: states(service) == {"gone": "removal skipped"}, 10, "published")
    assert service.cli("queue", "retry", "--all").stdout == "1 item is due now\n"
    wait_until(lambda: service.dig(name("gone")) == [] and items(service) == {}, 10, "removed")


def test_a_name_with_a_skipped_removal_can_be_registered_again(service: Service) -> None:
    service.register("a", ip="192.0.2.1")
    with granting(service, DOMAIN, *deny("a")):
        assert unregister(service, "a") == 502
        service.cli("queue", "skip", name("a"))
    service.register("a", ip="192.0.2.7")
    assert service.dig(name("a")) == ["192.0.2.7"]
    wait_until(lambda: items(service) == {}, 10, "published")
    assert unregister(service, "a") == 200
    assert service.dig(name("a")) == []


def test_an_unknown_name_changes_nothing(service: Service, api: Api) -> None:
    secrets = {label: service.register(label, ip="192.0.2.1") for label in ("a", "c")}
    service.remove_records(name("c") + ".", "A")
    service.add_record(name("c") + ".", "CNAME", "elsewhere.example.net.")
    with granting(service, DOMAIN, *deny("a")):
        assert update(service, "a", secrets["a"], "192.0.2.2") == "911"
        assert update(service, "c", secrets["c"], "192.0.2.2") == "911"
        for action in ("skip", "retry"):
            assert f"not in the queue: {name('b')}. Nothing was changed" in failing(
                service, action, name("a"), name("b")
            )
        assert "not in the queue" in failing(service, "skip", name("a") + " TXT")
        said = failing(service, "skip", name("a"), name("c"))
        assert f"only refused items can be skipped: {name('c')} (held). Nothing was changed" in said
        assert (skipped(service), events(api, "queue.skip"), events(api, "queue.retry")) == ([], [], [])
        assert service.cli("queue", "retry", check=False).returncode == 2
        assert service.cli("queue", "retry", name("a"), "--all", check=False).returncode == 2
