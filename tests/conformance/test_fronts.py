# SPDX-License-Identifier: GPL-3.0-or-later
"""A front that writes ports, quotes, or nothing readable into X-Forwarded-For: its address is never a client's."""

import re
from collections.abc import Iterator

import pytest
import requests
from support.browser.portal import entered
from support.clients import raw_http
from support.clients.dyndns import GIVEN, Host, is_listed, new_label, refused, register, said
from support.clients.rest_api import Api
from support.ports import wait_until
from support.servers.service import Service, dev

CLIENT = "198.51.100.7"
READABLE = {
    f"{CLIENT}:4711": CLIENT,
    f'"{CLIENT}:4711"': CLIENT,
    f"203.0.113.9, {CLIENT}:80, 127.0.0.5:81": CLIENT,
    f" {CLIENT} ,": CLIENT,
    "[2001:db8::7]:4711": "2001:db8::7",
    '"[2001:db8::7]"': "2001:db8::7",
    "2001:db8::7%eth0": "2001:db8::7",
}
UNREADABLE = [
    "unknown",
    f"{CLIENT}, unknown",
    "_proxy",
    f"{CLIENT}:http",
    "unix:",
    f"for={CLIENT}",
    "[2001:db8::7",
    ",",
]


@pytest.fixture(scope="module")
def fronted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"trusted_proxies": "127.0.0.0/8", "rules": "on", "signin_failures": "3", "query_credentials": "on"}
    with dev(tmp_path_factory.mktemp("fronted"), **settings) as running:
        yield running


@pytest.fixture
def host(fronted: Service) -> Host:
    return register(fronted, fronted.admin_token)


def by(hop: str) -> dict[str, str]:
    """The header of a front."""
    return {"X-Forwarded-For": hop.strip()}


def seen(host: Host) -> object:
    """What the host's owner is told of its last request, and its counters."""
    row = host.row()
    page = Api(host.service, host.token).get(f"/hosts/{host.fqdn}/history")
    contact = Api(host.service, host.token).get(f"/hosts/{host.fqdn}/contact")
    return row, contact, [entry for entry in page["items"] if entry["kind"] != "register"]


@pytest.mark.parametrize("hop", READABLE)
def test_the_clients_address_is_read_in_every_form(fronted: Service, host: Host, hop: str) -> None:
    for word in ("good", "nochg"):
        said(host.update(headers=by(hop)), 200, f"{word} {READABLE[hop]}")
    said(fronted.get("/myip", headers=by(hop)), 200, READABLE[hop])
    fqdn = f"{new_label()}.{fronted.domain}"
    answer = fronted.get("/nic/register", host.token, params={"fqdn": fqdn}, headers=by(hop))
    assert READABLE[hop] in answer.json()["host"].values()


def test_several_header_lines_are_one_list(fronted: Service, host: Host) -> None:
    def lines(*hops: str) -> bytes:
        octets = raw_http.request("/nic/update", headers={"Authorization": raw_http.basic(*host.auth)})
        added = "".join(f"X-Forwarded-For: {hop}\r\n" for hop in hops).encode()
        return octets[:-2] + added + b"\r\n"

    said(raw_http.exchange(lines("203.0.113.9", f"{CLIENT}:80"), fronted.http_port), 200, f"good {CLIENT}")
    said(raw_http.exchange(lines("unknown", f"{CLIENT}:80", "127.0.0.3"), fronted.http_port), 200, f"nochg {CLIENT}")
    refused(raw_http.exchange(lines(CLIENT, "unknown"), fronted.http_port), 503, "911")


@pytest.mark.parametrize("hop", UNREADABLE)
def test_an_unreadable_hop_is_the_fronts_fault(fronted: Service, host: Host, hop: str) -> None:
    before = seen(host)
    for _ in range(5):
        refused(host.update(headers=by(hop)), 503, "911")
        refused(host.update(headers=by(hop), myip="", wildcard="ON"), 503, "911")
        refused(host.update("/nic/delete", headers=by(hop)), 503, "911")
        refused(fronted.get("/nic/update", host.token, params={"hostname": host.fqdn}, headers=by(hop)), 503, "911")
    assert (host.addresses(), seen(host)) == ([GIVEN], before)
    refused(fronted.get("/myip", headers=by(hop)), 503, "911")


@pytest.mark.parametrize("hop", UNREADABLE)
def test_an_address_that_the_client_sends_is_taken_all_the_same(fronted: Service, host: Host, hop: str) -> None:
    for word in ("good", "nochg"):
        said(host.update(headers=by(hop), myip="192.0.2.44"), 200, f"{word} 192.0.2.44")
    said(host.update("/nic/delete", headers=by(hop), myip="0.0.0.0"), 200, "deleted A")
    said(host.update(headers=by(hop), myip="2001:db8::44"), 200, "good 2001:db8::44")
    said(host.update(headers=by(hop), offline="YES"), 200, "good")
    assert host.addresses() == []


def test_what_is_wrong_with_the_request_is_said_first(fronted: Service, host: Host) -> None:
    hop = by("unknown")
    refused(fronted.get("/nic/update", headers=hop), 401, "badauth")
    refused(host.update(headers=hop, hostname="nodot"), 200, "notfqdn")
    refused(host.update(headers=hop, hostname="other.example.net"), 200, "nohost")
    refused(host.update(headers=hop, myip="zzz"), 200, "dnserr")
    fronted.cli("host", "block", host.fqdn)
    refused(host.update(headers=hop), 200, "abuse")


