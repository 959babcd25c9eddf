# SPDX-License-Identifier: GPL-3.0-or-later
"""What the status says of name servers that answer, and of those that do not."""

from pathlib import Path

from support.ports import free_port, wait_until
from support.servers.faults import hung
from support.servers.service import Service


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
