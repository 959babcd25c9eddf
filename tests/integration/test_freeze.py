# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain that is frozen for maintenance: its name server is left alone, changes wait, and nothing is a fault."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.browser.portal import entered
from support.clients.rest_api import Api, problem
from support.ports import wait_until
from support.servers.faults import granting, hung
from support.servers.service import DOMAIN, Service, dev

pytestmark = pytest.mark.long

Settings = Callable[[], dict[str, str]]
FROZEN = f"{DOMAIN} is frozen for maintenance: a new disk"
STUCK_SECONDS = 6.0
"""By then, the monitor has noticed a primary that hangs."""


@pytest.fixture
def service(tmp_path: Path, store_settings: Settings) -> Iterator[Service]:
    with dev(tmp_path / "service", dns_deadline="1", **store_settings()) as running:
        yield running


@pytest.fixture
def api(service: Service) -> Api:
    return Api(service, service.admin_token)


def update(service: Service, secret: str, address: str) -> str:
    return service.get("/nic/update", auth=(f"a.{DOMAIN}", secret), params={"myip": address}).text


def frozen(service: Service) -> bool:
    """Whether the service has heard of the freeze."""
    return bool(service.get("/healthz/dns").json().get("frozen_zones") == 1)


def freeze(service: Service) -> None:
    said = service.cli("domain", "freeze", DOMAIN.upper(), "--reason", "a new disk").stdout
    assert said == f"frozen {DOMAIN}: changes are stored until `ddnsd domain thaw {DOMAIN}`\n"
    wait_until(lambda: frozen(service), 5, "the service knows")


def thaw(service: Service) -> None:
    assert service.cli("domain", "thaw", DOMAIN).stdout == f"thawed {DOMAIN}\n"


def messages(service: Service) -> int:
    (primary,) = service.get("/api/status", service.admin_token).json()["primaries"]
    return int(primary["messages"])


def waiting(service: Service) -> list[list[str]]:
    return [line.split() for line in service.cli("queue", "list").stdout.splitlines()[1:]]


def test_changes_wait_and_are_sent_at_the_thaw(service: Service, api: Api) -> None:
    secret = service.register("a", ip="192.0.2.1")
    for label in ("b", "gone"):
        service.register(label, ip="192.0.2.1")
    freeze(service)
    began = time.monotonic()
    assert update(service, secret, "192.0.2.1") == "nochg 192.0.2.1"
    assert update(service, secret, "192.0.2.2") == "911"
    found = problem(api.call("PATCH", f"/hosts/b.{DOMAIN}", {"ipv4": "192.0.2.3"}), 503, "urn:ddns:pending")
    assert found["detail"] == f"The change is kept and will be applied: {FROZEN}."
    changes = [{"action": "delete", "fqdn": f"gone.{DOMAIN}"}]
    assert api.call("POST", "/changes", {"changes": changes}).json()["results"][0]["status"] == "pending"
    assert time.monotonic() - began < 3  # nobody waits for the name server
    assert api.get(f"/hosts/a.{DOMAIN}")["dns"] == "pending"
    rows = waiting(service)
    assert [(row[1], row[2], row[3]) for row in rows] == [
        (f"a.{DOMAIN}", "host", "waiting"),
        (f"b.{DOMAIN}", "host", "waiting"),
        (f"gone.{DOMAIN}", "removal", "waiting"),
    ]
    assert {" ".join(row[-9:]) for row in rows} == {"after the thaw frozen for maintenance: a new disk"}
    assert service.addresses() == {f"{label}.{DOMAIN}": ["192.0.2.1"] for label in ("a", "b", "gone")}
    thaw(service)
    expected = {f"a.{DOMAIN}": ["192.0.2.2"], f"b.{DOMAIN}": ["192.0.2.3"]}
    wait_until(lambda: service.addresses() == expected, 5, "everything is sent")
    assert update(service, secret, "192.0.2.4") == "good 192.0.2.4"
    assert service.cli("reconcile", "--check").returncode == 0


