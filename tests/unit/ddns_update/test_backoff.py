# SPDX-License-Identifier: GPL-3.0-or-later
"""When something is sent again, on a clock that only the test moves."""

import pytest
from support.clients.updater import HOST, IPV4, IPV6, Machine
from support.ports import free_port
from support.servers.http_stub import Web, web

DAY = 24 * 3600


def test_a_day_without_a_change_sends_nothing(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    machine.run()
    assert [asked.path for asked in server.taken()] == ["/nic/update"]
    for _ in range(DAY // 300):
        machine.now += 300
        assert machine.run().out == f"{HOST}: current: {IPV4} {IPV6}\n"
    assert server.taken() == []
    machine.addresses = ["192.0.2.8", IPV6]
    machine.run()
    assert [asked.path for asked in server.taken()] == ["/nic/update"]


def test_a_day_behind_nat_asks_for_the_view_and_sends_no_update(machine: Machine, server: Web) -> None:
    machine.addresses = ["10.0.0.7"]
    server.answer = lambda asked: "198.51.100.7" if asked.path == "/myip" else "good"
    machine.configure(server.url)
    for _ in range(DAY // 300):
        machine.now += 300
        assert machine.run().status == 0
    paths = [asked.path for asked in server.taken()]
    assert paths.count("/nic/update") == 1
    assert set(paths) == {"/myip", "/nic/update"}
    assert not [asked for asked in server.asked if "authorization" in asked.headers and asked.path == "/myip"]


def test_failures_wait_from_a_minute_to_half_an_hour(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    server.says((500, "oops"))
    waits = []
    for _ in range(12):
        assert machine.run().status == 1
        waits.append(machine.waits())
        machine.now += waits[-1] - 1
        assert ": waiting: " in machine.run().out
        machine.now += 1
    for wait, longest in zip(waits, [120, 240, 480, 960, 1800, 1800, 1800, 1800], strict=False):
        assert longest / 2 <= wait <= longest + 1
    assert len(set(waits[4:])) > 1
    assert len(server.taken()) == 12 * 1

    server.says("good")
    assert machine.run().status == 0
    assert machine.state[HOST]["pauses"] == {}
    server.says((500, "oops"))
    machine.addresses = ["192.0.2.8"]
    machine.run()
    assert machine.waits() <= 121


def test_force_does_not_wait(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    server.says((503, "911"), "good")
    assert machine.run().status == 1
    assert machine.run().status == 1
    assert machine.run("--force").status == 0
    assert len(server.taken()) == 2


def test_an_unreachable_server_is_tried_again_when_the_network_changes(machine: Machine) -> None:
    port = free_port()
    machine.configure(f"http://127.0.0.1:{port}")
    ran = machine.run()
    assert ran.status == 1
    assert f"failed: cannot reach 127.0.0.1 port {port}: Connection refused; again after " in ran.out
    assert ": waiting: " in machine.run().out
    machine.gateway = "192.0.2.254"
    assert ": failed: " in machine.run().out
    assert ": waiting: " in machine.run().out
    machine.addresses = ["192.0.2.77"]
    assert ": failed: " in machine.run().out


def test_a_server_that_answered_is_left_alone_whatever_the_network_does(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    server.says((500, "oops"))
    machine.run()
    machine.addresses, machine.gateway = ["192.0.2.77"], "192.0.2.254"
    assert ": waiting: " in machine.run().out
    assert len(server.taken()) == 1


NONE = "no address; IPv4: interface: no address on this machine; IPv6: interface: no address on this machine"


def test_no_address_waits_until_the_network_changes(machine: Machine, server: Web) -> None:
    machine.configure(server.url, sources="interface")
    machine.addresses = []
    ran = machine.run()
    assert ran.status == 1
    assert ran.out.startswith(f"{HOST}: failed: {NONE}; again after 2023-11-14 22:1")
    ran = machine.run()
    assert (ran.status, ran.out.startswith(f"{HOST}: waiting: until 2023-11-14 22:1")) == (1, True)
    machine.addresses = ["192.0.2.7"]
    assert machine.run().out == f"{HOST}: updated: 192.0.2.7\n"
    assert machine.state[HOST]["searches"] == {}


def test_the_search_for_an_address_becomes_rarer(machine: Machine, server: Web) -> None:
    """As behind a router without a line: the server's view is asked for after a minute, and at last each half hour."""
    machine.addresses = ["10.0.0.7"]
    machine.configure(server.url)
    server.says((502, "no line"))
    waits = []
    for _ in range(8):
        assert ": failed: IPv4: auto: HTTP 502" in machine.run().out.replace("no address; ", "")
        waits.append(machine.waits(kind="searches"))
        machine.now += waits[-1] - 1
        assert ": waiting: " in machine.run().out
        machine.now += 1
    for wait, longest in zip(waits, [120, 240, 480, 960, 1800, 1800, 1800, 1800], strict=True):
        assert longest / 2 <= wait <= longest + 1
    assert [asked.path for asked in server.taken()] == ["/myip"] * 8
    server.answer = lambda asked: "198.51.100.7" if asked.path == "/myip" else "good"
    assert machine.run().out == f"{HOST}: updated: 198.51.100.7\n"


def test_an_address_that_comes_back_unchanged_is_not_sent(machine: Machine, server: Web) -> None:
    machine.configure(server.url, sources="interface")
    machine.run()
    machine.addresses, before = [], machine.addresses
    assert machine.run().status == 1
    machine.addresses = before
    server.taken()
    assert machine.run().out == f"{HOST}: current: {IPV4} {IPV6}\n"
    assert server.asked == []


def test_an_address_that_is_lost_after_a_pause_is_told(machine: Machine, server: Web) -> None:
    machine.configure(server.url, sources="interface")
    server.says((500, "oops"))
    machine.run()
    machine.now += machine.waits() + 1
    machine.addresses = []
    assert machine.run().out.startswith(f"{HOST}: failed: {NONE}; again after ")
    assert machine.run().out.startswith(f"{HOST}: waiting: until ")


def test_force_searches_at_once(machine: Machine, server: Web) -> None:
    machine.configure(server.url, sources="server", ipv6="no")
    server.says((502, "no line"))
    machine.run()
    server.answer = lambda asked: "198.51.100.7" if asked.path == "/myip" else "good"
    assert ": waiting: " in machine.run().out
    assert machine.run("--force").out == f"{HOST}: updated: 198.51.100.7\n"


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_a_family_whose_source_fails_does_not_hold_up_the_other(machine: Machine, family: str) -> None:
    with web() as server:
        server.answer = lambda asked: (500, "") if asked.path == "/myip" else "good"
        machine.addresses = ["2001:db8::7"] if family == "ipv4" else ["192.0.2.7"]
        machine.addresses += ["10.0.0.7"] if family == "ipv4" else []
        machine.configure(server.url)
        ran = machine.run()
        published = machine.state[HOST]["published"]
    if family == "ipv4":
        assert ran.status == 1
        assert ran.out.startswith(f"{HOST}: failed: IPv4: auto: HTTP 500 without an address: ``; again after ")
        assert published == {"ipv6": "2001:db8::7"}
    else:
        assert (ran.status, published) == (0, {"ipv4": "192.0.2.7"})
