# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, a new name for a host: the secret stays, the records move, and a name that cannot be had changes nothing."""

import pytest
from support.clients.dyndns import new_label
from support.clients.rest_api import Api, Content, new_name, problem
from support.servers.service import Service

RULE, TAKEN = "urn:ddns:rule", "urn:ddns:taken"


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


def standing(service: Service, fqdn: str) -> tuple[list[str], list[str], list[str]]:
    """A and AAAA at the name, A below it."""
    return service.dig(fqdn), service.dig(fqdn, "AAAA"), service.dig(f"any.{fqdn}")


def unchanged(api: Api, made: Content) -> None:
    assert api.get(f"/hosts/{made['fqdn']}") == {k: v for k, v in made.items() if k != "secret"}
    assert standing(api.service, made["fqdn"]) == (["192.0.2.1"], ["2001:db8::1"], ["192.0.2.1"])


@pytest.fixture
def made(api: Api) -> Content:
    return api.host(ipv4="192.0.2.1", ipv6="2001:db8::1", wildcard=True, comment="same", labels={"a": "b"})


def test_the_records_move_and_everything_else_stays(service: Service, api: Api, made: Content) -> None:
    old, new = made["fqdn"], new_name(service)
    renamed = api.patch(f"/hosts/{old}", {"fqdn": new})
    kept = {k: v for k, v in made.items() if k not in ("fqdn", "name", "secret")}
    assert renamed == kept | {"fqdn": new, "name": new.partition(".")[0]}
    assert api.patch(f"/hosts/{new}", {"fqdn": new.upper()}) == renamed
    problem(api.call("PATCH", f"/hosts/{old}", {"fqdn": new}), 404)
    assert standing(service, old) == ([], [], [])
    assert standing(service, new) == (["192.0.2.1"], ["2001:db8::1"], ["192.0.2.1"])
    update = service.get("/nic/update", auth=(new, made["secret"]), params={"myip": "192.0.2.1"})
    assert update.text == "nochg 192.0.2.1"
    assert service.get("/nic/update", auth=(old, made["secret"]), params={"myip": "192.0.2.1"}).status_code == 401


def test_there_and_back(service: Service, api: Api, made: Content) -> None:
    new = new_name(service)
    for _ in range(2):
        api.patch(f"/hosts/{made['fqdn']}", {"fqdn": new})
        api.patch(f"/hosts/{new}", {"fqdn": made["fqdn"]})
    unchanged(api, made)
    assert standing(service, new) == ([], [], [])


def test_the_old_name_is_free(service: Service, api: Api, bob: str, made: Content) -> None:
    api.patch(f"/hosts/{made['fqdn']}", {"fqdn": new_name(service)})
    Api(service, bob).host(fqdn=made["fqdn"], ipv4="192.0.2.77")
    assert standing(service, made["fqdn"]) == (["192.0.2.77"], [], [])


def test_together_with_other_fields(service: Service, api: Api, made: Content) -> None:
    new = new_name(service)
    renamed = api.patch(f"/hosts/{made['fqdn']}", {"fqdn": new, "ipv4": "192.0.2.2", "wildcard": False})
    assert (renamed["fqdn"], renamed["ipv4"], renamed["wildcard"], renamed["dns"]) == (
        new,
        "192.0.2.2",
        False,
        "current",
    )
    assert standing(service, new) == (["192.0.2.2"], ["2001:db8::1"], [])
    assert standing(service, made["fqdn"]) == ([], [], [])


def test_into_another_domain(service: Service, api: Api, lab: str, made: Content) -> None:
    new = f"{new_label()}.{lab}"
    for old, following in ((made["fqdn"], new), (new, made["fqdn"])):
        renamed = api.patch(f"/hosts/{old}", {"fqdn": following})
        assert (renamed["domain"], renamed["dns"]) == (following.partition(".")[2], "current")
        assert standing(service, following) == (["192.0.2.1"], ["2001:db8::1"], ["192.0.2.1"])
        assert standing(service, old) == ([], [], [])


def test_a_taken_name_changes_nothing(service: Service, api: Api, bob: str, made: Content) -> None:
    for taken in (api.host(), Api(service, bob).host()):
        for _ in range(2):
            answer = api.call("PATCH", f"/hosts/{made['fqdn']}", {"fqdn": taken["fqdn"], "comment": "new"})
            problem(answer, 409, TAKEN, {"fqdn"})
    unchanged(api, made)


@pytest.mark.parametrize("label", ["", "*."])
def test_an_unmanaged_name_changes_nothing(service: Service, api: Api, made: Content, label: str) -> None:
    new = new_name(service)
    service.add_record(f"{label}{new}.", "TXT", "somebody's")
    for _ in range(2):
        problem(api.call("PATCH", f"/hosts/{made['fqdn']}", {"fqdn": new, "comment": "new"}), 409, TAKEN, {"fqdn"})
    unchanged(api, made)
    assert service.dig(f"{label}{new}", "TXT") == ['"somebody\'s"']


def test_a_name_that_one_may_not_have_changes_nothing(service: Service, api: Api, den: str, made: Content) -> None:
    below_another = f"x.{Api(service, service.admin_token).host()['fqdn']}"
    for new in (f"{new_label()}.{den}", f"{new_label()}.example.net", service.domain, below_another):
        for _ in range(2):
            problem(api.call("PATCH", f"/hosts/{made['fqdn']}", {"fqdn": new}), 422, RULE, {"fqdn"})
    unchanged(api, made)


def test_related_names_move_with_their_host(service: Service, api: Api) -> None:
    made = api.host(ipv6="2001:db8:1::5")
    service.cli("related", "add", made["fqdn"], "nas", "::7")
    new = new_name(service)
    api.patch(f"/hosts/{made['fqdn']}", {"fqdn": new})
    assert service.dig(f"nas.{new}", "AAAA") == ["2001:db8:1::7"]
    assert service.dig(f"nas.{made['fqdn']}", "AAAA") == []


def test_a_key_goes_on_with_the_new_name(service: Service, api: Api, made: Content) -> None:
    key = api.post("/keys", {"name": "k", "hosts": [made["fqdn"]]})
    new = new_name(service)
    api.patch(f"/hosts/{made['fqdn']}", {"fqdn": new})
    assert api.get(f"/keys/{key['login']}")["hosts"] == [new]
    answer = service.get(
        "/nic/update", auth=(key["login"], key["secret"]), params={"hostname": new, "myip": "192.0.2.8"}
    )
    assert answer.text == "good 192.0.2.8"
