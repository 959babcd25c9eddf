# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of somebody else that have a host's name or hide it: delegations, redirections, aliases, names of DHCP."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select
from support.clients.rest_api import Api, Content, problem
from support.ports import wait_until
from support.servers.faults import in_store, make_due, write_to_zone_file
from support.servers.kea import Kea, kea
from support.servers.service import DOMAIN, Service, dev

from ddnsd.db.schema import hosts

Settings = Callable[[], dict[str, str]]

FOREIGN = [
    ("CNAME", "elsewhere.example.net.", "is an alias that is not ours (CNAME record)"),
    ("NS", "ns.example.net.", "is delegated to other name servers (NS record)"),
    ("DNAME", "example.net.", "has a DNAME record that is not ours"),
    ("DHCID", "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=", "the name belongs to DHCP (DHCID)"),
]
HIDING = [
    ("NS", "ns.example.net.", f"lab.{DOMAIN} is delegated to other name servers (NS record)"),
    ("DNAME", "example.net.", f"names below lab.{DOMAIN} are redirected (DNAME record)"),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, store_settings: Settings) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("foreign") / "service", **store_settings()) as running:
        yield running


@pytest.fixture
def api(service: Service) -> Api:
    return Api(service, service.admin_token)


_numbers = iter(range(10_000))


def new() -> str:
    return f"n{next(_numbers)}"


def update(service: Service, fqdn: str, secret: str, address: str) -> tuple[int, str]:
    answer = service.get("/nic/update", auth=(fqdn, secret), params={"myip": address})
    return answer.status_code, answer.text


def put_instead(service: Service, name: str, rtype: str, value: str) -> None:
    """Somebody removes our addresses and puts a record of theirs there."""
    for ours in ("A", "AAAA"):
        service.remove_records(name, ours)
    service.add_record(name, rtype, value)


def kinds(api: Api, fqdn: str) -> list[tuple[str, str]]:
    items: list[Content] = api.get(f"/hosts/{fqdn}/history")["items"]
    return [(item["kind"], item["note"]) for item in items]


@pytest.mark.parametrize(("rtype", "value", "reason"), FOREIGN)
def test_a_host_is_held_and_taken_back(service: Service, api: Api, rtype: str, value: str, reason: str) -> None:
    name, other = new(), new()
    fqdn = f"{name}.{DOMAIN}"
    secret, others = service.register(name, ip="192.0.2.1"), service.register(other, ip="192.0.2.1")
    put_instead(service, name, rtype, value)
    for address in ("192.0.2.2", "192.0.2.2", "192.0.2.3"):
        assert update(service, fqdn, secret, address) == (503, "911")
    assert update(service, f"{other}.{DOMAIN}", others, "192.0.2.2") == (200, "good 192.0.2.2")
    assert service.dig(fqdn) == ([value] if rtype == "CNAME" else [])
    host = api.get(f"/hosts/{fqdn}")
    assert (host["dns"], host["client_faults"], host["server_faults"]) == ("conflict", 0, 0)
    assert reason in host["conflict"]
    assert kinds(api, fqdn)[1] == ("held", host["conflict"])  # beside the update's own entry
    events = [event["action"] for event in api.items("/events") if event["object"] == fqdn]
    assert events.count("host.held") == 1
    assert service.cli("doctor").returncode == 0
    service.remove_records(name, rtype)
    make_due(service)
    wait_until(lambda: api.get(f"/hosts/{fqdn}")["dns"] == "current", 10, "taken back")
    assert service.dig(fqdn) == ["192.0.2.3"]
    assert kinds(api, fqdn)[0][0] == "resumed"
    assert update(service, fqdn, secret, "192.0.2.3") == (200, "nochg 192.0.2.3")


@pytest.fixture(scope="module")
def dhcp(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kea]:
    with kea(tmp_path_factory.mktemp("kea") / "kea", DOMAIN, service.key, service.dns_port) as running:
        yield running


def test_dhcp_leaves_a_host_alone_with_conflict_resolution(service: Service, api: Api, dhcp: Kea) -> None:
    name = new()
    fqdn = f"{name}.{DOMAIN}"
    secret = service.register(name, ip="192.0.2.1")
    dhcp.lease(fqdn, "192.0.2.77", resolution=True)
    wait_until(lambda: any("REJECTED" in line and fqdn in line for line in dhcp.said), 20, "Kea gave up")
    assert service.dig(fqdn) == ["192.0.2.1"]
    assert update(service, fqdn, secret, "192.0.2.2") == (200, "good 192.0.2.2")
    assert [kind for kind, _ in kinds(api, fqdn)].count("held") == 0


