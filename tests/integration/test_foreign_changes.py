# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody else changes our records in the zone: it is noticed by the zone's serial, repaired and told."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rcode
import dns.update
import pytest
import requests
from support.clients.rest_api import Api, Content
from support.ports import wait_until
from support.servers.knot import NameServer, knot
from support.servers.powerdns import powerdns
from support.servers.service import DOMAIN, Service, dev

from ddnsd.dns.tsig import TsigKey

Settings = Callable[[], dict[str, str]]
Start = Callable[[Path, str, TsigKey], AbstractContextManager[NameServer]]

ALGORITHMS = {"knot": "hmac-sha384", "powerdns": "hmac-sha512"}

MANY = 300
"""Hosts of a zone so large that BIND answers with differences, not with the whole zone (max-ixfr-ratio)."""

NOTICED_SECONDS = 20
"""The service promises 5 seconds at rest; the machine of a test may be busy."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, store_settings: Settings) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("changes") / "service", **store_settings()) as running:
        fill(running, MANY)
        yield running


@pytest.fixture(scope="module")
def api(service: Service) -> Api:
    return Api(service, service.admin_token)


_numbers = iter(range(10_000))


def new() -> str:
    return f"n{next(_numbers)}"


def fill(service: Service, number: int) -> dict[str, str]:
    """Register many hosts, and answer their secrets by full name."""
    changes = [
        {"action": "create", "fqdn": f"many{n}.{DOMAIN}", "set": {"ipv4": f"198.51.100.{n % 250 + 1}"}}
        for n in range(number)
    ]
    results = Api(service, service.admin_token).call("POST", "/changes", {"changes": changes}).json()["results"]
    assert {result["status"] for result in results} <= {"applied", "pending"}
    return {result["fqdn"]: result["secret"] for result in results}


def history(api: Api, fqdn: str) -> list[Content]:
    items: list[Content] = api.get(f"/hosts/{fqdn}/history")["items"]
    return items


def repaired(api: Api, fqdn: str) -> list[tuple[Any, Any]]:
    """What was found in the zone, and what was published again, by each entry of the history, newest first."""
    entries = [entry for entry in history(api, fqdn) if entry["kind"] == "repaired"]
    return [(entry["before"]["zone"], entry["after"]["zone"]) for entry in entries]


def is_held(api: Api, fqdn: str) -> bool:
    return bool(api.get(f"/hosts/{fqdn}")["dns"] == "conflict")


def in_dns(api: Api, fqdn: str) -> None:
    wait_until(lambda: api.get(f"/hosts/{fqdn}")["dns"] == "current", NOTICED_SECONDS, "in DNS")


def test_a_changed_address_is_repaired_and_told_once(service: Service, api: Api) -> None:
    name = new()
    fqdn = f"{name}.{DOMAIN}"
    secret = service.register(name, ip="192.0.2.1")
    service.remove_records(name, "A")
    service.add_record(name, "A", "192.0.2.200")
    wait_until(lambda: service.dig(fqdn) == ["192.0.2.1"], NOTICED_SECONDS, "repaired")
    assert repaired(api, fqdn) == [({fqdn: ["192.0.2.200"]}, {fqdn: ["192.0.2.1"]})]
    (entry,) = (entry for entry in history(api, fqdn) if entry["kind"] == "repaired")
    assert (entry["actor"], entry["via"], entry["source"]) == ("ddnsd", "service", None)
    events = [(e["action"], e["detail"]) for e in api.items("/events") if e["object"] == fqdn]
    assert events.count(("host.repaired", f"{fqdn}: 192.0.2.200 instead of 192.0.2.1")) == 1
    in_dns(api, fqdn)
    answer = service.get("/nic/update", auth=(fqdn, secret), params={"myip": "192.0.2.1"})
    assert answer.text == "nochg 192.0.2.1"
    service.remove_records(name, "A")
    service.add_record(name, "A", "192.0.2.200")
    wait_until(lambda: service.dig(fqdn) == ["192.0.2.1"], NOTICED_SECONDS, "repaired again")
    assert len(repaired(api, fqdn)) == 1, "the same again is not told for a while"


def test_a_removed_address_and_a_second_one(service: Service, api: Api) -> None:
    name = new()
    fqdn = f"{name}.{DOMAIN}"
    service.register(name, ip="192.0.2.1")
    in_dns(api, fqdn)
    service.remove_records(name, "A")
    wait_until(lambda: service.dig(fqdn) == ["192.0.2.1"], NOTICED_SECONDS, "repaired")
    service.add_record(name, "A", "192.0.2.200")
    service.add_record(name, "AAAA", "2001:db8::200")
    wait_until(lambda: service.dig(fqdn) == ["192.0.2.1"], NOTICED_SECONDS, "repaired")
    wait_until(lambda: service.dig(fqdn, "AAAA") == [], NOTICED_SECONDS, "repaired")
    assert repaired(api, fqdn)[-1] == ({fqdn: []}, {fqdn: ["192.0.2.1"]})


def test_nochg_is_not_answered_once_the_difference_is_known(service: Service, api: Api) -> None:
    """An update after the repair has begun is sent, or finds it done; either way DNS has the address."""
    name = new()
    fqdn = f"{name}.{DOMAIN}"
    secret = service.register(name, ip="192.0.2.1")
    service.remove_records(name, "A")
    wait_until(lambda: len(repaired(api, fqdn)) == 1, NOTICED_SECONDS, "known")
    answer = service.get("/nic/update", auth=(fqdn, secret), params={"myip": "192.0.2.1"})
    assert answer.text in ("good 192.0.2.1", "nochg 192.0.2.1")
    assert service.dig(fqdn) == ["192.0.2.1"]


def test_wildcards_related_names_and_records(service: Service, api: Api) -> None:
    name = new()
    fqdn = f"{name}.{DOMAIN}"
    secret = service.register(name, ip="192.0.2.1", wildcard="true")
    service.cli("related", "add", fqdn, "nas", "::7")
    answer = service.get("/nic/update", auth=(fqdn, secret), params={"myip": "192.0.2.1,2001:db8:1::/64"})
    assert answer.text.startswith("good")
    assert api.call("PUT", f"/hosts/{fqdn}/records/_x/TXT", {"values": ["one"]}).status_code == 200
    assert api.call("PUT", f"/hosts/{fqdn}/records/@/MX", {"values": ["10 mail.example.net."]}).status_code == 200
    service.remove_records(f"*.{name}", "A")
    service.add_record(f"*.{name}", "A", "192.0.2.200")
    service.remove_records(f"nas.{name}", "AAAA")
    service.remove_records(f"_x.{name}", "TXT")
    service.add_record(name, "MX", "20 Other.example.net.")
    wait_until(lambda: service.dig(f"any.{fqdn}") == ["192.0.2.1"], NOTICED_SECONDS, "the wildcard")
    wait_until(lambda: service.dig(f"nas.{fqdn}", "AAAA") == ["2001:db8:1::7"], NOTICED_SECONDS, "the related name")
    wait_until(lambda: service.dig(f"_x.{fqdn}", "TXT") == ['"one"'], NOTICED_SECONDS, "the records")
    wait_until(lambda: service.dig(fqdn, "MX") == ["10 mail.example.net."], NOTICED_SECONDS, "the other records")
    found = {place: values for before, _ in repaired(api, fqdn) for place, values in before.items()}
    del found[f"*.{fqdn}"]  # a look may come between removal and addition
    assert found == {
        f"nas.{fqdn}": [],
        f"_x.{fqdn} TXT": [],
        f"{fqdn} MX": ["10 mail.example.net.", "20 other.example.net."],
    }


@pytest.mark.parametrize(("below", "rtype", "value"), [("", "CNAME", "x.example.net."), ("*.", "CNAME", "x.")])
def test_an_alias_holds_the_host_until_it_goes(service: Service, api: Api, below: str, rtype: str, value: str) -> None:
    name = new()
    fqdn = f"{name}.{DOMAIN}"
    service.register(name, ip="192.0.2.1", wildcard="true")
    service.remove_records(below + name, "A")
    service.add_record(below + name, rtype, value)
    wait_until(partial(is_held, api, fqdn), NOTICED_SECONDS, "held")
    assert "is an alias that is not ours" in api.get(f"/hosts/{fqdn}")["conflict"]
    service.remove_records(below + name, rtype)
    in_dns(api, fqdn)
    assert service.dig(f"any.{fqdn}") == service.dig(fqdn) == ["192.0.2.1"]
    assert [entry["kind"] for entry in history(api, fqdn)][:2] == ["resumed", "held"]


@pytest.mark.parametrize(("rtype", "value"), [("NS", "ns.example.net."), ("DNAME", "example.net.")])
def test_a_delegation_above_holds_hosts_until_it_goes(service: Service, api: Api, rtype: str, value: str) -> None:
    above = new()
    names = [f"a.{above}.{DOMAIN}", f"b.c.{above}.{DOMAIN}"]
    for fqdn in names:
        service.register(fqdn, ip="192.0.2.1")
    beside = new()
    service.register(beside, ip="192.0.2.1")
    service.add_record(above, rtype, value)
    for fqdn in names:
        wait_until(partial(is_held, api, fqdn), NOTICED_SECONDS, "held")
    assert api.get(f"/hosts/{beside}.{DOMAIN}")["dns"] == "current"
    service.remove_records(above, rtype)
    for fqdn in names:
        in_dns(api, fqdn)
        assert service.dig(fqdn) == ["192.0.2.1"]
        assert repaired(api, fqdn) == []


def test_a_removed_name_that_comes_back_is_removed_again(service: Service, api: Api) -> None:
    name, other = new(), new()
    for one in (name, other):
        service.register(one, ip="192.0.2.1")
        api.delete(f"/hosts/{one}.{DOMAIN}")
    service.add_record(name, "A", "192.0.2.1")
    service.add_record(other, "A", "192.0.2.99")
    wait_until(lambda: service.dig(f"{name}.{DOMAIN}") == [], NOTICED_SECONDS, "removed again")
    assert service.dig(f"{other}.{DOMAIN}") == ["192.0.2.99"], "not our address: it belongs to somebody else"
    service.remove_records(other, "A")


def test_names_that_are_not_ours_stay(service: Service, api: Api) -> None:
    name, ours = new(), new()
    service.register(ours, ip="192.0.2.1")
    service.add_record(name, "A", "192.0.2.99")
    service.add_record(ours, "HINFO", '"a" "b"')
    service.add_record(ours, "TXT", '"theirs"')
    service.remove_records(ours, "A")
    wait_until(lambda: service.dig(f"{ours}.{DOMAIN}") == ["192.0.2.1"], NOTICED_SECONDS, "ours is repaired")
    assert service.dig(f"{name}.{DOMAIN}") == ["192.0.2.99"]
    assert service.dig(f"{ours}.{DOMAIN}", "HINFO") == ['"a" "b"']
    assert service.dig(f"{ours}.{DOMAIN}", "TXT") == ['"theirs"']
    assert repaired(api, f"{ours}.{DOMAIN}") == [({f"{ours}.{DOMAIN}": []}, {f"{ours}.{DOMAIN}": ["192.0.2.1"]})]


def test_the_address_of_a_blocked_host_does_not_come_back(service: Service, api: Api) -> None:
    name = new()
    fqdn = f"{name}.{DOMAIN}"
    service.register(name, ip="192.0.2.1")
    assert api.call("PATCH", f"/hosts/{fqdn}", {"abuse_blocked": True}).status_code == 200
    service.add_record(name, "A", "192.0.2.1")
    wait_until(lambda: service.dig(fqdn) == [], NOTICED_SECONDS, "removed")


def test_repairs_are_counted(service: Service, api: Api) -> None:
    name = new()
    service.register(name, ip="192.0.2.1")
    service.remove_records(name, "A")
    wait_until(lambda: service.dig(f"{name}.{DOMAIN}") == ["192.0.2.1"], NOTICED_SECONDS, "repaired")
    assert metric(service, "ddnsd_foreign_changes_repaired_total") >= 1


def metric(service: Service, name: str) -> float:
    (line,) = (line for line in service.get("/metrics").text.splitlines() if line.startswith(name + " "))
    return float(line.split()[1])


def test_under_load_only_foreign_changes_are_repaired(service: Service, api: Api) -> None:
    """Each update has a new address, so that the serial always moves; one host is changed by somebody else."""
    hosts = {f"load{n}.{DOMAIN}": service.register(f"load{n}", ip="192.0.2.1") for n in range(40)}
    name = new()
    fqdn = f"{name}.{DOMAIN}"
    service.register(name, ip="192.0.2.1")
    end = threading.Event()
    sent: list[str] = []

    def update(item: tuple[str, str]) -> None:
        with requests.Session() as http:
            for n in range(1_000_000):
                if end.is_set():
                    return
                address = f"203.0.{n // 250 % 250}.{n % 250 + 1}"
                answer = http.get(f"{service.url}/nic/update", auth=item, params={"myip": address}, timeout=60)
                sent.append(answer.text)

    with ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(update, item) for item in list(hosts.items())[:8]]
        try:
            wait_until(lambda: len(sent) > 200, 60, "load")
            service.remove_records(name, "A")
            wait_until(lambda: service.dig(fqdn) == ["192.0.2.1"], 30 + NOTICED_SECONDS, "repaired")
            time.sleep(3)  # some more looks
        finally:
            end.set()
        for worker in workers:
            worker.result()
    assert {text.split()[0] for text in sent} == {"good"}
    assert len(repaired(api, fqdn)) == 1
    assert [host for host in hosts if repaired(api, host)] == []
    assert service.cli("reconcile", "--check").stdout == ""


def test_a_signed_zone(service: Service, api: Api) -> None:
    """Signatures change the serial; they are not ours, and nothing is repaired because of them."""
    zone = "signed.example.org"
    service.cli("domain", "add", zone, "--owner", "admin", "--dnssec-policy", "default")
    fqdn = f"a.{zone}"
    service.register(fqdn, ip="192.0.2.1")
    in_dns(api, fqdn)
    before = metric(service, "ddnsd_foreign_changes_repaired_total")
    write(service, zone, "delete a A")
    wait_until(lambda: service.dig(fqdn) == ["192.0.2.1"], NOTICED_SECONDS, "repaired")
    time.sleep(4)  # some more looks
    assert len(repaired(api, fqdn)) == 1
    assert metric(service, "ddnsd_foreign_changes_repaired_total") == before + 1
    service.cli("domain", "remove", zone, "--yes", check=False)


def write(service: Service, zone: str, change: str) -> None:
    """Somebody else writes into a zone of the embedded BIND."""
    key = TsigKey.from_text((service.dir / "bind" / "keys" / f"{zone}.key").read_text())
    send(NameServer("127.0.0.1", service.dns_port), zone, key, change)


def send(server: NameServer, zone: str, key: TsigKey, change: str) -> None:
    """Send `add NAME TYPE VALUE` or `delete NAME TYPE` as an update."""
    message = dns.update.UpdateMessage(zone, keyring=key.dnspython)
    action, name, rtype, *value = change.split(maxsplit=3)
    if action == "add":
        message.add(name, 60, rtype, *value)
    else:
        message.delete(name, rtype)
    answer = dns.query.tcp(message, server.host, port=server.port, timeout=5)
    assert answer.rcode() == dns.rcode.NOERROR


def dig(server: NameServer, name: str, rtype: str = "A") -> list[str]:
    answer = dns.query.udp(dns.message.make_query(name, rtype), server.host, port=server.port, timeout=3)
    return sorted(rdata.to_text() for rrset in answer.answer for rdata in rrset)


@pytest.mark.parametrize("start", [knot, powerdns], ids=lambda f: f.__name__)
@pytest.mark.parametrize("number", [1, 150], ids=["small", "large"])
def test_other_name_servers(service: Service, api: Api, tmp_path: Path, start: Start, number: int) -> None:
    zone = f"{start.__name__}{number}.example.net"
    key = TsigKey.generate(f"{zone}.key", ALGORITHMS[start.__name__])
    (tmp_path / "key").write_text(key.to_text())
    with start(tmp_path / "server", zone, key) as server:
        where = ["--primary", f"{server.host}:{server.port}", "--key-file", str(tmp_path / "key")]
        service.cli("domain", "add", zone, "--owner", "admin", *where)
        changes = [{"action": "create", "fqdn": f"h{n}.{zone}", "set": {"ipv4": "192.0.2.1"}} for n in range(number)]
        assert api.call("POST", "/changes", {"changes": changes}).status_code == 200
        fqdn = f"h0.{zone}"
        in_dns(api, fqdn)
        for told, change in enumerate(("delete h0 A", "add h0 A 192.0.2.99"), 1):
            send(server, zone, key, change)
            wait_until(lambda told=told: len(repaired(api, fqdn)) == told, NOTICED_SECONDS, change)  # type: ignore[misc]
            wait_until(lambda: dig(server, fqdn) == ["192.0.2.1"], NOTICED_SECONDS, change)
        send(server, zone, key, "delete h0 A")
        send(server, zone, key, "add h0 CNAME x.example.net.")
        wait_until(partial(is_held, api, fqdn), NOTICED_SECONDS, "held")
        send(server, zone, key, "delete h0 CNAME")
        in_dns(api, fqdn)
        assert dig(server, fqdn) == ["192.0.2.1"]
        others = [f"h{n}.{zone}" for n in range(1, min(number, 5))]
        assert [other for other in others if repaired(api, other)] == []
