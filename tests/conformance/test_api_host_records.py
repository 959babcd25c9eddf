# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, `records` of a host: with its registration, its changes, and in calls of many changes."""

import pytest
from support.clients.dyndns import Host, counts, one_message, serial
from support.clients.rest_api import Api, Content, new_name, problem
from support.ports import wait_until
from support.servers.faults import insert
from support.servers.service import Service

from ddnsd.dns.rdata import EXAMPLES

RULE, TAKEN = "urn:ddns:rule", "urn:ddns:taken"
MX, OTHER = ["10 mail.example.org."], ["20 other.example.org."]
SPF = ['"v=spf1 mx -all"']
TLSA = ["3 1 1 " + "ab" * 32]


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


@pytest.fixture
def fqdn(service: Service) -> str:
    return new_name(service)


def values(host: Content) -> dict[str, list[str]]:
    assert host["rrsets"] == len(host["records"])
    return {key: one["values"] for key, one in host["records"].items()}


def call(api: Api, *changes: Content, dry_run: bool = False, atomic: bool = False) -> list[Content]:
    path = "/changes" + ("?dry_run=1" if dry_run else "")
    answer = api.call("POST", path, {"changes": list(changes), "atomic": atomic})
    assert answer.status_code == 200, answer.text
    found: list[Content] = answer.json()["results"]
    return found


def update(name: str, records: Content, **more: Content) -> Content:
    return {"action": "update", "fqdn": name, "set": {"records": records}} | more


def errors(result: Content) -> dict[str, list[str]]:
    assert result["status"] == "failed", result
    found: dict[str, list[str]] = result["error"]["errors"]
    return found


def test_a_host_is_registered_with_its_records_in_one_message(service: Service, api: Api, fqdn: str) -> None:
    records = {"MX": MX, "@ TXT": {"values": ["v=spf1 mx -all"], "ttl": 300}, "_443._TCP tlsa": TLSA}
    host = api.host(fqdn=fqdn, ipv4="192.0.2.1", records=records)
    assert values(host) == {"@ MX": MX, "@ TXT": SPF, "_443._tcp TLSA": TLSA}
    assert host["records"]["@ TXT"] == {"values": SPF, "ttl": 300, "conflict": None}
    assert (service.dig(fqdn, "MX"), service.dig(fqdn, "TXT"), service.dig(fqdn)) == (MX, SPF, ["192.0.2.1"])
    assert len(service.dig(f"_443._tcp.{fqdn}", "TLSA")) == 1
    with one_message(service):
        changed = api.patch(f"/hosts/{fqdn}", {"ipv4": "192.0.2.2", "records": {"MX": OTHER}})
    assert values(changed) == {"@ MX": OTHER, "@ TXT": SPF, "_443._tcp TLSA": TLSA}
    assert (service.dig(fqdn, "MX"), service.dig(fqdn)) == (OTHER, ["192.0.2.2"])
    changed = api.patch(f"/hosts/{fqdn}", {"records": {"@ MX": None, "_443._tcp TLSA": None}})
    assert values(changed) == {"@ TXT": SPF}
    assert service.dig(fqdn, "MX") == service.dig(f"_443._tcp.{fqdn}", "TLSA") == []
    api.delete(f"/hosts/{fqdn}")
    assert service.dig(fqdn, "TXT") == []


def test_lists_count_records_and_show_them_on_request(api: Api, fqdn: str) -> None:
    api.host(fqdn=fqdn, records={"MX": MX, "TXT": SPF})
    plain = api.host()["fqdn"]
    (shown,) = api.items("/hosts", fqdn=fqdn)
    assert (shown["rrsets"], "records" in shown) == (2, False)
    found = {one["fqdn"]: values(one) for one in api.items("/hosts", fqdn=[fqdn, plain], records="true")}
    assert found == {fqdn: {"@ MX": MX, "@ TXT": SPF}, plain: {}}
    places = [(one["name"], one["type"]) for one in api.get(f"/hosts/{fqdn}/records")["items"]]
    assert places == [("@", "MX"), ("@", "TXT")]