def test_no_update_of_a_name_that_dhcp_took_over_is_nohost(service: Service, api: Api, dhcp: Kea) -> None:
    """Without conflict resolution Kea replaces our addresses by the lease's, with a DHCID record."""
    name, other = new(), new()
    fqdn, beside = f"{name}.{DOMAIN}", f"{other}.{DOMAIN}"
    secret = service.register(name, ip="192.0.2.1")
    service.register(other, ip="192.0.2.1")
    key = api.post("/keys", {"name": f"dhcp-{name}", "hosts": [fqdn, beside]})
    dhcp.lease(fqdn, "192.0.2.77", resolution=False)
    wait_until(lambda: service.dig(fqdn) == ["192.0.2.77"], 20, "Kea took the name over")

    def ask(path: str = "/nic/update", auth: tuple[str, str] | None = None, **params: str) -> tuple[int, str]:
        token = None if auth else service.admin_token
        answer = service.get(path, token, auth=auth, params=params)
        return answer.status_code, answer.text

    own, bulk = (fqdn, secret), (key["login"], key["secret"])
    for _ in range(2):
        assert ask(auth=own, myip="192.0.2.2") == (503, "911")
        assert ask(auth=own, myip="2001:db8::2") == (503, "911")
        assert ask(auth=own, myip="192.0.2.2", hostname=fqdn) == (503, "911")
        assert ask(auth=own, offline="YES") == (503, "911")
        assert ask("/nic/delete", auth=own, myip="0.0.0.0") == (503, "911")
        assert ask("/v3/update", auth=own, myip="192.0.2.3") == (503, "911")
        assert ask(hostname=fqdn, myip="192.0.2.4") == (503, "911")
        assert ask("/update", domains=fqdn, token=secret, ip="192.0.2.4") == (200, "KO")
        assert ask(auth=bulk, hostname=f"{fqdn},{beside}", myip="192.0.2.5")[1].splitlines()[0] == "911"
    assert service.dig(beside) == ["192.0.2.5"]
    assert service.dig(fqdn) == ["192.0.2.77"], "the lease's address is left alone"
    host = api.get(f"/hosts/{fqdn}")
    assert (host["dns"], host["conflict"], host["client_faults"]) == ("conflict", "the name belongs to DHCP (DHCID)", 0)
    assert [kind for kind, _ in kinds(api, fqdn)].count("held") == 1
    dhcp.expire(fqdn, "192.0.2.77", resolution=False)
    wait_until(lambda: service.dig(fqdn, "DHCID") == [], 20, "the lease ended")
    make_due(service)
    wait_until(lambda: api.get(f"/hosts/{fqdn}")["dns"] == "current", 10, "taken back")
    assert service.dig(fqdn) == ["192.0.2.5"], "our address again, not the lease's"


def test_addresses_that_somebody_changed_are_restored(service: Service, api: Api) -> None:
    name = new()
    secret = service.register(name, ip="192.0.2.1")
    service.remove_records(name, "A")
    service.add_record(name, "A", "192.0.2.200")
    assert update(service, f"{name}.{DOMAIN}", secret, "192.0.2.2") == (200, "good 192.0.2.2")
    assert service.dig(f"{name}.{DOMAIN}") == ["192.0.2.2"]


@pytest.mark.parametrize("below", ["*", "nas"])
def test_an_alias_at_a_further_name_of_the_host(service: Service, api: Api, below: str) -> None:
    name = new()
    fqdn = f"{name}.{DOMAIN}"
    secret = service.register(name, ip="192.0.2.1", wildcard="true")
    service.cli("related", "add", fqdn, "nas", "::7")
    wait_until(lambda: api.get(f"/hosts/{fqdn}")["dns"] == "current", 10, "in DNS")
    put_instead(service, f"{below}.{name}", "CNAME", "elsewhere.example.net.")
    assert update(service, fqdn, secret, "192.0.2.2,2001:db8:1::/64") == (503, "911")
    assert api.get(f"/hosts/{fqdn}")["conflict"].startswith(f"{below}.{fqdn} is an alias")
    assert service.dig(fqdn) == ["192.0.2.1"], "all or nothing"
    service.remove_records(f"{below}.{name}", "CNAME")
    assert update(service, fqdn, secret, "192.0.2.2")[1] == "good 192.0.2.2"
    assert service.dig(fqdn) == ["192.0.2.2"]


