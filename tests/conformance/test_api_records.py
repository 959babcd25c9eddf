# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, RRsets beside a host's addresses: at its name, and at underscore labels below it."""

import base64
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import dns.rdata
import pytest
from support.clients.dyndns import Host, counts, one_message, ttl
from support.clients.rest_api import Api, Content, new_name, problem
from support.ports import wait_until
from support.servers.service import Service

from ddnsd.dns.rdata import EXAMPLES

RULE, TAKEN = "urn:ddns:rule", "urn:ddns:taken"

TLSA = "3 1 1 " + "ab" * 32


def dkim(bits: int) -> str:
    """A DKIM record with a random RSA key of that size, in strings of 255 octets."""
    key = base64.b64encode(os.urandom(bits // 8 + 38)).decode()
    text = f"v=DKIM1; k=rsa; p={key}"
    return " ".join(f'"{text[at : at + 255]}"' for at in range(0, len(text), 255))


DKIM = {bits: dkim(bits) for bits in (2048, 4096)}


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


def put(api: Api, fqdn: str, place: str, *values: str, **fields: Any) -> Content:
    answer = api.call("PUT", f"/hosts/{fqdn}/records/{place}", {"values": values} | fields)
    assert answer.status_code == 200, answer.text
    made: Content = answer.json()
    return made


def places(api: Api, fqdn: str) -> list[tuple[str, str, list[str]]]:
    items = api.get(f"/hosts/{fqdn}/records")["items"]
    return [(item["name"], item["type"], item["values"]) for item in items]


def test_they_stand_in_dns(service: Service, api: Api, host: Host) -> None:
    name = f"_443._tcp.{host.fqdn}"
    made = {"name": "_443._tcp", "type": "TLSA", "fqdn": name, "values": [TLSA], "ttl": None, "conflict": None}
    for _ in range(2):  # the second time nothing changes
        assert put(api, host.fqdn, "_443._TCP/tlsa", TLSA.upper()) == made
        assert service.dig(name, "TLSA") == [dns.rdata.from_text("IN", "TLSA", TLSA).to_text()]
    with counts(host), one_message(service):
        put(api, host.fqdn, "@/TXT", '"b"', '"a"', "a", ttl=300)
    assert sorted(service.dig(host.fqdn, "TXT")) == ['"a"', '"b"']
    assert (ttl(service, host.fqdn, "TXT"), ttl(service, name, "TLSA"), ttl(service, host.fqdn)) == (300, 60, 60)
    assert places(api, host.fqdn) == [("@", "TXT", ['"a"', '"b"']), ("_443._tcp", "TLSA", [TLSA])]
    with one_message(service):
        put(api, host.fqdn, "@/TXT", '"c"')
    assert service.dig(host.fqdn, "TXT") == ['"c"']
    assert (host.addresses(), host.update(myip="192.0.2.1").text) == (["192.0.2.1"], "nochg 192.0.2.1")
    with one_message(service):
        assert host.update(myip="192.0.2.2").text == "good 192.0.2.2"
    path = f"/hosts/{host.fqdn}/records"
    api.delete(f"{path}/@/TXT")
    assert service.dig(host.fqdn, "TXT") == []
    problem(api.call("DELETE", f"{path}/@/TXT"), 404)
    put(api, host.fqdn, "@/TXT", '"again"')
    api.delete(f"/hosts/{host.fqdn}")
    assert service.dig(host.fqdn, "TXT") == service.dig(name, "TLSA") == []
    api.host(fqdn=host.fqdn)
    assert places(api, host.fqdn) == []


@pytest.mark.parametrize(
    ("place", "values", "canonical"),
    [
        *((f"@/{rtype}", [value], [value]) for rtype, value in EXAMPLES.items()),
        ("@/MX", ["0 ."], ["0 ."]),
        ("@/MX", ["20 B.example.org.", "10 a.EXAMPLE.org."], ["10 a.example.org.", "20 b.example.org."]),
        ("_sip._udp/SRV", ["0 0 0 ."], ["0 0 0 ."]),
        ("_acme-challenge/TXT", ["kC9_token-x"], ['"kC9_token-x"']),
        ("_dmarc/TXT", ['"v=DMARC1; p=none"'], ['"v=DMARC1; p=none"']),
        ("mail2024._domainkey/TXT", [DKIM[2048]], [DKIM[2048]]),
        ("Sel-1_a._DomainKey/TXT", [DKIM[4096]], [DKIM[4096]]),
        ("_25._tcp/TLSA", [TLSA], [dns.rdata.from_text("IN", "TLSA", TLSA).to_text()]),
        ("@/TXT", ["two words"], ['"two words"']),
        ("_dmarc/TXT", ["v=DMARC1;p=none"], ['"v=DMARC1;p=none"']),
        ("default._bimi/TXT", ["v=BIMI1"], ['"v=BIMI1"']),
        ("a.b._report._dmarc/TXT", ['"v=DMARC1"'], ['"v=DMARC1"']),
        ("@/TXT", ['"first" "second"', '""', r'"\"; (\\é"'], ['""', r'"\"; (\\\195\169"', '"first" "second"']),
        ("@/CAA", ["0 issue ca.example.net"], ['0 issue "ca.example.net"']),
        ("@/TXT", [f'"{"x" * 255}"'], [f'"{"x" * 255}"']),
    ],
)
def test_presentation_format(
    service: Service, api: Api, host: Host, place: str, values: list[str], canonical: list[str]
) -> None:
    made = put(api, host.fqdn, place, *values)
    assert made["values"] == canonical
    assert sorted(service.dig(made["fqdn"], made["type"])) == sorted(canonical)
    assert put(api, host.fqdn, place, *canonical) == made


def patch(api: Api, fqdn: str, place: str, **fields: Any) -> Content:
    answer = api.call("PATCH", f"/hosts/{fqdn}/records/{place}", fields)
    assert answer.status_code == 200, answer.text
    made: Content = answer.json()
    return made


def test_single_values_come_and_go(service: Service, api: Api, host: Host) -> None:
    name = f"_x.{host.fqdn}"
    empty: Content = {"name": "_x", "type": "TXT", "fqdn": name, "values": [], "ttl": None, "conflict": None}
    assert patch(api, host.fqdn, "_x/TXT", remove=["a"]) == empty
    assert patch(api, host.fqdn, "_X/txt", add=["b", "a"], ttl=300)["values"] == ['"a"', '"b"']
    with one_message(service):
        made = patch(api, host.fqdn, "_x/TXT", add=["c", "a"], remove=["a", "none"])
    assert (made["values"], made["ttl"]) == (['"a"', '"b"', '"c"'], 300)
    assert sorted(service.dig(name, "TXT")) == made["values"]
    assert patch(api, host.fqdn, "_x/TXT") == made
    assert patch(api, host.fqdn, "_x/TXT", ttl=None)["ttl"] is None
    assert ttl(service, name, "TXT") == 60
    assert patch(api, host.fqdn, "_x/TXT", remove=["a", "b", "c"]) == empty
    assert (service.dig(name, "TXT"), places(api, host.fqdn)) == ([], [])
    told = [e["detail"] for e in reversed(api.items("/events", object=host.fqdn, action="host.records"))]
    one, all_values = '_x TXT: "a", "b"', '_x TXT: "a", "b", "c"'
    assert told == [one, all_values, all_values, "_x TXT: removed"]


def test_values_of_many_clients_are_all_kept(service: Service, api: Api, host: Host) -> None:
    def add(client: int) -> None:
        patch(api, host.fqdn, "_x/TXT", add=[f"{client}-old"])
        patch(api, host.fqdn, "_x/TXT", add=[f"{client}-new"], remove=[f"{client}-old"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(12)))
    assert sorted(service.dig(f"_x.{host.fqdn}", "TXT")) == sorted(f'"{n}-new"' for n in range(12))


def test_single_values_are_checked(
    service: Service, api: Api, host: Host, blocked: Host, foreign: Host, reader: str
) -> None:
    patch(api, host.fqdn, "@/MX", add=["10 mail.example.org."])
    path = f"/hosts/{host.fqdn}/records"
    for place, body, field in (
        ("www/TXT", {"add": ["x"]}, "name"),
        ("_x/MX", {"remove": ["10 a."]}, "name"),
        ("@/A", {"add": ["192.0.2.1"]}, "type"),
        ("@/MX", {"add": ["10 mail"]}, "add"),
        ("@/MX", {"add": ["10 _not_a_host.example.org."]}, "add"),
        ("@/MX", {"remove": ["mail."]}, "remove"),
        ("@/MX", {"add": [f"{n} a." for n in range(16)]}, "add"),
    ):
        problem(api.call("PATCH", f"{path}/{place}", body), 422, RULE, {field})
    problem(api.call("PATCH", f"{path}/@/MX", {"values": ["10 a."]}), 422, fields={"values"})
    problem(api.call("PATCH", f"{path}/@/MX", {"add": ["10 a."] * 17}), 422, fields={"add"})
    service.add_record(f"_other.{host.fqdn}.", "TXT", "elsewhere")
    problem(api.call("PATCH", f"{path}/_other/TXT", {"add": ["x"]}), 409, TAKEN, {"add"})
    assert places(api, host.fqdn) == [("@", "MX", ["10 mail.example.org."])]
    problem(api.call("PATCH", f"/hosts/{blocked.fqdn}/records/@/TXT", {"add": ["x"]}), 403)
    problem(api.call("PATCH", f"/hosts/{foreign.fqdn}/records/@/TXT", {"add": ["x"]}), 404)
    problem(Api(service, reader).call("PATCH", f"{path}/@/MX", {"remove": ["10 mail.example.org."]}), 403)
    problem(api.call("PATCH", f"/hosts/{alias(api)}/records/@/TXT", {"add": ["x"]}), 422, RULE, {"name"})


def alias(api: Api) -> str:
    made: str = api.post("/hosts", {"fqdn": new_name(api.service), "alias": "front.example.net."})["fqdn"]
    return made


def test_refused(service: Service, api: Api, host: Host, blocked: Host) -> None:
    path = f"/hosts/{host.fqdn}/records"
    put(api, host.fqdn, "@/MX", "10 mail.example.org.")
    for place, values, field in (
        ("www/TXT", ["x"], "name"),
        ("_a.b/TXT", ["x"], "name"),
        ("_/TXT", ["x"], "name"),
        ("*/TXT", ["x"], "name"),
        ("_25._tcp/MX", ["10 a."], "name"),
        ("sel._domainkey.mail/TXT", ["x"], "name"),
        ("sel..domainkey/TXT", ["x"], "name"),
        ("-sel._domainkey/TXT", ["x"], "name"),
        ("*._domainkey/TXT", ["x"], "name"),
        ("sel._domainkey/MX", ["10 a."], "name"),
        ("a" * 64 + "._domainkey/TXT", ["x"], "name"),
        (".".join(["_" + "a" * 62] * 4) + "/TXT", ["x"], "name"),
        ("@/A", ["192.0.2.1"], "type"),
        ("@/CNAME", ["a."], "type"),
        ("@/NS", ["a."], "type"),
        ("@/x", ["x"], "type"),
        ("@/MX", ["10 mail"], "values"),
        ("@/MX", ["10 mail.example.org"], "values"),
        ("@/MX", ["10 @"], "values"),
        ("@/MX", ["mail."], "values"),
        ("@/MX", ["10 a. ; why"], "values"),
        ("@/MX", ["70000 a."], "values"),
        ("@/TXT", ['"open'], "values"),
        ("@/TXT", ['"' + "x" * 256 + '"'], "values"),
        ("@/TLSA", ["3 1 1 abcd"], "values"),
        ("@/SSHFP", ["4 2 abcd"], "values"),
        ("@/MX", ["10 _not_a_host.example.org."], "values"),
        ("@/SRV", ["1 2 3 sip"], "values"),
        ("@/CAA", ["0 iss_ue x"], "values"),
    ):
        problem(api.call("PUT", f"{path}/{place}", {"values": values}), 422, RULE, {field})
    both = problem(api.call("PUT", f"{path}/x/MX", {"values": ["10 relative"]}), 422, RULE, {"name", "values"})
    assert "relative is not a full name. End it with a dot: relative." in both["detail"]
    for values, bad in (([], "values"), (["x"] * 17, "values"), (["\n"], "values.0"), ([""], "values.0")):
        problem(api.call("PUT", f"{path}/@/TXT", {"values": values}), 422, fields={bad})
    problem(api.call("PUT", f"{path}/@/TXT", {"values": ["x"], "ttl": 0}), 422, fields={"ttl"})
    assert places(api, host.fqdn) == [("@", "MX", ["10 mail.example.org."])]
    assert service.dig(host.fqdn, "MX") == ["10 mail.example.org."]
    problem(api.call("PUT", f"/hosts/{blocked.fqdn}/records/@/TXT", {"values": ["x"]}), 403)
    assert host.update(myip="192.0.2.3").text == "good 192.0.2.3"


def test_limits(service: Service, api: Api, host: Host) -> None:
    for number in range(16):
        put(api, host.fqdn, f"_{number}/TXT", "x")
    path = f"/hosts/{host.fqdn}/records"
    problem(api.call("PUT", f"{path}/_16/TXT", {"values": ["x"]}), 422, RULE, {"type"})
    long = [f'"{n}" ' + f'"{"x" * 250}" ' * 15 for n in range(16)]
    problem(api.call("PUT", f"{path}/_0/TXT", {"values": long}), 422, RULE, {"values"})
    put(api, host.fqdn, "_0/TXT", *long[:1])
    assert len(places(api, host.fqdn)) == 16
    assert host.update(myip="192.0.2.3").text == "good 192.0.2.3"


@pytest.mark.parametrize("standing", ["TXT", "CNAME"])
def test_what_is_not_ours_is_left_alone(service: Service, api: Api, host: Host, standing: str) -> None:
    name = f"_acme-challenge.{host.fqdn}"
    service.add_record(f"{name}.", standing, "elsewhere.example.org.")
    before = service.dig(name, standing)
    assert before
    path = f"/hosts/{host.fqdn}/records/_acme-challenge/TXT"
    for _ in range(2):
        problem(api.call("PUT", path, {"values": ["mine"]}), 409, TAKEN, {"values"})
    assert (service.dig(name, standing), places(api, host.fqdn)) == (before, [])
    put(api, host.fqdn, "_other/TXT", "mine")
    host.update(myip="192.0.2.9")
    api.delete(f"/hosts/{host.fqdn}")
    assert service.dig(name, standing) == before
    service.remove_records(f"{name}.", standing)


def test_others_of_the_name_are_left_alone(service: Service, api: Api, host: Host) -> None:
    service.add_record(f"_x.{host.fqdn}.", "HINFO", "a b")
    put(api, host.fqdn, "_x/TXT", "mine")
    api.delete(f"/hosts/{host.fqdn}/records/_x/TXT")
    assert service.dig(f"_x.{host.fqdn}", "HINFO") == ['"a" "b"']
    service.remove_records(f"_x.{host.fqdn}.", "HINFO")


def test_a_dkim_key_lives_with_its_host(service: Service, api: Api, host: Host) -> None:
    """It stays while addresses change, is rotated, compared with the zone, renamed and removed with the host."""
    other = api.host(ipv4="192.0.2.1")["fqdn"]
    for fqdn in (host.fqdn, other):
        for bits, selector in ((2048, "old"), (4096, "new")):
            put(api, fqdn, f"{selector}._domainkey/TXT", DKIM[bits])
    with one_message(service):
        assert host.update(myip="192.0.2.2").text == "good 192.0.2.2"
    split = DKIM[2048].replace('" "', "")  # the same text in strings of other lengths is another record
    put(api, host.fqdn, "old._domainkey/TXT", f'"{split[1:101]}" "{split[101:201]}" "{split[201:401]}" "{split[401:]}')
    put(api, host.fqdn, "old._domainkey/TXT", DKIM[2048])
    assert service.dig(f"old._domainkey.{host.fqdn}", "TXT") == [DKIM[2048]]
    service.remove_records(f"new._domainkey.{host.fqdn}.", "TXT")
    wait_until(lambda: service.dig(f"new._domainkey.{host.fqdn}", "TXT") == [DKIM[4096]], 20, "it is repaired")
    assert service.cli("reconcile", "--check").stdout == ""
    renamed = new_name(service)
    api.patch(f"/hosts/{host.fqdn}", {"fqdn": renamed})
    assert service.dig(f"new._domainkey.{renamed}", "TXT") == [DKIM[4096]]
    assert service.dig(f"new._domainkey.{host.fqdn}", "TXT") == []
    api.delete(f"/hosts/{renamed}/records/old._domainkey/TXT")
    assert [name for name, _, _ in places(api, renamed)] == ["new._domainkey"]
    api.delete(f"/hosts/{renamed}")
    assert service.dig(f"new._domainkey.{renamed}", "TXT") == []
    assert service.dig(f"new._domainkey.{other}", "TXT") == [DKIM[4096]]


def test_history_and_events(api: Api, host: Host) -> None:
    for values in (["a"], ["a"], ["b", "a"]):
        put(api, host.fqdn, "_x/TXT", *values)
    put(api, host.fqdn, "_x/TXT", "a", "b", ttl=30)
    api.delete(f"/hosts/{host.fqdn}/records/_x/TXT")
    told = [e["detail"] for e in reversed(api.items("/events", object=host.fqdn, action="host.records"))]
    assert told == ['_x TXT: "a"', '_x TXT: "a", "b"', '_x TXT: "a", "b"', "_x TXT: removed"]
    edits = [(e["before"], e["after"]) for e in reversed(api.items(f"/hosts/{host.fqdn}/history"))][1:]
    both = ['"a"', '"b"']
    states = [None, {"ttl": None, "values": ['"a"']}, {"ttl": None, "values": both}, {"ttl": 30, "values": both}, None]
    assert edits == [({"records": {"_x TXT": a}}, {"records": {"_x TXT": b}}) for a, b in pairwise(states)]


def test_they_move_with_their_host(service: Service, api: Api, host: Host, lab: str) -> None:
    put(api, host.fqdn, "_x/TXT", "mine")
    put(api, host.fqdn, "@/MX", "0 .")
    before = places(api, host.fqdn)
    names = [host.fqdn, new_name(service), f"{host.name}.{lab}"]
    for old, new in (*pairwise(names), *pairwise(reversed(names))):
        for _ in range(2):
            api.call("PATCH", f"/hosts/{old}", {"fqdn": new})
        assert (service.dig(f"_x.{new}", "TXT"), service.dig(new, "MX")) == (['"mine"'], ["0 ."])
        assert (service.dig(f"_x.{old}", "TXT"), service.dig(old, "MX")) == ([], [])
        assert places(api, new) == before
    other = new_name(service)
    service.add_record(f"_x.{other}.", "TXT", "somebody's")
    problem(api.call("PATCH", f"/hosts/{host.fqdn}", {"fqdn": other}), 409, TAKEN, {"fqdn"})
    assert service.dig(f"_x.{host.fqdn}", "TXT") == ['"mine"']


def test_in_a_bulk_call(service: Service, api: Api) -> None:
    first, second, third = (api.host(ipv4="192.0.2.1")["fqdn"] for _ in range(3))
    for fqdn in (first, second, third):
        put(api, fqdn, "_x/TXT", f'"{fqdn}"')
    new = new_name(service)
    changes = [
        {"action": "update", "fqdn": first, "set": {"fqdn": new}},
        {"action": "update", "fqdn": second, "set": {"fqdn": first}},
        {"action": "delete", "fqdn": third},
    ]
    answer = api.call("POST", "/changes", {"atomic": True, "changes": changes})
    assert [r["status"] for r in answer.json()["results"]] == ["applied"] * 3, answer.text
    found = {fqdn: service.dig(f"_x.{fqdn}", "TXT") for fqdn in (new, first, second, third)}
    assert found == {new: [f'"{first}"'], first: [f'"{second}"'], second: [], third: []}
    taken = new_name(service)
    service.add_record(f"_x.{taken}.", "TXT", "somebody's")
    changes = [{"action": "update", "fqdn": new, "set": {"fqdn": taken}}]
    (result,) = api.call("POST", "/changes", {"atomic": True, "changes": changes}).json()["results"]
    assert (result["status"], result["error"]["status"]) == ("failed", 409)
    assert service.dig(f"_x.{new}", "TXT") == [f'"{first}"']


def test_a_block_takes_them_out_of_dns(service: Service, api: Api, host: Host) -> None:
    put(api, host.fqdn, "_x/TXT", "mine")
    admin = Api(service, service.admin_token)
    for blocked in (True, False):
        admin.patch(f"/hosts/{host.fqdn}", {"abuse_blocked": blocked})
        assert service.dig(f"_x.{host.fqdn}", "TXT") == ([] if blocked else ['"mine"'])
        assert len(places(api, host.fqdn)) == 1


def test_a_host_that_dns_refuses(service: Service, api: Api, host: Host, new_host: Callable[[], Host]) -> None:
    service.add_record(f"{host.fqdn}.", "DHCID", "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=")
    path = f"/hosts/{host.fqdn}"
    # nobody knows yet: the records are kept, and follow once DNS takes the host
    problem(api.call("PUT", f"{path}/records/@/TXT", {"values": ["x"]}), 503, "urn:ddns:pending")
    assert (api.get(path)["dns"], service.dig(host.fqdn, "TXT")) == ("conflict", [])
    problem(api.call("PUT", f"{path}/records/@/MX", {"values": ["0 ."]}), 409, TAKEN, {"values"})
    assert places(api, host.fqdn) == [("@", "TXT", ['"x"'])]
    put(api, new_host().fqdn, "@/TXT", "goes-on")
    service.remove_records(f"{host.fqdn}.", "DHCID")
    host.update(myip="192.0.2.8")
    assert service.dig(host.fqdn, "TXT") == ['"x"']


def test_the_hosts_ttl_counts_unless_they_have_one(service: Service, api: Api, host: Host) -> None:
    put(api, host.fqdn, "@/TXT", "mine")
    put(api, host.fqdn, "@/MX", "0 .", ttl=120)
    api.patch(f"/hosts/{host.fqdn}", {"ttl": 30})
    assert (ttl(service, host.fqdn, "TXT"), ttl(service, host.fqdn, "MX")) == (30, 120)


def test_own_hosts_alone(service: Service, api: Api, foreign: Host, reader: str, host: Host) -> None:
    path = f"/hosts/{foreign.fqdn}/records"
    problem(api.call("GET", path), 404)
    problem(api.call("PUT", f"{path}/@/TXT", {"values": ["x"]}), 404)
    problem(api.call("DELETE", f"{path}/@/TXT"), 404)
    mine = Api(service, reader)
    assert mine.get(f"/hosts/{host.fqdn}/records") == {"items": []}
    problem(mine.call("PUT", f"/hosts/{host.fqdn}/records/@/TXT", {"values": ["x"]}), 403)
    problem(mine.call("DELETE", f"/hosts/{host.fqdn}/records/@/TXT"), 403)
