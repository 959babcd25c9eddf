# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, hosts that are aliases, several addresses of a family, and related names in changes of hosts."""

import pytest
from support.clients.dyndns import Host, counts, one_message, refused, said
from support.clients.rest_api import Api, Content, new_name, problem
from support.ports import wait_until
from support.servers.faults import hung, insert
from support.servers.service import Service

RULE, TAKEN = "urn:ddns:rule", "urn:ddns:taken"
FRONT, OTHER = "front.example.net.", "other.example.net."
MX = ["10 mail.example.org."]
BARE = {"ipv4": None, "ipv6": None, "wildcard": False}


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


@pytest.fixture
def fqdn(service: Service) -> str:
    return new_name(service)


def call(api: Api, *changes: Content, dry_run: bool = False) -> list[Content]:
    answer = api.call("POST", "/changes" + ("?dry_run=1" if dry_run else ""), {"changes": list(changes)})
    assert answer.status_code == 200, answer.text
    found: list[Content] = answer.json()["results"]
    return found


def update(name: str, **values: object) -> Content:
    return {"action": "update", "fqdn": name, "set": values}


def there(service: Service, name: str) -> dict[str, list[str]]:
    """The records at the name itself, without a look at what an alias leads to."""
    found = {rtype: sorted(service.dig(name, rtype)) for rtype in ("CNAME", "A", "AAAA", "MX", "TXT")}
    return {rtype: values for rtype, values in found.items() if values and (rtype == "CNAME" or not found["CNAME"])}


# ---- aliases


def test_a_host_becomes_an_alias_and_a_host_again_in_one_message(service: Service, api: Api, fqdn: str) -> None:
    host = api.host(fqdn=fqdn, ipv4="192.0.2.1", ipv6="2001:db8::1", records={"MX": MX})
    assert host["alias"] is None
    with one_message(service):
        changed = api.patch(f"/hosts/{fqdn}", BARE | {"alias": "FRONT.example.net.", "records": {"MX": None}})
    assert (changed["alias"], changed["ipv4"], changed["records"]) == (FRONT, None, {})
    assert there(service, fqdn) == {"CNAME": [FRONT]}
    with one_message(service):
        api.patch(f"/hosts/{fqdn}", {"alias": OTHER})
    assert there(service, fqdn) == {"CNAME": [OTHER]}
    back = {"alias": None, "ipv4": "192.0.2.2", "records": {"TXT": ["x"]}}
    with one_message(service):
        assert call(api, update(fqdn, **back))[0]["status"] == "applied"
    assert there(service, fqdn) == {"A": ["192.0.2.2"], "TXT": ['"x"']}
    assert call(api, update(fqdn, **back))[0]["status"] == "unchanged"
    shown = [(one["before"], one["after"]) for one in api.get(f"/hosts/{fqdn}/history")["items"]]
    assert ({"alias": FRONT}, {"alias": OTHER}) in shown
    api.patch(f"/hosts/{fqdn}", {"wildcard": True, "records": {"TXT": None}})
    api.patch(f"/hosts/{fqdn}", BARE | {"alias": FRONT})
    assert (there(service, fqdn), there(service, f"x.{fqdn}")) == ({"CNAME": [FRONT]}, {})


def test_a_foreign_alias_in_place_of_a_former_one_is_kept(service: Service, api: Api, fqdn: str) -> None:
    api.host(fqdn=fqdn, alias=FRONT)
    api.patch(f"/hosts/{fqdn}", {"alias": None})
    assert there(service, fqdn) == {}
    insert(service, service.domain, fqdn, "CNAME", OTHER)
    (held,) = call(api, update(fqdn, ipv4="192.0.2.1"))
    assert (held["status"], there(service, fqdn)) == ("pending", {"CNAME": [OTHER]})
    service.remove_records(f"{fqdn}.", "CNAME")
    wait_until(lambda: there(service, fqdn) == {"A": ["192.0.2.1"]}, 30, "the name is free")


def test_a_new_alias_is_deleted_and_its_name_used_again(service: Service, api: Api, fqdn: str) -> None:
    host = api.host(fqdn=fqdn, alias=FRONT)
    assert (host["alias"], host["dns"], there(service, fqdn)) == (FRONT, "current", {"CNAME": [FRONT]})
    renamed = new_name(service)
    api.patch(f"/hosts/{fqdn}", {"fqdn": renamed})
    wait_until(lambda: (there(service, fqdn), there(service, renamed)) == ({}, {"CNAME": [FRONT]}), 10, "renamed")
    done = call(
        api,
        {"action": "delete", "fqdn": renamed},
        {"action": "create", "fqdn": renamed, "set": {"ipv4": "192.0.2.3"}},
    )
    assert [one["status"] for one in done] == ["applied", "applied"], done
    assert there(service, renamed) == {"A": ["192.0.2.3"]}