def test_registering_takes_no_address_of_the_front(fronted: Service, host: Host) -> None:
    fqdn = f"{new_label()}.{fronted.domain}"
    for _ in range(2):
        answer = fronted.get("/nic/register", host.token, params={"fqdn": fqdn}, headers=by("unknown"))
        assert (answer.status_code, answer.json()) == (503, {"status": "error", "message": "911"})
        assert not is_listed(fronted, host.token, fqdn)
    params = {"fqdn": fqdn, "ip": GIVEN}
    assert fronted.get("/nic/register", host.token, params=params, headers=by("unknown")).status_code == 200
    assert fronted.dig(fqdn) == [GIVEN]


def test_duck_dns(fronted: Service, host: Host) -> None:
    params = {"domains": host.name, "token": host.secret}
    said(fronted.get("/update", params=params, headers=by("unknown")), 200, "KO")
    assert host.addresses() == [GIVEN]
    said(fronted.get("/update", params=params | {"ip": "192.0.2.45"}, headers=by("unknown")), 200, "OK")
    said(fronted.get("/update", params=params, headers=by(f"{CLIENT}:1")), 200, "OK")
    assert host.addresses() == [CLIENT]


def test_a_token_for_some_networks_is_refused_from_nowhere(fronted: Service, host: Host) -> None:
    for network in ("198.51.100.0/24", "127.0.0.0/8"):
        added = fronted.cli("token", "add", "admin", "--name", new_label(), "--network", network)
        token, params = added.stdout.strip(), {"hostname": host.fqdn, "myip": "192.0.2.46"}
        refused(fronted.get("/nic/update", token, params=params, headers=by("unknown")), 401, "badauth")
        assert fronted.get("/api/hosts", token, headers=by("unknown")).status_code == 401
        inside = fronted.get("/api/hosts", token, headers=by(f"{CLIENT}:9")).status_code
        assert inside == (200 if network.startswith("198") else 401)


def test_the_fronts_own_clients_are_not_locked_out(fronted: Service, host: Host) -> None:
    """Wrong secrets of unknown clients are not counted for the address of the front."""
    for _ in range(10):
        refused(fronted.get("/nic/update", auth=(host.fqdn, "wrong"), headers=by("unknown")), 401, "badauth")
    said(host.update(myip=GIVEN), 200, f"nochg {GIVEN}")
    said(host.update(headers=by(CLIENT), myip=GIVEN), 200, f"nochg {GIVEN}")


def test_the_portal_goes_on_and_gives_no_host_the_address_of_the_front(fronted: Service) -> None:
    browser = entered(fronted, "admin")
    browser.headers = by("unknown")
    assert browser.open("/account").status == 200
    page, label = browser.open("/hosts/new"), new_label()
    assert "This browser's:" not in page.text
    refusal = browser.send(page, "/hosts/new", name=label, address="browser")
    assert (refusal.status, fronted.dig(f"{label}.{fronted.domain}")) == (422, [])
    assert not is_listed(fronted, fronted.admin_token, f"{label}.{fronted.domain}")
    browser.headers = by(f"{CLIENT}:4711")
    assert browser.send(browser.open("/hosts/new"), "/hosts/new", name=label, address="browser").status == 200
    assert fronted.dig(f"{label}.{fronted.domain}") == [CLIENT]


def test_the_api_goes_on(fronted: Service, host: Host) -> None:
    answer = fronted.request(
        "PATCH", f"/api/hosts/{host.fqdn}", host.token, json={"comment": "seen"}, headers=by("unknown")
    )
    assert (answer.status_code, answer.json()["comment"]) == (200, "seen")
    (entry,) = Api(fronted, host.token).get(f"/hosts/{host.fqdn}/history", limit="1")["items"]
    assert entry["source"] is None


def test_doctor_log_and_metric_name_the_front(tmp_path_factory: pytest.TempPathFactory) -> None:
    with dev(tmp_path_factory.mktemp("sick"), trusted_proxies="127.0.0.0/8") as service:
        assert "front" not in service.cli("doctor").stdout
        host = register(service, service.admin_token)
        said(host.update(headers=by("unknown"), myip=GIVEN), 200, f"nochg {GIVEN}")
        for _ in range(20):
            refused(host.update(headers=by("unknown")), 503, "911")

        def shown() -> str:
            return "".join(re.findall(r"^FAIL front .*$", service.cli("doctor", check=False).stdout, re.MULTILINE))

        wait_until(lambda: shown() != "", 15, "doctor knows")
        for part in ("front 127.0.0.1:", "'unknown'", "911", "X-Forwarded-For"):
            assert part in shown()
        assert service.cli("doctor", check=False).returncode == 1
        lines = [line for line in service.log.read_text().splitlines() if "client address not known" in line]
        assert len(lines) == 1
        assert "127.0.0.1" in lines[0]
        (count,) = re.findall(
            r"^ddnsd_unknown_client_addresses_total (\S+)$", service.get("/metrics").text, re.MULTILINE
        )
        assert float(count) == 21
        events = Api(service, service.admin_token).items("/events")
        assert [event["object"] for event in events if event["action"] == "front.unreadable"] == ["127.0.0.1"]


def test_no_answer_names_the_front(fronted: Service, host: Host) -> None:
    """Stands last: nothing above has published it."""
    answer: requests.Response = fronted.get("/api/hosts", fronted.admin_token, params={"limit": "1000"})
    assert "127.0.0" not in answer.text
