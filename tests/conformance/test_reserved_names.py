# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that software looks up below its domain are nobody's, until the operator says otherwise."""

import pytest
from support.clients.dyndns import GIVEN, new_label
from support.clients.rest_api import Api, problem
from support.ports import wait_until
from support.servers.service import Service

RULE = "urn:ddns:rule"
NAMES = [
    "wpad",
    "isatap",
    "teredo",
    "autodiscover",
    "autoconfig",
    "mta-sts",
    "openpgpkey",
    "localhost",
    "localdomain",
    "local",
    "broadcasthost",
    "ip6-localhost",
    "ip6-loopback",
    "kerberos",
    "loghost",
    "mailhost",
    "puppet",
    "salt",
    "unifi",
    "pnpserver",
    "cisco-capwap-controller",
    "cisco-lwapp-controller",
    "aruba-master",
    "lyncdiscover",
    "lyncdiscoverinternal",
    "sipinternal",
    "enterpriseregistration",
    "enterpriseenrollment",
]


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


@pytest.mark.parametrize("name", NAMES)
def test_no_door_gives_them(service: Service, api: Api, name: str) -> None:
    fqdn = f"{name}.{service.domain}"
    answer = service.get("/nic/register", api.token, params={"fqdn": fqdn.upper(), "ip": GIVEN})
    assert (answer.status_code, answer.json()["message"]) == (400, "formerr")
    problem(api.call("POST", "/hosts", {"fqdn": fqdn}), 422, RULE, {"fqdn"})
    results = api.call("POST", "/changes", {"changes": [{"action": "create", "fqdn": fqdn}]}).json()["results"]
    assert results[0]["status"] == "failed"
    assert service.dig(fqdn) == []


def test_neither_as_new_name_nor_as_related_name(service: Service, api: Api) -> None:
    host = api.host(ipv6="2001:db8::1")["fqdn"]
    problem(api.call("PATCH", f"/hosts/{host}", {"fqdn": f"wpad.{service.domain}"}), 422, RULE, {"fqdn"})
    problem(api.call("PUT", f"/hosts/{host}/related/wpad", {"interface_id": "::7"}), 422, RULE, {"label"})
    problem(api.call("POST", "/hosts", {"fqdn": f"wpad.{new_label()}.{service.domain}"}), 422, RULE, {"fqdn"})


def test_longer_names_are_free(service: Service, api: Api) -> None:
    for name in ("wpad-2", "my-local", "salty"):
        api.host(fqdn=f"{name}-{new_label()}.{service.domain}")


def test_the_operator_changes_the_list(service: Service, api: Api) -> None:
    listed = {entry["value"]: entry for entry in Api(service, service.admin_token).items("/deny", kind="name")}
    assert listed.keys() >= set(NAMES)
    assert all(listed[name]["comment"] and listed[name]["created_by"] == "ddnsd" for name in NAMES)
    fqdn = f"mailhost.{service.domain}"
    service.cli("deny", "remove", "name", "mailhost")
    wait_until(lambda: api.call("POST", "/hosts", {"fqdn": fqdn, "ipv4": GIVEN}).status_code == 201, 10, "a free name")
    secret = api.call("POST", f"/hosts/{fqdn}/secret").json()["secret"]
    service.cli("db", "upgrade")
    service.cli("deny", "add", "name", "mailhost", "--comment", "again")
    wait_until(
        lambda: (
            api.call("PATCH", f"/hosts/{api.host()['fqdn']}", {"fqdn": f"mailhost.x.{service.domain}"}).status_code
            == 422
        ),
        10,
        "a denied name",
    )
    update = service.get("/nic/update", auth=(fqdn, secret), params={"myip": "192.0.2.7"})
    assert update.text == "good 192.0.2.7"
    assert service.dig(fqdn) == ["192.0.2.7"]
    api.patch(f"/hosts/{fqdn}", {"comment": "was there before"})
    api.delete(f"/hosts/{fqdn}")
