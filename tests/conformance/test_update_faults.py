# SPDX-License-Identifier: GPL-3.0-or-later
"""§1, the last rows: `nochg`, `good`, and the name server or the store not working."""

import os
import signal
import time
from pathlib import Path

import pytest
from support.clients.dyndns import GIVEN, Host, counts, refused, register, said
from support.ports import in_time, wait_until
from support.servers.faults import hung, refusing
from support.servers.postgres import create_database, postgres, stop
from support.servers.service import Service, dev

NEW, NEWER, V6 = "192.0.2.33", "192.0.2.34", "2001:db8::33"
CONVERGED = 30.0


def becomes_nochg(host: Host, myip: str) -> None:
    """Soon DNS is known to hold that, and it does; until then the same request is `good` or `911`."""

    def known() -> bool:
        answer = host.update(myip=myip)
        assert (answer.status_code, answer.text) in ((200, f"good {myip}"), (200, f"nochg {myip}"), (503, "911"))
        return answer.text == f"nochg {myip}"

    wait_until(known, CONVERGED, f"nochg {myip}")
    for _ in range(10):
        assert host.addresses() == myip.split(",")
        time.sleep(0.05)


@pytest.fixture
def brittle(fragile: Service) -> Host:
    """A host of the service that loses its name server, and has got over the last loss."""
    host = register(fragile, fragile.admin_token, wildcard="true")
    becomes_nochg(host, GIVEN)
    return host


# ---- rows: nochg, good


def test_good_means_that_dns_has_it_at_once(host: Host) -> None:
    for number in range(100, 110):
        said(host.update(myip=f"192.0.2.{number}"), 200, f"good 192.0.2.{number}")
        assert host.addresses() == [f"192.0.2.{number}"]
        said(host.update(myip=f"192.0.2.{number}"), 200, f"nochg 192.0.2.{number}")


def test_good_is_durable(brittle: Host, fragile: Service) -> None:
    said(brittle.update(myip=f"{NEW},{V6}"), 200, f"good {NEW},{V6}")
    fragile.kill()
    fragile.start()
    assert brittle.addresses() == brittle.addresses("any") == [NEW, V6]
    becomes_nochg(brittle, f"{NEW},{V6}")


def test_nochg_and_badauth_at_once_while_the_name_server_hangs(brittle: Host, fragile: Service) -> None:
    assert brittle.update(myip=NEW).text == f"good {NEW}"
    becomes_nochg(brittle, NEW)
    with hung(fragile.named_pid()):
        for _ in range(3):
            with in_time():
                said(brittle.update(myip=NEW), 200, f"nochg {NEW}")
            with in_time():
                refused(fragile.get("/nic/update", auth=(brittle.fqdn, "wrong")), 401, "badauth")
            with in_time():
                refused(fragile.get("/nic/update"), 401, "badauth")
            with in_time():
                refused(brittle.update(myip="zzz"), 200, "dnserr")


def test_nochg_at_once_also_behind_a_change_that_waits(brittle: Host, fragile: Service) -> None:
    other = register(fragile, fragile.admin_token)
    with hung(fragile.named_pid()):
        refused(other.update(myip=NEW), 503, "911")
        with in_time():
            said(brittle.update(myip=GIVEN), 200, f"nochg {GIVEN}")
    wait_until(lambda: other.addresses() == [NEW], CONVERGED, "converged")


# ---- row: name server down, hung or refusing


def test_a_hung_name_server_is_911_within_3_s_and_the_wish_is_applied(service: Service, alice: str) -> None:
    host = register(service, alice, wildcard="true")
    with counts(host, server=1), hung(service.named_pid()), in_time():
        refused(host.update(myip=f"{NEW},{V6}"), 503, "911")
    wait_until(lambda: host.addresses() == host.addresses("any") == [NEW, V6], CONVERGED, "converged")
    becomes_nochg(host, f"{NEW},{V6}")
    assert host.row()["ipv4"] == NEW


def test_a_hung_name_server_is_911_for_bearer_and_opnsense_too(brittle: Host, fragile: Service) -> None:
    with hung(fragile.named_pid()):
        refused(brittle.bearer(myip=NEW), 503, "911")
        refused(brittle.update(headers={"User-Agent": "OPNsense-dyndns"}, myip=NEWER), 503, "911")
    wait_until(lambda: brittle.addresses() == [NEWER], CONVERGED, "converged to the last wish")


def test_the_same_wish_again_is_not_nochg_before_dns_has_it(brittle: Host, fragile: Service) -> None:
    with hung(fragile.named_pid()):
        for _ in range(3):
            refused(brittle.update(myip=NEW), 503, "911")
    wait_until(lambda: brittle.addresses() == [NEW], CONVERGED, "converged")
    assert brittle.row()["client_faults"] == 0