@pytest.mark.parametrize(("rtype", "value"), EXAMPLES.items())
def test_every_type(service: Service, api: Api, fqdn: str, rtype: str, value: str) -> None:
    host = api.host(fqdn=fqdn, records={rtype: [value]})
    assert values(host) == {f"@ {rtype}": [value]}
    assert len(service.dig(fqdn, rtype)) == 1
    (result,) = call(api, update(fqdn, {rtype: [value]}))
    assert result["status"] == "unchanged"
    assert values(api.patch(f"/hosts/{fqdn}", {"records": {rtype: None}})) == {}
    assert service.dig(fqdn, rtype) == []


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("v=spf1 mx -all", '"v=spf1 mx -all"'),
        ("v=DMARC1; p=none", '"v=DMARC1; p=none"'),
        ('say "hi" \\ there', r'"say \"hi\" \\ there"'),
        ("grün", r'"gr\195\188n"'),
        ("x" * 600, " ".join(f'"{"x" * n}"' for n in (255, 255, 90))),
        ('"a" "b"', '"a" "b"'),
    ],
)
def test_text_is_literal_unless_it_is_quoted(service: Service, api: Api, fqdn: str, text: str, canonical: str) -> None:
    host = api.host(fqdn=fqdn, records={"TXT": [text]})
    assert values(host) == {"@ TXT": [canonical]}
    assert service.dig(fqdn, "TXT") == [canonical]
    put = api.call("PUT", f"/hosts/{fqdn}/records/@/TXT", {"values": [text]})
    assert put.json()["values"] == [canonical]


def test_many_hosts_in_one_call(service: Service, api: Api) -> None:
    names = [new_name(service) for _ in range(80)]
    created = call(
        api, *({"action": "create", "fqdn": n, "set": {"ipv4": "192.0.2.9", "records": {"MX": MX}}} for n in names)
    )
    assert {result["status"] for result in created} == {"applied"}
    assert [service.dig(name, "MX") for name in names] == [MX] * len(names)
    changed = call(
        api,
        *(update(name, {"MX": OTHER, "TXT": [name]}) for name in names[:40]),
        *(update(name, {"MX": None}) for name in names[40:]),
    )
    assert {result["status"] for result in changed} == {"applied"}
    assert [service.dig(name, "MX") for name in names] == [OTHER] * 40 + [[]] * 40
    assert service.dig(names[0], "TXT") == [f'"{names[0]}"']


def test_each_one_is_refused_alone(service: Service, api: Api, fqdn: str) -> None:
    other = new_name(service)
    api.host(fqdn=fqdn, records={"TXT": SPF})
    api.host(fqdn=other)
    wrong = {
        "MX": ["10 relative"],
        "_25._tcp MX": ["10 a."],
        "www TXT": ["x"],
        "A": ["192.0.2.1"],
        "CAA": ["0 iss_ue x"],
        "_443._tcp TLSA": TLSA,
    }
    bad = {f"records.{key}" for key in wrong} - {"records._443._tcp TLSA"}
    refused, done = call(api, update(fqdn, wrong), update(other, {"TXT": ["fine"]}))
    assert set(errors(refused)) == bad - {"records.CAA"} or set(errors(refused)) == bad
    assert done["status"] == "applied"
    # what only the name server can judge
    good_and_bad = {"SRV": ["0 5 5060 sip_.example.org."], "MX": ["10 _not_a_host.example.org."], "TXT": ["new"]}
    refused, done = call(api, update(fqdn, good_and_bad), update(other, {"MX": MX}))
    assert "records.@ MX" in errors(refused)
    assert "records.@ TXT" not in errors(refused)
    assert done["status"] == "applied"
    assert values(api.get(f"/hosts/{fqdn}")) == {"@ TXT": SPF}
    problem(api.call("PATCH", f"/hosts/{fqdn}", {"records": {"MX": ["10 _no.example."]}}), 422, RULE, {"records.@ MX"})
    twice = {"TXT": ["a"], "@ txt": ["b"]}
    problem(api.call("PATCH", f"/hosts/{fqdn}", {"records": twice}), 422, RULE, {"records.@ txt"})
    many = {f"_{n}._tcp TXT": ["x"] for n in range(17)}
    problem(api.call("POST", "/hosts", {"fqdn": new_name(service), "records": many}), 422, RULE, {"records"})
    rename = {"fqdn": new_name(service), "records": {"TXT": ["x"]}}
    problem(api.call("PATCH", f"/hosts/{fqdn}", rename), 422, RULE, {"records"})
    assert values(api.get(f"/hosts/{fqdn}")) == {"@ TXT": SPF}