def test_a_blocked_alias_has_no_record(service: Service, api: Api, fqdn: str) -> None:
    admin = Api(service, service.admin_token)
    api.host(fqdn=fqdn, alias=FRONT)
    admin.patch(f"/hosts/{fqdn}", {"abuse_blocked": True})
    assert there(service, fqdn) == {}
    admin.patch(f"/hosts/{fqdn}", {"quarantined": True})
    assert there(service, fqdn) == {"A": ["192.0.2.66"], "AAAA": ["2001:db8::66"]}
    admin.patch(f"/hosts/{fqdn}", {"abuse_blocked": False})
    assert there(service, fqdn) == {"CNAME": [FRONT]}


def test_an_alias_has_nothing_else(service: Service, api: Api, fqdn: str) -> None:
    beside: list[Content] = [
        {"ipv4": "192.0.2.1"},
        {"wildcard": True},
        {"records": {"MX": MX}},
        {"related": {"nas": "::7"}},
    ]
    for others in beside:
        problem(api.call("POST", "/hosts", {"fqdn": fqdn, "alias": FRONT} | others), 422, RULE, {"alias"})
    for wrong in ("front", "front.example.net", "a b.example.net.", ".", f"{fqdn}."):
        problem(api.call("POST", "/hosts", {"fqdn": fqdn, "alias": wrong}), 422, fields={"alias"}, kind=RULE)
    problem(api.call("POST", "/hosts", {"fqdn": service.domain, "alias": FRONT}), 422, RULE, {"fqdn"})
    api.host(fqdn=fqdn, ipv4="192.0.2.1")
    problem(api.call("PATCH", f"/hosts/{fqdn}", {"alias": FRONT}), 422, RULE, {"alias"})
    api.patch(f"/hosts/{fqdn}", {"ipv4": None, "alias": FRONT})
    problem(api.call("PATCH", f"/hosts/{fqdn}", {"ipv4": "192.0.2.1"}), 422, RULE, {"alias"})
    problem(api.call("PUT", f"/hosts/{fqdn}/records/@/MX", {"values": MX}), 422, RULE, {"name"})
    problem(api.call("PUT", f"/hosts/{fqdn}/related/nas", {"interface_id": "::7"}), 422, RULE, {"label"})
    stale = {"action": "update", "fqdn": fqdn, "set": {"alias": OTHER}, "if": {"alias": None}}
    assert call(api, stale)[0]["error"]["status"] == 412
    assert there(service, fqdn) == {"CNAME": [FRONT]}


def test_other_records_of_somebody_else_are_kept(service: Service, api: Api, fqdn: str) -> None:
    api.host(fqdn=fqdn, ipv4="192.0.2.1")
    insert(service, service.domain, fqdn, "TXT", '"foreign"')
    for dry_run in (True, False):
        (refused_,) = call(api, update(fqdn, ipv4=None, alias=FRONT), dry_run=dry_run)
        assert (refused_["error"]["status"], set(refused_["error"]["errors"])) == (409, {"alias"})
        assert "has other records, so it cannot be an alias" in refused_["error"]["errors"]["alias"][0]
    problem(api.call("PATCH", f"/hosts/{fqdn}", {"ipv4": None, "alias": FRONT}), 409, TAKEN, {"alias"})
    assert there(service, fqdn) == {"A": ["192.0.2.1"], "TXT": ['"foreign"']}
    service.remove_records(f"{fqdn}.", "TXT")
    assert call(api, update(fqdn, ipv4=None, alias=FRONT))[0]["status"] == "applied"


def test_an_alias_waits_for_records_that_came_while_it_was_blocked(service: Service, api: Api, fqdn: str) -> None:
    admin = Api(service, service.admin_token)
    api.host(fqdn=fqdn, alias=FRONT)
    admin.patch(f"/hosts/{fqdn}", {"abuse_blocked": True})
    insert(service, service.domain, fqdn, "TXT", '"foreign"')
    (held,) = call(admin, update(fqdn, abuse_blocked=False))
    assert (held["status"], there(service, fqdn)) == ("pending", {"TXT": ['"foreign"']})
    assert "cannot be an alias" in api.get(f"/hosts/{fqdn}")["conflict"]
    service.remove_records(f"{fqdn}.", "TXT")
    wait_until(lambda: there(service, fqdn) == {"CNAME": [FRONT]}, 30, "the name is free")


