# SPDX-License-Identifier: GPL-3.0-or-later
"""What the status says of name servers that answer, and of those that do not."""

from pathlib import Path
from typing import Any

from support.browser.portal import Browser, entered
from support.ports import free_port, wait_until
from support.servers.faults import granting, hung
from support.servers.service import Service, dev


def test_primaries_and_secondaries(tmp_path: Path) -> None:
    dns = free_port()
    settings = {"DDNSD_SECONDARIES": f"127.0.0.1:{dns},127.0.0.1:{free_port()}", "DDNSD_DNS_DEADLINE": "1"}
    service = Service(tmp_path / "service", free_port(), dns, settings=settings)
    service.start()
    try:
        _look(service)
    finally:
        service.stop()


def _look(service: Service) -> None:
    def zone() -> dict[str, object]:
        (found,) = service.get("/api/status").json()["zones"]
        return dict(found)

    service.register("www", ip="192.0.2.1")
    (serial,) = {record.split()[2] for record in service.dig(service.domain, "SOA")}
    answering = {"reachable": True, "serial": int(serial)}
    whole = {
        "name": service.domain,
        "primary": answering,
        "secondaries": [answering, {"reachable": False, "serial": None}],
    }
    wait_until(lambda: zone() == whole, 30, "serials")
    assert service.get("/api/status").json()["waiting"] == 0
    with hung(service.named_pid()):
        wait_until(lambda: zone()["primary"] == {"reachable": False, "serial": int(serial)}, 30, "hung primary")
        assert (
            service.get("/nic/register", service.admin_token, params={"fqdn": "x." + service.domain}).status_code == 502
        )
    wait_until(lambda: zone()["primary"]["reachable"] is True, 30, "primary")  # type: ignore[index]


def test_administrators_see_what_is_refused(tmp_path: Path) -> None:
    with dev(tmp_path / "service", dns_deadline="1") as service:
        _refuse_and_look(service)


def _refuse_and_look(service: Service) -> None:
    reason = "the name server answers REFUSED"
    name, alice = f"www.{service.domain}", service.user("alice")
    service.cli("domain", "add", "lab.example.org", "--owner", "admin", "--private")
    secret = service.register("www", ip="192.0.2.1")

    def status(token: str | None = service.admin_token) -> Any:
        return service.get("/api/status", token).json()

    def queues() -> dict[str, dict[str, int]]:
        return {zone["name"]: zone["queue"] for zone in status()["zones"]}

    def metrics() -> list[str]:
        return service.get("/metrics").text.splitlines()

    nothing = dict.fromkeys(("refused", "held", "skipped", "waiting"), 0)
    wait_until(lambda: queues() == {service.domain: nothing, "lab.example.org": nothing}, 10, "both zones")
    assert reason not in entered(service, "admin").open("/status").text
    with granting(service, service.domain, f"deny {{key}} name {name} ANY", "grant {key} zonesub ANY"):
        service.register("a", ip="192.0.2.1")
        assert service.get("/nic/update", auth=(name, secret), params={"myip": "192.0.2.2"}).text == "911"
        wait_until(lambda: queues()[service.domain] == nothing | {"refused": 1}, 10, "refused")
        assert f'ddnsd_zone_queue{{state="refused",zone="{service.domain}"}} 1.0' in metrics()
        page = entered(service, "admin").open("/status")
        assert (name in page.text, reason in page.text, "ddnsd queue list --all" in page.text) == (True, True, True)
        german = entered(service, "admin")
        german.headers["Accept-Language"] = "de"
        assert "Vom Nameserver abgewiesen" in german.open("/status").text
        for others in (Browser(service), entered(service, "alice")):
            text = others.open("/status").text
            assert (name in text, reason in text, "Primary name servers" in text) == (False, False, False)
        for token in (None, alice, "ddns_unknown"):
            assert status(token).keys() == status().keys() - {"primaries"}
            assert [zone.keys() for zone in status(token)["zones"]] == [{"name", "primary", "secondaries"}]
        service.cli("queue", "skip", name)
        wait_until(lambda: queues()[service.domain] == nothing | {"skipped": 1}, 10, "skipped")
        assert f'ddnsd_zone_queue{{state="skipped",zone="{service.domain}"}} 1.0' in metrics()
        assert reason not in entered(service, "admin").open("/status").text
    (primary,) = status()["primaries"]
    address = f"127.0.0.1:{service.dns_port}"
    assert (primary["address"], primary["reachable"], primary["zones"]) == (address, True, 2)
    assert primary["messages"] > 5
    assert f'ddnsd_primary_up{{primary="{address}"}} 1.0' in metrics()
    assert f'ddnsd_primary_zones{{primary="{address}"}} 2.0' in metrics()
    with hung(service.named_pid()):
        wait_until(lambda: status()["primaries"][0]["reachable"] is False, 10, "hung")
        (primary,) = status()["primaries"]
        assert primary["last_error"] == f"{address} does not answer"
        assert primary["last_error_at"][:10] == status()["at"][:10]
        assert f'ddnsd_primary_up{{primary="{address}"}} 0.0' in metrics()
        assert f"{address} does not answer" in entered(service, "admin").open("/status").text
    wait_until(lambda: status()["primaries"][0]["reachable"] is True, 10, "answers")
    assert status()["primaries"][0]["last_error"] == f"{address} does not answer"
