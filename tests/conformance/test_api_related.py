# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, related names: below a host, in its IPv6 prefix."""

from itertools import pairwise

import pytest
from support.clients.dyndns import Host, counts, new_label, one_message, register
from support.clients.rest_api import Api, problem
from support.ports import wait_until
from support.servers.faults import write_to_zone_file
from support.servers.service import Service

RULE, TAKEN = "urn:ddns:rule", "urn:ddns:taken"


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


@pytest.fixture
def router(service: Service, alice: str) -> Host:
    """A host with a prefix."""
    return register(service, alice, ip="2001:db8:1::1")


def put(api: Api, host: Host, label: str, interface_id: str) -> dict[str, str | None]:
    answer = api.call("PUT", f"/hosts/{host.fqdn}/related/{label}", {"interface_id": interface_id})
    assert answer.status_code == 200, answer.text
    made: dict[str, str | None] = answer.json()
    return made


def test_they_follow_the_prefix(service: Service, api: Api, router: Host) -> None:
    path = f"/hosts/{router.fqdn}/related"
    made = {"label": "nas", "fqdn": f"nas.{router.fqdn}", "interface_id": "::7", "ipv6": "2001:db8:1::7"}
    for _ in range(2):  # the second time nothing changes
        assert put(api, router, "NAS", "0::7") == made
        assert router.addresses("nas") == ["2001:db8:1::7"]
    with counts(router):
        put(api, router, "cam", "::a:b")
    assert [item["label"] for item in api.get(path)["items"]] == ["cam", "nas"]
    with one_message(service):
        assert router.update(myip="2001:db8:2::/64").text == "good 2001:db8:2::"
    assert router.addresses("nas") == ["2001:db8:2::7"]
    assert put(api, router, "nas", "::8")["ipv6"] == "2001:db8:2::8"
    assert router.addresses("nas") == ["2001:db8:2::8"]
    api.delete(f"{path}/nas")
    assert router.addresses("nas") == []
    assert router.addresses("cam") == ["2001:db8:2::a:b"]
    problem(api.call("DELETE", f"{path}/nas"), 404)
    put(api, router, "nas", "::9")
    assert router.addresses("nas") == ["2001:db8:2::9"]
    api.delete(f"/hosts/{router.fqdn}")
    assert router.addresses("nas") == router.addresses("cam") == []


def test_history_and_events(api: Api, router: Host) -> None:
    for interface_id in ("::7", "::7", "::8"):
        put(api, router, "nas", interface_id)
    api.delete(f"/hosts/{router.fqdn}/related/nas")
    told = [e["detail"] for e in reversed(api.items("/events", object=router.fqdn, action="host.related"))]
    assert told == ["nas: ::7", "nas: ::8", "nas: removed"]
    edits = [(e["before"], e["after"]) for e in reversed(api.items(f"/hosts/{router.fqdn}/history"))][1:]
    ids = [None, "::7", "::8", None]
    expected = [({"related": {"nas": a}}, {"related": {"nas": b}}) for a, b in pairwise(ids)]
    assert edits == expected


def test_no_address_before_the_host_has_one(api: Api, host: Host) -> None:
    assert put(api, host, "nas", "::7")["ipv6"] is None
    assert host.addresses("nas") == []
    host.update(myip="2001:db8:3::1")
    assert host.addresses("nas") == ["2001:db8:3::7"]


def test_refused(service: Service, api: Api, router: Host, blocked: Host) -> None:
    path = f"/hosts/{router.fqdn}/related"
    for label, interface_id, field in (
        ("a.b", "::7", "label"),
        ("-a", "::7", "label"),
        ("a", "::", "interface_id"),
        ("a", "x", "interface_id"),
    ):
        problem(api.call("PUT", f"{path}/{label}", {"interface_id": interface_id}), 422, RULE, {field})
    api.host(fqdn=f"taken.{router.fqdn}")
    problem(api.call("PUT", f"{path}/taken", {"interface_id": "::7"}), 409, TAKEN, {"label"})
    service.add_record(f"text.{router.fqdn}.", "TXT", '"somebody else\'s"')
    problem(api.call("PUT", f"{path}/text", {"interface_id": "::7"}), 409, TAKEN, {"label"})
    assert service.dig(f"text.{router.fqdn}", "TXT") == ['"somebody else\'s"']
    problem(api.call("PUT", f"/hosts/{blocked.fqdn}/related/a", {"interface_id": "::7"}), 403)
    assert [item["label"] for item in api.get(path)["items"]] == []


def test_reserved_names_and_closed_domains(service: Service, api: Api) -> None:
    domain = f"{new_label()}.example.org"
    service.cli("domain", "add", domain, "--owner", "alice")
    server = f"ns9.www.{domain}"
    write_to_zone_file(service, domain, f"{domain}. NS {server}.", f"{server}. A 192.0.2.9")
    wait_until(lambda: f"{server}." in service.dig(domain, "NS"), 10, "the zone's name server")
    path = f"/hosts/{api.host(fqdn=f'www.{domain}')['fqdn']}/related"
    problem(api.call("PUT", f"{path}/ns9", {"interface_id": "::7"}), 422, RULE, {"label"})
    assert api.call("PUT", f"{path}/nas", {"interface_id": "::7"}).status_code == 200
    admin = Api(service, service.admin_token)
    admin.patch(f"/domains/{domain}", {"available": False})
    problem(api.call("PUT", f"{path}/cam", {"interface_id": "::7"}), 404)
    assert [item["label"] for item in api.get(path)["items"]] == ["nas"]


def test_a_host_that_dns_refuses(service: Service, api: Api, router: Host) -> None:
    path = f"/hosts/{router.fqdn}"
    service.add_record(f"{router.fqdn}.", "DHCID", "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=")
    # nobody knows yet: the name is kept, and follows once DNS takes the host
    problem(api.call("PUT", f"{path}/related/nas", {"interface_id": "::7"}), 503, "urn:ddns:pending")
    assert api.get(path)["dns"] == "conflict"
    problem(api.call("PUT", f"{path}/related/cam", {"interface_id": "::8"}), 409, TAKEN, {"label"})
    assert [item["label"] for item in api.get(f"{path}/related")["items"]] == ["nas"]
    service.remove_records(f"{router.fqdn}.", "DHCID")
    api.delete(path)  # other tests compare the whole store with DNS


def test_own_hosts_alone(service: Service, api: Api, foreign: Host, reader: str, router: Host) -> None:
    path = f"/hosts/{foreign.fqdn}/related"
    problem(api.call("GET", path), 404)
    problem(api.call("PUT", f"{path}/a", {"interface_id": "::7"}), 404)
    problem(api.call("DELETE", f"{path}/a"), 404)
    mine = Api(service, reader)
    assert mine.get(f"/hosts/{router.fqdn}/related") == {"items": []}
    problem(mine.call("PUT", f"/hosts/{router.fqdn}/related/a", {"interface_id": "::7"}), 403)


def test_commands_do_the_same(service: Service, api: Api, router: Host) -> None:
    service.cli("related", "add", router.fqdn, "nas", "::8")
    (item,) = api.get(f"/hosts/{router.fqdn}/related")["items"]
    assert item["interface_id"] == "::8"
    service.cli("related", "remove", router.fqdn, "nas")
    assert api.get(f"/hosts/{router.fqdn}/related") == {"items": []}
    again = service.cli("related", "remove", router.fqdn, "nas", check=False)
    assert (again.returncode, again.stderr) == (1, f"Error: nas.{router.fqdn} is not a related name.\n")