def test_addresses_of_other_name_servers_stay_when_a_host_is_deleted(service: Service, api: Api) -> None:
    """Somebody delegates the names above hosts, and needs the name of one for the address of a name server (glue)."""
    lab, beside = new(), new()
    hosts = [f"ns.{lab}.{DOMAIN}", f"ns2.{lab}.{DOMAIN}", f"{beside}.{DOMAIN}"]
    for fqdn in hosts:
        service.register(fqdn, ip="192.0.2.1")
    service.add_record(lab, "NS", hosts[0] + ".")
    for glue in (f"ns.{lab}", f"ns2.{lab}"):
        put_instead(service, glue, "A", "198.51.100.53")
    assert service.get("/nic/unregister", service.admin_token, params={"fqdn": hosts[0]}).status_code == 200
    items = [{"action": "delete", "fqdn": fqdn} for fqdn in hosts[1:]]
    results = api.call("POST", "/changes", {"changes": items}).json()["results"]
    assert [result["status"] for result in results] == ["applied"] * 2
    there = service.addresses()
    assert [there.get(fqdn) for fqdn in hosts] == [["198.51.100.53"], ["198.51.100.53"], None]


@pytest.mark.parametrize(("rtype", "value", "reason"), HIDING)
def test_nothing_is_registered_below_a_delegation(
    service: Service, api: Api, rtype: str, value: str, reason: str
) -> None:
    service.add_record("lab", rtype, value)
    try:
        for below in ("a.lab", "b.c.lab"):
            fqdn = f"{below}.{DOMAIN}"
            answer = service.get("/nic/register", service.admin_token, params={"fqdn": fqdn, "ip": "192.0.2.1"})
            assert (answer.status_code, answer.json()["message"]) == (400, "formerr")
            assert reason in answer.text
            assert reason in api.call("POST", "/hosts", {"fqdn": fqdn, "ipv4": "192.0.2.1"}).text
            changes = [
                {"action": "create", "fqdn": name, "set": {"ipv4": "192.0.2.1"}} for name in (fqdn, f"{new()}.{DOMAIN}")
            ]
            results = api.call("POST", "/changes", {"changes": changes}).json()["results"]
            assert [result["status"] for result in results] == ["failed", "applied"]
            assert reason in results[0]["error"]["detail"]
            mover = new()
            service.register(mover, ip="192.0.2.1")
            problem(api.call("PATCH", f"/hosts/{mover}.{DOMAIN}", {"fqdn": fqdn}), 409, "urn:ddns:taken", {"fqdn"})
            changes = [{"action": "update", "fqdn": f"{mover}.{DOMAIN}", "set": {"fqdn": fqdn}}]
            (result,) = api.call("POST", "/changes", {"changes": changes}).json()["results"]
            assert (result["status"], reason in result["error"]["detail"]) == ("failed", True)
            assert service.dig(f"{mover}.{DOMAIN}") == ["192.0.2.1"]
            assert [host for host in api.items("/hosts") if host["fqdn"].endswith(f"lab.{DOMAIN}")] == []
    finally:
        service.remove_records("lab", rtype)
    service.register(f"a.lab.{DOMAIN}", ip="192.0.2.1")
    assert service.dig(f"a.lab.{DOMAIN}") == ["192.0.2.1"]
    api.delete(f"/hosts/a.lab.{DOMAIN}")


def test_nothing_is_registered_below_a_redirected_apex(service: Service) -> None:
    service.add_record(f"{DOMAIN}.", "DNAME", "example.net.")
    try:
        asked = {"fqdn": f"{new()}.{DOMAIN}", "ip": "192.0.2.1"}
        answer = service.get("/nic/register", service.admin_token, params=asked)
        assert answer.status_code == 400
        assert f"names below {DOMAIN} are redirected (DNAME record)" in answer.text
    finally:
        service.remove_records(f"{DOMAIN}.", "DNAME")