def test_a_name_server_in_maintenance_is_no_fault(service: Service, api: Api) -> None:
    secret = service.register("a", ip="192.0.2.1")
    with granting(service, DOMAIN, f"deny {{key}} name a.{DOMAIN} ANY", "grant {key} zonesub ANY"):
        service.register("b", ip="192.0.2.1")
        assert update(service, secret, "192.0.2.2") == "911"  # set aside
        wait_until(lambda: service.get("/healthz/dns").status_code == 503, 10, "refused")
        freeze(service)
        assert service.get("/healthz/dns").status_code == 200
    before = messages(service)
    with hung(service.named_pid()):
        assert update(service, secret, "192.0.2.3") == "911"
        end = time.monotonic() + STUCK_SECONDS
        while time.monotonic() < end:
            assert service.get("/healthz/dns").json() == {"status": "ok", "failing_zones": 0, "frozen_zones": 1}
            ready = service.get("/readyz", service.admin_token)
            assert (ready.status_code, ready.json()["status"]) == (200, "ok")
            assert ready.json()["zones"] == {DOMAIN: FROZEN}
        checked = service.cli("doctor")
        assert f"not checked: {FROZEN}" in checked.stdout
        assert "FAIL" not in checked.stdout
        for command in (("reconcile", "--check"), ("reconcile",)):
            assert service.cli(*command).stderr == f"not compared: {FROZEN}\n"
        metrics = service.get("/metrics").text
        assert f'ddnsd_zone_frozen{{zone="{DOMAIN}"}} 1.0' in metrics
        assert "ddnsd_zones_frozen 1.0" in metrics
        assert messages(service) == before
    assert messages(service) == before
    service.remove_records(f"b.{DOMAIN}.", "A")  # during the maintenance
    thaw(service)
    expected = {f"a.{DOMAIN}": ["192.0.2.3"], f"b.{DOMAIN}": ["192.0.2.1"]}
    wait_until(lambda: service.addresses() == expected, 10, "sent, and compared with the zone")
    wait_until(lambda: service.get("/healthz/dns").json() == {"status": "ok", "failing_zones": 0}, 10, "no fault")


def test_new_names_are_refused(service: Service, api: Api) -> None:
    service.register("a", ip="192.0.2.1")
    freeze(service)

    def refused(method: str, path: str, body: dict[str, Any]) -> None:
        found = problem(api.call(method, path, body), 503, "urn:ddns:name-server")
        assert found["detail"] == f"Nothing was changed: {FROZEN}."

    refused("POST", "/hosts", {"fqdn": f"new.{DOMAIN}", "ipv4": "192.0.2.1"})
    refused("PATCH", f"/hosts/a.{DOMAIN}", {"fqdn": f"new.{DOMAIN}"})
    refused("PUT", f"/hosts/a.{DOMAIN}/records/_x/TXT", {"values": ["one"]})
    refused("PUT", f"/hosts/a.{DOMAIN}/related/new", {"interface_id": "::7"})
    asked = {"fqdn": f"new.{DOMAIN}", "ip": "192.0.2.1"}
    answer = service.get("/nic/register", service.admin_token, params=asked)
    assert (answer.status_code, FROZEN in answer.text) == (502, True)
    changes = [{"action": "create", "fqdn": f"new{n}.{DOMAIN}", "set": {"ipv4": "192.0.2.1"}} for n in range(2)]
    results = api.call("POST", "/changes", {"changes": changes}).json()["results"]
    assert [(result["status"], FROZEN in result["error"]["detail"]) for result in results] == [("failed", True)] * 2
    assert [host["fqdn"] for host in api.get("/hosts")["items"]] == [f"a.{DOMAIN}"]
    thaw(service)
    wait_until(lambda: not frozen(service), 5, "the service knows")
    service.register("new", ip="192.0.2.1")
    assert service.dig(f"new.{DOMAIN}") == ["192.0.2.1"]


