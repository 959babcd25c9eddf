# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, while the name server or the database is not there: within the deadline, and nothing half done."""

import json
import re
from collections.abc import Iterator

import pytest
from support.clients.rest_api import Api, new_name, problem
from support.ports import in_time, wait_until
from support.servers.faults import hung, locked, refusing
from support.servers.service import Service

PENDING, NAME_SERVER, STORE = "urn:ddns:pending", "urn:ddns:name-server", "urn:ddns:store"


@pytest.fixture
def api(fragile: Service) -> Api:
    return Api(fragile, fragile.admin_token)


@pytest.fixture
def quick() -> Iterator[None]:
    """Checks that the name server's silence holds up none of the test's calls."""
    with in_time():
        yield


def test_registering_leaves_nothing_behind(fragile: Service, api: Api, quick: None) -> None:
    fqdn = new_name(fragile)
    with hung(fragile.named_pid()):
        for _ in range(2):
            problem(api.call("POST", "/hosts", {"fqdn": fqdn, "ipv4": "192.0.2.1"}), 503, NAME_SERVER)
            problem(api.call("GET", f"/hosts/{fqdn}"), 404)
    assert api.host(fqdn=fqdn, ipv4="192.0.2.2")["ipv4"] == "192.0.2.2"
    assert fragile.dig(fqdn) == ["192.0.2.2"]


def test_a_change_is_kept_and_follows(fragile: Service, api: Api) -> None:
    made = api.host(ipv4="192.0.2.1")
    path = f"/hosts/{made['fqdn']}"
    with hung(fragile.named_pid()):
        for _ in range(2):
            problem(api.call("PATCH", path, {"ipv4": "192.0.2.2"}), 503, PENDING)
            shown = api.get(path)
            assert (shown["ipv4"], shown["dns"]) == ("192.0.2.2", "pending")
        assert api.patch(path, {"comment": "needs no DNS"})["dns"] == "pending"
        assert api.get("/hosts", fqdn=made["fqdn"])["items"][0]["dns"] == "pending"
    wait_until(lambda: api.get(path)["dns"] == "current", 15, "DNS follows")
    assert fragile.dig(made["fqdn"]) == ["192.0.2.2"]


def test_a_rename_changes_nothing(fragile: Service, api: Api) -> None:
    made = api.host(ipv4="192.0.2.1")
    new = new_name(fragile)
    with hung(fragile.named_pid()):
        for _ in range(2):
            problem(api.call("PATCH", f"/hosts/{made['fqdn']}", {"fqdn": new, "comment": "x"}), 503, NAME_SERVER)
    assert api.get(f"/hosts/{made['fqdn']}")["comment"] is None
    problem(api.call("GET", f"/hosts/{new}"), 404)
    assert api.patch(f"/hosts/{made['fqdn']}", {"fqdn": new})["dns"] in ("current", "pending")
    wait_until(lambda: fragile.dig(new) == ["192.0.2.1"] and fragile.dig(made["fqdn"]) == [], 15, "renamed")


def test_a_deletion_is_carried_out_later(fragile: Service, api: Api) -> None:
    made = api.host(ipv4="192.0.2.1")
    with hung(fragile.named_pid()):
        problem(api.call("DELETE", f"/hosts/{made['fqdn']}"), 503, PENDING)
        problem(api.call("DELETE", f"/hosts/{made['fqdn']}"), 404)
    wait_until(lambda: fragile.dig(made["fqdn"]) == [], 15, "record removed")


def test_a_zone_that_refuses(fragile: Service, api: Api) -> None:
    made = api.host(ipv4="192.0.2.1")
    with refusing(fragile, fragile.domain):
        for _ in range(2):
            problem(api.call("PATCH", f"/hosts/{made['fqdn']}", {"ipv4": "192.0.2.2"}), 503, PENDING)
        fqdn = new_name(fragile)
        problem(api.call("POST", "/hosts", {"fqdn": fqdn, "ipv4": "192.0.2.1"}), 503, NAME_SERVER)
        problem(api.call("GET", f"/hosts/{fqdn}"), 404)
    wait_until(lambda: fragile.dig(made["fqdn"]) == ["192.0.2.2"], 15, "DNS follows")


def test_a_domain_that_cannot_be_made_or_removed(fragile: Service, api: Api) -> None:
    name = "stays.example.org"
    api.post("/domains", {"name": name})
    rndc = fragile.dir / "bind" / "rndc.conf"
    aside = rndc.rename(rndc.with_suffix(".aside"))
    try:
        for _ in range(2):
            problem(api.call("DELETE", f"/domains/{name}"), 503, NAME_SERVER)
            assert api.get(f"/domains/{name}")["available"] is True
            problem(api.call("POST", "/domains", {"name": "new.example.org"}), 503, NAME_SERVER)
            problem(api.call("GET", "/domains/new.example.org"), 404)
    finally:
        aside.rename(rndc)
    api.delete(f"/domains/{name}")
    problem(api.call("DELETE", f"/domains/{name}"), 404)


def test_a_locked_database(fragile: Service, api: Api) -> None:
    made = api.host(ipv4="192.0.2.1")
    with locked(fragile):
        problem(api.call("PATCH", f"/hosts/{made['fqdn']}", {"ipv4": "192.0.2.2"}), 503, STORE)
        problem(api.call("DELETE", f"/hosts/{made['fqdn']}"), 503, STORE)
        assert api.get(f"/hosts/{made['fqdn']}")["ipv4"] == "192.0.2.1"
    assert api.patch(f"/hosts/{made['fqdn']}", {"ipv4": "192.0.2.2"})["ipv4"] == "192.0.2.2"


def test_no_secret_is_kept_or_printed(fragile: Service, api: Api) -> None:
    made = api.host(ipv4="192.0.2.1")
    rotated = api.call("POST", f"/hosts/{made['fqdn']}/secret").json()["secret"]
    token = api.post("/tokens", {"name": "for the export"})["token"]
    key = api.post("/keys", {"name": "for the export", "hosts": [made["fqdn"]]})["secret"]
    api.call("POST", f"/hosts/{made['fqdn']}/verify-secret", {"secret": rotated})
    exported = fragile.cli("export").stdout
    assert made["fqdn"] in json.dumps(json.loads(exported)["tables"]["hosts"])
    told = exported + fragile.log.read_text() + api.call("GET", "/events").text
    for secret in (made["secret"], rotated, token, key, fragile.admin_token):
        assert secret not in told
    assert not re.search(r"ddns_[A-Za-z0-9]{20}", told)