def test_further_names_below_a_delegation(service: Service, api: Api) -> None:
    """A wildcard, a related name and records whose names others have delegated below the host."""
    name = new()
    fqdn = f"{name}.{DOMAIN}"
    service.register(name, ip="192.0.2.1")
    service.add_record(f"nas.{name}", "NS", "ns.example.net.")
    service.add_record(f"_tcp.{name}", "NS", "ns.example.net.")
    service.add_record(f"*.{name}", "CNAME", "elsewhere.example.net.")
    answer = api.call("PUT", f"/hosts/{fqdn}/related/nas", {"interface_id": "::7"})
    problem(answer, 409, "urn:ddns:taken", {"label"})
    assert "is delegated" in answer.text
    answer = api.call("PUT", f"/hosts/{fqdn}/records/_443._tcp/TXT", {"values": ["x"]})
    problem(answer, 409, "urn:ddns:taken", {"values"})
    assert f"_tcp.{fqdn} is delegated" in answer.text
    answer = api.call("PATCH", f"/hosts/{fqdn}", {"wildcard": True})
    problem(answer, 409, "urn:ddns:taken", {"wildcard"})
    assert "is an alias" in answer.text
    assert api.get(f"/hosts/{fqdn}")["dns"] == "current"


@pytest.mark.parametrize(("rtype", "value", "reason"), HIDING)
def test_a_delegation_that_appears_above_a_host(
    service: Service, api: Api, rtype: str, value: str, reason: str
) -> None:
    fqdn = f"{new()}.lab.{DOMAIN}"
    secret = service.register(fqdn, ip="192.0.2.1")
    write_to_zone_file(service, DOMAIN, f"lab.{DOMAIN}. 60 {rtype} {value}")
    try:
        checked = service.cli("reconcile", "--check", check=False)
        assert (checked.returncode, reason in checked.stdout) == (2, True)
        done = service.cli("reconcile", check=False)
        assert done.returncode == 2
        assert f"{fqdn}: not repaired; held: {reason}" in done.stdout
        assert "0 repaired" in done.stdout
        assert api.get(f"/hosts/{fqdn}")["conflict"] == reason
        stored = in_store(service, lambda c: c.scalar(select(hosts.c.conflict).where(hosts.c.fqdn == fqdn)))
        assert stored == f"{ {'NS': 'delegated', 'DNAME': 'redirected'}[rtype] } lab.{DOMAIN}"
        assert update(service, fqdn, secret, "192.0.2.2") == (503, "911")
    finally:
        service.remove_records("lab", rtype)
    make_due(service)
    wait_until(lambda: api.get(f"/hosts/{fqdn}")["dns"] == "current", 10, "taken back")
    assert service.dig(fqdn) == ["192.0.2.2"]
    assert service.cli("reconcile", "--check").stdout == ""
    api.delete(f"/hosts/{fqdn}")


def test_an_edit_of_a_held_host_is_kept(service: Service, api: Api) -> None:
    name = new()
    fqdn = f"{name}.{DOMAIN}"
    service.register(name, ip="192.0.2.1")
    put_instead(service, name, "CNAME", "elsewhere.example.net.")
    answer = api.call("PATCH", f"/hosts/{fqdn}", {"ipv4": "192.0.2.9"})
    problem(answer, 503, "urn:ddns:pending")
    assert "is an alias that is not ours" in answer.text
    changes = [{"action": "update", "fqdn": fqdn, "set": {"ipv4": "192.0.2.10"}}]
    (result,) = api.call("POST", "/changes", {"changes": changes}).json()["results"]
    assert result["status"] == "pending"
    duck = service.get("/update", params={"domains": fqdn, "token": service.admin_token, "ip": "192.0.2.11"})
    assert (duck.status_code, duck.text) == (200, "KO")
    service.remove_records(name, "CNAME")
    make_due(service)
    wait_until(lambda: service.dig(fqdn) == ["192.0.2.11"], 10, "the last change follows")


def test_unregistering_a_held_host_leaves_the_foreign_record_alone(service: Service, api: Api) -> None:
    name = new()
    service.register(name, ip="192.0.2.1", wildcard="true")
    put_instead(service, name, "NS", "ns.example.net.")
    service.add_record(name, "A", "192.0.2.53")  # glue
    asked = {"fqdn": f"{name}.{DOMAIN}"}
    assert service.get("/nic/unregister", service.admin_token, params=asked).status_code == 200
    zone = service.addresses()
    assert zone[f"{name}.{DOMAIN}"] == ["192.0.2.53"]
    service.remove_records(name, "NS")
    service.remove_records(name, "A")