def test_a_changed_alias_is_repaired(service: Service, api: Api, fqdn: str) -> None:
    api.host(fqdn=fqdn, alias=FRONT)
    service.remove_records(f"{fqdn}.", "CNAME")
    wait_until(lambda: there(service, fqdn) == {"CNAME": [FRONT]}, 30, "the alias is repaired")
    found = api.get(f"/hosts/{fqdn}")
    assert (found["dns"], found["conflict"]) == ("current", None)


def test_changes_while_the_name_server_hangs(fragile: Service) -> None:
    api = Api(fragile, fragile.admin_token)
    back, forth, new = (new_name(fragile) for _ in range(3))
    api.host(fqdn=back, alias=FRONT)
    api.host(fqdn=forth, ipv4="192.0.2.1", records={"MX": MX})
    with hung(fragile.named_pid()):
        for values in ({"alias": None, "ipv4": "192.0.2.2"}, {"alias": OTHER, "ipv4": None}, {"alias": None}):
            assert call(api, update(back, **values))[0]["status"] == "pending"
        assert call(api, update(forth, alias=FRONT, ipv4=None, records={"MX": None}))[0]["status"] == "pending"
        assert call(api, {"action": "create", "fqdn": new, "set": {"alias": FRONT}})[0]["status"] == "pending"
        assert call(api, update(new, alias=OTHER))[0]["status"] == "pending"
    wanted = [(back, {}), (forth, {"CNAME": [FRONT]}), (new, {"CNAME": [OTHER]})]
    wait_until(lambda: [(name, there(fragile, name)) for name, _ in wanted] == wanted, 30, "DNS follows")
    wait_until(lambda: [api.get(f"/hosts/{name}")["dns"] for name, _ in wanted] == ["current"] * 3, 30, "it is known")
    assert call(api, update(new, alias=None, ipv4="192.0.2.3"))[0]["status"] == "applied"
    assert there(fragile, new) == {"A": ["192.0.2.3"]}
    assert fragile.cli("reconcile", "--check").returncode == 0


def test_updates_do_not_change_aliases_and_lists(service: Service, alice: str, api: Api, host: Host) -> None:
    for values in ({"ipv4": None, "alias": FRONT}, {"alias": None, "ipv4": ["192.0.2.2", "192.0.2.1"]}):
        api.patch(f"/hosts/{host.fqdn}", values)
        before = there(service, host.fqdn)
        with counts(host):
            refused(host.update(myip="192.0.2.9"), 200, "nohost")
            refused(host.update(offline="YES"), 200, "nohost")
            refused(host.delete(myip="0.0.0.0"), 200, "nohost")
            refused(host.bearer(myip="192.0.2.9"), 404, "nohost")
        assert there(service, host.fqdn) == before
    api.patch(f"/hosts/{host.fqdn}", {"ipv4": ["192.0.2.1"]})
    said(host.update(myip="192.0.2.9"), 200, "good 192.0.2.9")


# ---- several addresses


def test_several_addresses(service: Service, api: Api, fqdn: str) -> None:
    several = ["192.0.2.10", "192.0.2.9", "192.0.2.10"]
    host = api.host(fqdn=fqdn, ipv4=several, ipv6=["2001:db8::2", "2001:db8:0::1"], wildcard=True)
    assert (host["ipv4"], host["ipv6"]) == (["192.0.2.9", "192.0.2.10"], ["2001:db8::1", "2001:db8::2"])
    for name in (fqdn, f"x.{fqdn}"):
        assert there(service, name) == {"A": ["192.0.2.10", "192.0.2.9"], "AAAA": ["2001:db8::1", "2001:db8::2"]}
    assert api.get(f"/hosts/{fqdn}/ipv4") == {"ipv4": ["192.0.2.9", "192.0.2.10"]}
    assert service.get("/nic/hosts", api.token).json()["hosts"]
    with one_message(service):
        changed = api.patch(f"/hosts/{fqdn}", {"ipv4": ["192.0.2.11"]})
    assert (changed["ipv4"], service.dig(fqdn)) == ("192.0.2.11", ["192.0.2.11"])
    expected = {"if": {"ipv6": ["2001:db8::2", "2001:db8::1"]}}
    assert call(api, update(fqdn, ipv6=None) | expected)[0]["status"] == "applied"
    too_many = [f"192.0.2.{n}" for n in range(17)]
    for wrong in ([], ["192.0.2.1", "zzz"], ["192.0.2.1", "::1"], ["192.0.2.1", "127.0.0.1"], too_many):
        problem(api.call("PATCH", f"/hosts/{fqdn}", {"ipv4": wrong}), 422, RULE, {"ipv4"})
    (shown,) = [one for one in api.get(f"/hosts/{fqdn}/history")["items"] if one["kind"] == "register"]
    assert shown["after"]["ipv4"] == ["192.0.2.9", "192.0.2.10"]


