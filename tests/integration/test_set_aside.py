# SPDX-License-Identifier: GPL-3.0-or-later
"""What BIND refuses is set aside, with its reason, and delays nothing else."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select
from support.clients.rest_api import Api, Content, problem
from support.ports import wait_until
from support.servers.faults import granting, in_store, make_due, refusing, with_option
from support.servers.service import DOMAIN, Service, dev

from ddnsd.db import set_aside
from ddnsd.db.schema import set_aside as rows

Settings = Callable[[], dict[str, str]]
ALL = "grant {key} zonesub ANY"
REFUSED = "the name server answers REFUSED"


@pytest.fixture
def service(tmp_path: Path, store_settings: Settings) -> Iterator[Service]:
    with dev(tmp_path / "service", **store_settings()) as running:
        yield running


@pytest.fixture
def api(service: Service) -> Api:
    return Api(service, service.admin_token)


def deny(*labels: str) -> list[str]:
    return [*(f"deny {{key}} name {label}.{DOMAIN} ANY" for label in labels), ALL]


def update(service: Service, label: str, secret: str, address: str) -> str:
    return service.get("/nic/update", auth=(f"{label}.{DOMAIN}", secret), params={"myip": address}).text


def update_all(service: Service, secrets: Mapping[str, str], address: str) -> dict[str, str]:
    with ThreadPoolExecutor(len(secrets)) as pool:
        answers = pool.map(lambda item: update(service, item[0], item[1], address), secrets.items())
        return dict(zip(secrets, answers, strict=True))


def unregister(service: Service, label: str) -> int:
    asked = {"fqdn": f"{label}.{DOMAIN}"}
    return service.get("/nic/unregister", service.admin_token, params=asked).status_code


def bulk(api: Api, action: str, *labels: str) -> list[str]:
    given = {"set": {"ipv4": "192.0.2.50"}} if action != "delete" else {}
    items = [{"action": action, "fqdn": f"{label}.{DOMAIN}", **given} for label in labels]
    return [result["status"] for result in api.call("POST", "/changes", {"changes": items}).json()["results"]]


def records(api: Api, where: str) -> list[Content]:
    found: list[Content] = api.get(where)["items"]
    return found


def dig(service: Service, label: str, rtype: str = "A") -> list[str]:
    return service.dig(f"{label}.{DOMAIN}", rtype)


def aside(service: Service) -> list[str]:
    """The names that are set aside."""
    return in_store(service, lambda c: list(c.scalars(select(rows.c.name).order_by(rows.c.name))))


def tries(service: Service) -> int:
    return in_store(service, lambda c: int(sum(c.scalars(select(rows.c.tries)))))


def logged(service: Service, *texts: str) -> int:
    return sum(all(text in line for text in texts) for line in service.log.read_text().splitlines())


def test_a_refused_removal_delays_nobody(service: Service, api: Api) -> None:
    secrets = {label: service.register(label, ip="192.0.2.1") for label in ("www", "a", "b")}
    removal = f"www.{DOMAIN} (removal)"
    with granting(service, DOMAIN, *deny("www")):
        answer = service.get("/nic/unregister", service.admin_token, params={"fqdn": f"www.{DOMAIN}"})
        assert (answer.status_code, REFUSED in answer.text) == (502, True)
        for address in ("192.0.2.2", "192.0.2.3"):
            assert update(service, "a", secrets["a"], address) == f"good {address}"
        service.register("c", ip="192.0.2.1")
        assert unregister(service, "b") == 200
        assert bulk(api, "create", "d", "e") == ["applied"] * 2
        assert bulk(api, "delete", "d", "c") == ["applied"] * 2
        assert [dig(service, label) for label in ("www", "b", "c", "d")] == [["192.0.2.1"], [], [], []]
        assert aside(service) == [removal]
        checked = service.cli("doctor", check=False)
        assert checked.returncode == 1
        assert "1 refused since" in checked.stdout + checked.stderr
        assert f"{REFUSED} ({removal})" in checked.stdout + checked.stderr
        make_due(service)
        wait_until(lambda: tries(service) == 1, 10, "another try")
        assert logged(service, "refused and set aside", removal) == 1
        assert logged(service, "zone behind") == 0
    make_due(service)
    wait_until(lambda: dig(service, "www") == [] and aside(service) == [], 10, "it leaves by itself")
    assert service.cli("doctor").returncode == 0
    assert service.cli("reconcile", "--check").returncode == 0


def test_a_bulk_call_says_which_removals_are_refused(service: Service, api: Api) -> None:
    labels = [f"h{n}" for n in range(40)]
    assert set(bulk(api, "create", *labels)) == {"applied"}
    with granting(service, DOMAIN, *deny("h7", "h8", "h30")):
        answers = dict(zip(labels, bulk(api, "delete", *labels), strict=True))
    assert {label for label, status in answers.items() if status != "applied"} == {"h7", "h8", "h30"}
    assert {answers["h7"], answers["h8"], answers["h30"]} == {"pending"}
    assert aside(service) == [f"{label}.{DOMAIN} (removal)" for label in ("h30", "h7", "h8")]


def test_hundreds_of_refused_removals_delay_no_host(service: Service, api: Api) -> None:
    secret = service.register("a", ip="192.0.2.1")
    labels = [f"h{n}.lab" for n in range(300)]
    assert set(bulk(api, "create", *labels, "b")) == {"applied"}
    with granting(service, DOMAIN, f"deny {{key}} subdomain lab.{DOMAIN} ANY", ALL), ThreadPoolExecutor(1) as pool:
        deleted = pool.submit(bulk, api, "delete", *labels, "b")
        for n in range(2, 30):
            assert update(service, "a", secret, f"192.0.2.{n}") == f"good 192.0.2.{n}"
        assert deleted.result()[-1] == "applied"
        wait_until(lambda: len(aside(service)) == 300, 60, "all are set aside")
        assert dig(service, "b") == []
    make_due(service)
    wait_until(lambda: aside(service) == [], 30, "all leave by themselves")
    assert dig(service, "h299.lab") == []


def test_refused_hosts_stop_no_others(service: Service, api: Api) -> None:
    secrets = {f"h{n}": service.register(f"h{n}", ip="192.0.2.1") for n in range(12)}
    denied = [f"h{n}" for n in range(2, 7)]
    with granting(service, DOMAIN, *deny(*denied)):
        for address in ("192.0.2.2", "192.0.2.3"):
            said = update_all(service, secrets, address)
            assert said == {label: "911" if label in denied else f"good {address}" for label in secrets}
        assert aside(service) == [f"{label}.{DOMAIN}" for label in denied]
        assert {api.get(f"/hosts/{label}.{DOMAIN}")["dns"] for label in denied} == {"pending"}
    service.kill()
    service.start()  # which gives the key its rights back
    assert aside(service) == [f"{label}.{DOMAIN}" for label in denied]
    with granting(service, DOMAIN, *deny(*denied)):
        others = {label: secret for label, secret in secrets.items() if label not in denied}
        assert set(update_all(service, others, "192.0.2.4").values()) == {"good 192.0.2.4"}
        assert logged(service, "zone behind") == 0
        assert unregister(service, "h2") == 502
        assert f"h2.{DOMAIN}" not in aside(service)
        answer = service.get("/nic/register", service.admin_token, params={"fqdn": f"h2.{DOMAIN}", "ip": "192.0.2.1"})
        assert (answer.status_code, REFUSED in answer.text) == (502, True)
        now = [f"h2.{DOMAIN} (removal)", *(f"{label}.{DOMAIN}" for label in denied[1:])]
        wait_until(lambda: aside(service) == now, 10, "the name server refuses the removal as well")
    # a change is tried at once
    assert update(service, "h3", secrets["h3"], "192.0.2.5") == "good 192.0.2.5"
    make_due(service)
    wait_until(lambda: aside(service) == [], 10, "the others follow by themselves")
    assert [dig(service, label) for label in denied] == [[], ["192.0.2.5"], *([["192.0.2.3"]] * 3)]
    assert service.cli("reconcile", "--check").returncode == 0


def test_a_command_is_tried_at_once(service: Service) -> None:
    """An operator who blocks a host does not wait for its next try, which may be in an hour."""
    secrets = {label: service.register(label, ip="192.0.2.1") for label in ("a", "b")}
    with granting(service, DOMAIN, *deny("a")):
        assert update_all(service, secrets, "192.0.2.2") == {"a": "911", "b": "good 192.0.2.2"}
        assert aside(service) == [f"a.{DOMAIN}"]
    in_store(service, lambda c: c.execute(rows.update().values(retry_at=2**62)))
    service.cli("host", "block", f"a.{DOMAIN}")
    wait_until(lambda: dig(service, "a") == [] and aside(service) == [], 10, "the block is in DNS")


def test_reconcile_says_and_repairs_what_was_not_removed(service: Service) -> None:
    for label in ("www", "a"):
        service.register(label, ip="192.0.2.1")
    with granting(service, DOMAIN, *deny("www")):
        assert unregister(service, "www") == 502
        for command in (("reconcile", "--check"), ("reconcile",)):
            done = service.cli(*command, check=False)
            assert done.returncode == 2
            assert f"www.{DOMAIN}" in done.stdout
        assert REFUSED in done.stdout
    service.cli("reconcile")
    assert dig(service, "www") == []


@pytest.mark.parametrize("how", ["frozen", "policy"])
def test_of_a_zone_that_refuses_everything_nothing_is_set_aside(service: Service, api: Api, how: str) -> None:
    secrets = {f"h{n}": service.register(f"h{n}", ip="192.0.2.1") for n in range(8)}
    service.register("gone", ip="192.0.2.1")
    fault = refusing(service, DOMAIN) if how == "frozen" else granting(service, DOMAIN, "grant nobody zonesub ANY")
    with fault:
        assert set(update_all(service, secrets, "192.0.2.2").values()) == {"911"}
        assert set(bulk(api, "create", *(f"b{n}" for n in range(100)))) == {"pending"}
        assert unregister(service, "gone") == 502
        assert aside(service) == []
        assert logged(service, "zone behind", "to every update of the zone") > 0
    wait_until(lambda: dig(service, "b99") == ["192.0.2.50"] and dig(service, "gone") == [], 15, "the zone follows")
    wait_until(lambda: service.cli("reconcile", "--check", check=False).returncode == 0, 15, "all of it")


def test_a_full_zone_takes_what_needs_no_room(service: Service, api: Api) -> None:
    """BIND answers SERVFAIL to all of a message that would exceed `max-records`."""
    secrets = {label: service.register(label, ip="192.0.2.1") for label in ("a", "b", "c")}
    markers = len(service.dig(f"_ddnsd.{DOMAIN}", "TXT"))  # PostgreSQL needs one
    with with_option(service, DOMAIN, f"max-records {5 + markers}"):  # also SOA, NS and three addresses
        items = [{"action": "create", "fqdn": f"new.{DOMAIN}", "set": {"ipv4": "192.0.2.2"}}]
        items += [{"action": "update", "fqdn": f"{label}.{DOMAIN}", "set": {"ipv4": "192.0.2.2"}} for label in secrets]
        results = api.call("POST", "/changes", {"changes": items}).json()["results"]
        assert [result["status"] for result in results] == ["pending", *(["applied"] * 3)]
        assert aside(service) == [f"new.{DOMAIN}"]
        assert update(service, "a", secrets["a"], "192.0.2.3") == "good 192.0.2.3"
        assert unregister(service, "b") == 200
        make_due(service)
        wait_until(lambda: aside(service) == [], 10, "there is room now")
    assert dig(service, "new") == ["192.0.2.2"]


def test_a_key_that_may_update_some_names_alone(service: Service) -> None:
    """A name that nobody has is refused as well, so that a host which BIND takes has to tell."""
    secrets = {label: service.register(label, ip="192.0.2.1") for label in ("a", "b", "c")}
    with granting(service, DOMAIN, f"grant {{key}} name a.{DOMAIN} ANY", f"grant {{key}} name b.{DOMAIN} ANY"):
        for address in ("192.0.2.2", "192.0.2.3"):
            assert update(service, "c", secrets["c"], address) == "911"
            assert update(service, "a", secrets["a"], address) == f"good {address}"
        assert unregister(service, "c") == 502
        assert unregister(service, "b") == 200
        assert aside(service) == [f"c.{DOMAIN} (removal)"]


def test_a_refused_rrset_leaves_its_host_alone(service: Service, api: Api) -> None:
    secret = service.register("a", ip="192.0.2.1")
    where = f"/hosts/a.{DOMAIN}/records"
    for place in ("_x/TXT", "_y/TXT"):
        assert api.call("PUT", f"{where}/{place}", {"values": ["one"]}).status_code == 200
    with granting(service, DOMAIN, f"deny {{key}} name _x.a.{DOMAIN} TXT", ALL):
        assert update(service, "a", secret, "192.0.2.2") == "good 192.0.2.2"
        found = {one["name"]: one["conflict"] for one in records(api, where)}
        assert found == {"_x": REFUSED, "_y": None}
        assert aside(service) == [f"_x.a.{DOMAIN} TXT"]
        problem(api.call("PUT", f"{where}/_x/TXT", {"values": ["two"]}), 409, "urn:ddns:taken", {"values"})
        assert api.call("PUT", f"{where}/_y/TXT", {"values": ["two"]}).status_code == 200
        assert update(service, "a", secret, "192.0.2.3") == "good 192.0.2.3"
    make_due(service)
    wait_until(lambda: aside(service) == [], 10, "nothing is left to try")
    assert dig(service, "_y.a", "TXT") == ['"two"']


def test_an_rrset_is_tried_again(service: Service, api: Api) -> None:
    secret = service.register("a", ip="192.0.2.1")
    where = f"/hosts/a.{DOMAIN}/records"
    assert api.call("PUT", f"{where}/_x/TXT", {"values": ["one"]}).status_code == 200
    with granting(service, DOMAIN, f"deny {{key}} name _x.a.{DOMAIN} TXT", ALL):
        assert update(service, "a", secret, "192.0.2.2") == "good 192.0.2.2"
        service.remove_records(f"other.{DOMAIN}.", "A")
        make_due(service)
        wait_until(lambda: tries(service) == 1, 10, "another try")
    make_due(service)
    wait_until(lambda: records(api, where)[0]["conflict"] is None, 10, "taken")
    assert aside(service) == []


def test_what_is_refused_is_summed_up(service: Service) -> None:
    secrets = {f"h{n}": service.register(f"h{n}", ip="192.0.2.1") for n in range(5)}
    assert in_store(service, set_aside.refused) == []
    with granting(service, DOMAIN, *deny(*secrets)):
        update_all(service, secrets, "192.0.2.2")
        (found,) = in_store(service, set_aside.refused)
    assert (found.zone, found.reason, found.total, len(found.names)) == (DOMAIN, REFUSED, 5, 3)
    assert in_store(service, lambda c: set_aside.refused(c, ["other.example.org"])) == []
    assert in_store(service, set_aside.counts) == {1: 5}