def test_the_last_of_several_wishes_wins(brittle: Host, fragile: Service) -> None:
    with hung(fragile.named_pid()):
        refused(brittle.update(myip=NEW), 503, "911")
        refused(brittle.update(myip=NEWER), 503, "911")
        refused(brittle.update(myip=GIVEN), 503, "911")  # DNS has this, but the two before may still run
    becomes_nochg(brittle, GIVEN)
    assert brittle.addresses("any") == [GIVEN]
    time.sleep(1)
    assert brittle.addresses() == brittle.addresses("any") == [GIVEN]


def test_a_hung_name_server_is_911_for_offline_and_deletion(brittle: Host, fragile: Service) -> None:
    with hung(fragile.named_pid()), in_time():
        refused(brittle.update(offline="YES"), 503, "911")
    wait_until(lambda: brittle.addresses() == brittle.addresses("any") == [], CONVERGED, "converged")
    assert brittle.update(myip=f"{NEW},{V6}").text == f"good {NEW},{V6}"
    with hung(fragile.named_pid()), in_time():
        refused(brittle.delete(myip="::"), 503, "911")
    wait_until(lambda: brittle.addresses() == [NEW], CONVERGED, "converged")


def test_a_hung_name_server_is_ko_for_duck_dns(brittle: Host, fragile: Service) -> None:
    params = {"domains": brittle.fqdn, "token": brittle.secret, "ip": NEW}
    with hung(fragile.named_pid()), in_time():
        refused(fragile.get("/update", params=params), 200, "KO")
    wait_until(lambda: brittle.addresses() == [NEW], CONVERGED, "converged")
    said(fragile.get("/update", params=params), 200, "OK")


def test_several_lines_while_the_name_server_hangs(brittle: Host, fragile: Service) -> None:
    other = register(fragile, fragile.admin_token, ip=NEW)
    becomes_nochg(other, NEW)
    with hung(fragile.named_pid()), in_time():
        said(brittle.bearer(hostname=f"{brittle.fqdn},{other.fqdn}", myip=NEW), 200, f"911\nnochg {NEW}")
    wait_until(lambda: brittle.addresses() == [NEW], CONVERGED, "converged")


def test_a_killed_name_server_is_911_or_good_and_converges(brittle: Host, fragile: Service) -> None:
    before = fragile.named_pid()
    os.kill(before, signal.SIGKILL)
    with in_time():
        answer = brittle.update(myip=NEW)
    assert (answer.status_code, answer.text) in ((503, "911"), (200, f"good {NEW}"))
    wait_until(lambda: fragile.named_pid() != before, CONVERGED, "started again")
    becomes_nochg(brittle, NEW)
    assert brittle.addresses("any") == [NEW]
    assert brittle.row()["client_faults"] == 0


def test_a_refusing_name_server_is_911_and_the_wish_is_applied(brittle: Host, fragile: Service) -> None:
    with counts(brittle, server=1), refusing(fragile, fragile.domain):
        with in_time():
            refused(brittle.update(myip=NEW), 503, "911")
        with in_time():
            refused(fragile.get("/nic/update", auth=(brittle.fqdn, "wrong")), 401, "badauth")
    wait_until(lambda: brittle.addresses() == [NEW], CONVERGED, "converged")
    becomes_nochg(brittle, NEW)


def test_a_wish_outlives_the_service(brittle: Host, fragile: Service) -> None:
    with hung(fragile.named_pid()):
        refused(brittle.update(myip=NEW), 503, "911")
        fragile.kill()
    fragile.start()
    wait_until(lambda: brittle.addresses() == [NEW], CONVERGED, "converged")
    becomes_nochg(brittle, NEW)


def test_nothing_is_left_to_reconcile(fragile: Service, brittle: Host) -> None:
    assert brittle.update(myip=NEW).status_code == 200
    for _ in range(2):
        checked = fragile.cli("reconcile", "--check", check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


# ---- row: store down


def test_the_store_down_is_911(tmp_path: Path) -> None:
    with (
        postgres() as server,
        dev(
            tmp_path / "service", database_url=create_database(server, "down"), rules="on", signin_failures="3"
        ) as service,
    ):
        one, two = (register(service, service.admin_token) for _ in range(2))
        for _ in range(3):
            refused(service.get("/nic/update", auth=(one.fqdn, "wrong")), 401, "badauth")
        stop(server)
        for _ in range(2):
            with in_time():
                refused(two.update(myip=NEW), 503, "911")
            with in_time():
                refused(two.bearer(myip=NEW), 503, "911")
            with in_time():
                refused(two.delete(myip="0.0.0.0"), 503, "911")
            with in_time():  # its secret is right, although others failed before
                refused(one.update(myip=NEW), 503, "911")
            with in_time():
                refused(service.get("/nic/update"), 401, "badauth")
            assert two.addresses() == [GIVEN]
        assert service.get("/healthz").status_code == 200
        assert service.get("/readyz").status_code == 503
        assert "store" in service.get("/readyz").text
        registering = service.get("/nic/register", service.admin_token, params={"fqdn": "x.dyn.example.org", "ip": NEW})
        assert registering.status_code >= 500
        assert registering.json()["status"] == "error"
        assert service.dig("x.dyn.example.org") == []