def test_each_address_is_judged(strict: Service) -> None:
    api = Api(strict, strict.admin_token)
    for wrong in (["8.8.8.8", "9.9.9.9"], ["8.8.8.8", "10.0.0.1"]):
        answer = api.call("POST", "/hosts", {"fqdn": new_name(strict), "ipv4": wrong})
        assert f"{wrong[1]} is not accepted" in problem(answer, 422, RULE, {"ipv4"})["detail"]


# ---- related names


def test_related_names_in_changes(service: Service, api: Api, fqdn: str) -> None:
    host = api.host(fqdn=fqdn, ipv6="2001:db8:1::1", related={"nas": "::7", "TV": "::8"})
    assert host["related"] == {"nas": "::7", "tv": "::8"}
    assert there(service, f"nas.{fqdn}") == {"AAAA": ["2001:db8:1::7"]}
    with one_message(service):
        changed = api.patch(f"/hosts/{fqdn}", {"ipv6": "2001:db8:2::1", "related": {"nas": "::9", "cam": "::a"}})
    assert changed["related"] == {"cam": "::a", "nas": "::9", "tv": "::8"}
    found = {label: service.dig(f"{label}.{fqdn}", "AAAA") for label in ("nas", "cam", "tv")}
    assert found == {"nas": ["2001:db8:2::9"], "cam": ["2001:db8:2::a"], "tv": ["2001:db8:2::8"]}
    (gone,) = call(api, update(fqdn, related={"nas": None}) | {"if": {"related": {"nas": "::9", "new": None}}})
    assert gone["status"] == "applied"
    assert there(service, f"nas.{fqdn}") == {}
    assert call(api, update(fqdn, related={"nas": None, "tv": "::8"}))[0]["status"] == "unchanged"
    assert api.items("/hosts", fqdn=fqdn, records="true")[0]["related"] == {"cam": "::a", "tv": "::8"}
    assert "related" not in api.items("/hosts", fqdn=fqdn)[0]
    (removed,) = call(api, {"action": "delete", "fqdn": fqdn}, dry_run=True)
    assert removed["removes"] == [{"fqdn": f"{label}.{fqdn}", "type": "AAAA"} for label in ("cam", "tv")]
    again = [update(fqdn, related={"new": value}) for value in ("::1", "::2", None)]
    assert [one["status"] for one in call(api, *again)] == ["applied"] * 3
    assert "new" not in api.get(f"/hosts/{fqdn}")["related"]
    edits = [one["after"] for one in api.get(f"/hosts/{fqdn}/history")["items"]]
    assert {"related": {"nas": None}} in edits


def test_related_names_that_cannot_be(service: Service, api: Api, fqdn: str) -> None:
    api.host(fqdn=fqdn, ipv6="2001:db8:1::1")
    api.host(fqdn=f"taken.{fqdn}")
    insert(service, service.domain, f"foreign.{fqdn}", "TXT", '"x"')
    wrong = {
        "taken": ("::7", 409),
        "foreign": ("::7", 409),
        "a.b": ("::7", 422),
        "zero": ("::", 422),
        "bad": ("zzz", 422),
    }
    for label, (interface_id, status) in wrong.items():
        for dry_run in (True, False):
            (result,) = call(api, update(fqdn, related={label: interface_id, "fine": "::1"}), dry_run=dry_run)
            assert (result["error"]["status"], set(result["error"]["errors"])) == (status, {f"related.{label}"}), result
    many = {f"n{n}": f"::{n}" for n in range(1, 34)}
    assert set(call(api, update(fqdn, related=many))[0]["error"]["errors"]) == {"related"}
    (twice,) = call(
        api, {"action": "update", "fqdn": fqdn, "set": {"related": {"nas": "::7"}}, "if": {"related": {"nas": "::1"}}}
    )
    assert twice["error"]["status"] == 412
    first, second = call(
        api, update(fqdn, related={"nas": "::7"}), {"action": "create", "fqdn": f"nas.{fqdn}", "set": {}}
    )
    assert (first["status"], second["error"]["status"]) == ("applied", 409)
    assert api.get(f"/hosts/{fqdn}")["related"] == {"nas": "::7"}