def test_administrators_freeze_by_the_api(service: Service, api: Api) -> None:
    owner = Api(service, service.user("olga"))
    service.cli("domain", "add", "lab.example.org", "--owner", "olga")
    where = "/domains/lab.example.org"
    wait_until(lambda: service.get("/healthz/dns").json()["failing_zones"] == 0, 10, "no zone is unknown")
    assert owner.get(where)["frozen"] is None
    problem(owner.call("PATCH", where, {"frozen": {}}), 403)
    problem(owner.call("PATCH", where, {"frozen": None}), 403)
    problem(api.call("PATCH", where, {"frozen": {"reason": "x" * 256}}), 422, fields={"frozen.reason"})
    problem(api.call("PATCH", where, {"frozen": True}), 422, fields={"frozen"})
    tag = api.call("GET", where).headers["ETag"]
    made = api.call("PATCH", where, {"frozen": {"reason": "a <new> disk"}})
    assert (made.status_code, made.json()["frozen"]["reason"]) == (200, "a <new> disk")
    assert made.headers["ETag"] != tag
    assert owner.get(where)["frozen"] == made.json()["frozen"]
    assert api.call("PATCH", where, {"comment": "new"}).json()["frozen"] == made.json()["frozen"]
    wait_until(lambda: frozen(service), 5, "the service knows")
    listed = [line.split() for line in service.cli("domain", "list").stdout.splitlines()]
    assert ["lab.example.org", "olga", "public,", "frozen"] in [line[:4] for line in listed]
    status = {zone["name"]: zone for zone in api.get("/status")["zones"]}
    assert (status["lab.example.org"]["frozen"], status[DOMAIN]["frozen"]) == (
        "lab.example.org is frozen for maintenance: a <new> disk",
        None,
    )
    assert api.call("PATCH", where, {"frozen": None}).json()["frozen"] is None
    wait_until(lambda: not frozen(service), 5, "the service knows")
    told = [(e["action"], e["detail"]) for e in owner.get("/events")["items"] if e["object"] == "lab.example.org"]
    expected = {("domain.freeze", "a <new> disk"), ("domain.thaw", None), ("domain.set", "comment")}
    assert expected <= set(told)


def test_the_portal_shows_the_reason(tmp_path: Path) -> None:
    where = "/domains/lab.example.org"
    with dev(tmp_path / "service") as service:
        service.user("olga")
        service.cli("domain", "add", "lab.example.org", "--owner", "olga")
        service.cli("domain", "freeze", "lab.example.org", "--reason", "a <new> disk")
        wait_until(lambda: frozen(service), 5, "the service knows")
        for name, path in (("admin", "/status"), ("olga", where), ("olga", "/status"), ("admin", where)):
            assert "a <new> disk" in entered(service, name).open(path).text
        assert "ddnsd domain thaw" in entered(service, "admin").open(where).text
        assert "ddnsd domain thaw" not in entered(service, "olga").open(where).text
        assert "frozen" in entered(service, "olga").open("/domains").text
        add = '"/hosts/new?domain=lab.example.org"'
        assert add not in entered(service, "olga").open(where).html
        form = entered(service, "olga").open("/hosts/new")
        assert "because they are frozen for maintenance: lab.example.org : a <new> disk" in form.text
        assert ('value="dyn.example.org"' in form.html, 'value="lab.example.org"' in form.html) == (True, False)
        german = entered(service, "olga")
        german.headers["Accept-Language"] = "de"
        assert "Wegen Wartung eingefroren." in german.open(where).text
        service.cli("domain", "thaw", "lab.example.org")
        wait_until(lambda: not frozen(service), 5, "the service knows")
        for path in ("/status", "/domains", where, "/hosts/new"):
            assert "frozen" not in entered(service, "olga").open(path).text
        assert add in entered(service, "olga").open(where).html


def test_mistakes(service: Service) -> None:
    for command in ("freeze", "thaw"):
        result = service.cli("domain", command, "nowhere.example.org", check=False)
        assert (result.returncode, "There is no domain nowhere.example.org" in result.stderr) == (1, True)
    for reason in ("x" * 256, "two\nlines"):
        assert service.cli("domain", "freeze", DOMAIN, "--reason", reason, check=False).returncode == 2
    thaw(service)  # nothing to do
    assert service.cli("domain", "list").stdout.count("frozen") == 0