def test_what_the_name_server_refuses_only_in_the_end_is_pending(service: Service, api: Api, fqdn: str) -> None:
    nowhere = {"MX": [f"10 nowhere.{service.domain}."], "TXT": ["x"]}  # BIND looks for the addresses of a target
    host = api.host(fqdn=fqdn, ipv4="192.0.2.1", records=nowhere)
    assert "REFUSED" in host["records"]["@ MX"]["conflict"]
    (result,) = call(api, update(fqdn, {"TXT": ["y"], "MX": [f"20 nowhere.{service.domain}."]}))
    assert result["status"] == "pending"
    assert (service.dig(fqdn), service.dig(fqdn, "TXT"), service.dig(fqdn, "MX")) == (["192.0.2.1"], ['"y"'], [])
    (result,) = call(api, update(fqdn, {"MX": [f"10 {fqdn}."]}))
    assert (result["status"], service.dig(fqdn, "MX")) == ("applied", [f"10 {fqdn}."])


def test_records_of_others_are_not_overwritten(service: Service, api: Api, fqdn: str) -> None:
    api.host(fqdn=fqdn, ipv4="192.0.2.1")
    insert(service, service.domain, fqdn, "TXT", '"foreign"')
    (refused,) = call(api, update(fqdn, {"TXT": ["ours"], "MX": MX}))
    assert (refused["error"]["status"], set(errors(refused))) == (409, {"records.@ TXT"})
    (checked,) = call(api, update(fqdn, {"TXT": ["ours"]}), dry_run=True)
    assert set(errors(checked)) == {"records.@ TXT"}
    assert (service.dig(fqdn, "TXT"), service.dig(fqdn, "MX")) == (['"foreign"'], [])


def test_expected_values(api: Api, fqdn: str) -> None:
    api.host(fqdn=fqdn, records={"MX": MX})
    (stale,) = call(api, update(fqdn, {"MX": None}, **{"if": {"records": {"MX": OTHER}}}))
    assert (stale["error"]["status"], set(errors(stale))) == (412, {"records.@ MX"})
    (stale,) = call(api, {"action": "delete", "fqdn": fqdn, "if": {"records": {"TXT": SPF}}})
    assert stale["error"]["status"] == 412
    expected = {"records": {"mx": ["10 MAIL.example.org."], "TXT": None}}
    (done,) = call(api, update(fqdn, {"MX": None}, **{"if": expected}))
    assert done["status"] == "applied"


def test_dry_run_judges_and_changes_nothing(service: Service, api: Api, fqdn: str) -> None:
    api.host(fqdn=fqdn, records={"MX": MX})
    before = serial(service, service.domain)
    new = {"action": "create", "fqdn": new_name(service), "set": {"records": {"TXT": ["x"]}}}
    found = call(
        api,
        update(fqdn, {"MX": OTHER, "TXT": ["x"]}),
        new,
        update(fqdn, {"MX": ["10 _bad.example.org."]}),
        {"action": "delete", "fqdn": fqdn},
        dry_run=True,
    )
    assert [result["status"] for result in found] == ["applied", "applied", "failed", "applied"]
    assert values(api.get(f"/hosts/{fqdn}")) == {"@ MX": MX}
    assert (service.dig(fqdn, "MX"), service.dig(fqdn, "TXT")) == (MX, [])
    problem(api.call("GET", f"/hosts/{new['fqdn']}"), 404)
    assert serial(service, service.domain) == before


def test_an_atomic_call_changes_all_or_nothing(service: Service, api: Api, fqdn: str) -> None:
    api.host(fqdn=fqdn)
    found = call(api, update(fqdn, {"TXT": ["a"]}), update(fqdn, {"MX": ["10 _bad.example."]}), atomic=True)
    assert [result["error"]["status"] for result in found] == [424, 422]
    assert values(api.get(f"/hosts/{fqdn}")) == {}


def test_several_changes_of_one_host_in_a_call(service: Service, api: Api, fqdn: str) -> None:
    moved = new_name(service)
    found = call(
        api,
        {"action": "create", "fqdn": fqdn, "set": {"ipv4": "192.0.2.1", "records": {"TXT": ["a"], "MX": MX}}},
        update(fqdn, {"TXT": ["b"], "MX": None}),
        update(fqdn, {"TXT": ["c"]}),
        {"action": "update", "fqdn": fqdn, "set": {"fqdn": moved}},
        update(moved, {"_dmarc TXT": ["d"]}),
    )
    assert {result["status"] for result in found} == {"applied"}
    assert values(api.get(f"/hosts/{moved}")) == {"@ TXT": ['"c"'], "_dmarc TXT": ['"d"']}
    assert (service.dig(moved, "TXT"), service.dig(f"_dmarc.{moved}", "TXT")) == (['"c"'], ['"d"'])
    again = new_name(service)
    found = call(
        api,
        {"action": "update", "fqdn": moved, "set": {"fqdn": again}},
        update(again, {"TXT": ["e"], "_dmarc TXT": None}),
        {"action": "create", "fqdn": moved, "set": {"records": {"TXT": ["f"]}}},
    )
    assert {result["status"] for result in found} == {"applied"}
    wait_until(lambda: service.dig(f"_dmarc.{moved}", "TXT") == [])
    assert (service.dig(again, "TXT"), service.dig(moved, "TXT")) == (['"e"'], ['"f"'])
    assert service.dig(f"_dmarc.{again}", "TXT") == []
    delete = {"action": "delete", "fqdn": again}
    found = call(api, delete, {"action": "create", "fqdn": again, "set": {"records": {"TXT": ["g"]}}})
    assert {result["status"] for result in found} == {"applied"}
    assert service.dig(again, "TXT") == ['"g"']


def test_the_history_tells_what_was_changed(api: Api, fqdn: str) -> None:
    api.host(fqdn=fqdn, records={"MX": MX})
    api.patch(f"/hosts/{fqdn}", {"records": {"MX": OTHER, "TXT": SPF}})
    newest = api.get(f"/hosts/{fqdn}/history")["items"][0]
    assert newest["before"] == {"records": {"@ MX": {"ttl": None, "values": MX}, "@ TXT": None}}
    assert newest["after"] == {
        "records": {"@ MX": {"ttl": None, "values": OTHER}, "@ TXT": {"ttl": None, "values": SPF}}
    }
    assert "host.records" in {event["action"] for event in api.get("/events", object=fqdn)["items"]}


def test_a_host_that_has_none_keeps_its_counters(service: Service, host: Host, api: Api) -> None:
    with counts(host), one_message(service):
        api.patch(f"/hosts/{host.fqdn}", {"records": {"TXT": ["x"]}})
    assert host.update(myip="192.0.2.77").text == "good 192.0.2.77"
    assert service.dig(host.fqdn, "TXT") == ['"x"']
