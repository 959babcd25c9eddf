# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent although no address has changed: after a boot, in time, and when DNS says something else."""

from pathlib import Path

import dns.rcode
import pytest
from support.clients.updater import HOST, IPV4, IPV6, Machine
from support.servers.http_stub import Web
from support.servers.resolver import ask, resolver

HOUR, DAY = 3600, 24 * 3600
BOTH = [IPV4, IPV6]


def days(machine: Machine, server: Web, number: float, every: int = 4 * HOUR) -> list[float]:
    """After how many days, each counted from the one before, an update was sent in this time."""
    sent, last = [], machine.now
    server.taken()
    for _ in range(int(number * DAY) // every):
        machine.now += every
        assert machine.run().status == 0
        for asked in server.taken():
            assert asked.path == "/nic/update"
            sent.append((machine.now - last) / DAY)
            last = machine.now
    return sent


# ---- boots


def test_each_boot_sends_once(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    machine.run()
    for _ in range(3):
        machine.boot()
        server.taken()
        assert machine.run().out == f"{HOST}: updated: {IPV4} {IPV6}\n"
        assert machine.run().out == f"{HOST}: current: {IPV4} {IPV6}\n"
        assert [asked.query["myip"] for asked in server.taken()] == [f"{IPV4},{IPV6}"]


def test_a_boot_whose_first_try_failed_sends_again(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    machine.run()
    machine.boot()
    server.says((503, "911"), "good")
    assert machine.run().status == 1
    machine.now += 36 * 60
    assert machine.run().out == f"{HOST}: updated: {IPV4} {IPV6}\n"


def test_each_boot_sends_each_family_once_where_they_go_one_by_one(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    server.answer = lambda asked: "dnserr" if "," in asked.query["myip"] else "good " + asked.query["myip"]
    machine.run()
    machine.boot()
    server.taken()
    for _ in range(3):
        assert machine.run().status == 0
    assert [asked.query["myip"] for asked in server.taken()] == BOTH


# ---- refresh


def test_by_default_it_is_sent_after_25_days(machine: Machine, server: Web) -> None:
    """If its own moment was near at the first time, half an interval was added, and the second comes at the moment."""
    machine.configure(server.url)
    machine.run()
    first, second, *others = days(machine, server, 25.5 * 4, every=12 * HOUR)
    assert 2.5 <= first <= 25.5
    assert 24.5 <= second <= 25.5 or (first <= 15.5 and 12 <= second <= 13)
    assert len(others) >= 1
    assert all(24.5 <= sent <= 25.5 for sent in others)


@pytest.mark.parametrize(("refresh", "longest"), [("1d", 1), ("12h", 0.5), ("90m", 1.5 / 24), ("7d", 7)])
def test_refresh_says_when(machine: Machine, server: Web, refresh: str, longest: float) -> None:
    machine.configure(server.url, refresh=refresh)
    machine.run()
    every = int(longest * DAY / 30)
    first, *others = days(machine, server, 3.5 * longest, every)
    assert 0.1 * longest <= first <= longest + every / DAY
    assert len(others) >= 2
    assert all(0.9 * longest <= after <= longest + every / DAY for after in others[1:])


def test_changes_of_the_address_do_not_add_up_to_abuse(machine: Machine, server: Web) -> None:
    """An address that changes each hour is sent for each change, and never unchanged."""
    machine.configure(server.url, refresh="1d", ipv6="no")
    for number in range(1, 200):
        machine.addresses = [f"192.0.2.{number}"]
        machine.run()
        machine.now += HOUR
    assert len({asked.query["myip"] for asked in server.asked}) == 199
    assert len(server.asked) <= 199 + 9


def test_a_fleet_does_not_send_at_one_time(tmp_path: Path, server: Web) -> None:
    due = set()
    for number in range(20):
        machine = Machine(tmp_path / str(number))
        machine.configure(server.url, refresh="1d")
        machine.run()
        due.add(machine.state[HOST]["sent"]["ipv4"]["for"] // 60)
    assert len(due) > 10
    assert max(due) - min(due) > 8 * 60, "over the whole interval, although all of them have booted together"


@pytest.mark.parametrize("wrong", ["0d", "1", "d", "1w", "4m", "366d", "-1d", "1.5d", "never"])
def test_what_refresh_does_not_take(machine: Machine, server: Web, wrong: str) -> None:
    machine.configure(server.url, refresh=wrong)
    ran = machine.run()
    assert ran.status == 2
    assert f"[{HOST}]: refresh: must be a number and m, h or d, from 5m to 365d" in ran.err
    assert server.asked == []


# ---- DNS


@pytest.mark.parametrize("foreign", [["198.51.100.9", IPV6], [IPV4, "2001:db8::bad"], ["198.51.100.9"], [IPV4], []])
def test_a_record_that_somebody_changed_is_put_right_within_a_day(
    machine: Machine, server: Web, foreign: list[str]
) -> None:
    machine.configure(server.url, refresh="365d")
    with resolver(machine) as dns_server:
        dns_server.known[HOST] = BOTH
        server.answer = lambda asked: dns_server.known.update({HOST: BOTH}) or "good"
        machine.run()
        assert days(machine, server, 3) == []
        for _ in range(2):
            dns_server.known[HOST] = foreign
            (after,) = days(machine, server, 3)
            assert after <= 1 + 5 / 24


def test_a_name_that_is_gone_is_sent(machine: Machine, server: Web) -> None:
    machine.configure(server.url, refresh="365d")
    with resolver(machine) as dns_server:
        server.answer = lambda asked: dns_server.known.update({HOST: BOTH}) or "good"
        machine.run()
        dns_server.known.clear()
        assert len(days(machine, server, 5)) == 1


def test_dns_is_asked_once_a_day(machine: Machine, server: Web) -> None:
    machine.configure(server.url, refresh="365d")
    with resolver(machine) as dns_server:
        dns_server.known[HOST] = BOTH
        machine.run()
        assert dns_server.asked == []
        assert days(machine, server, 5, every=HOUR) == []
        assert dns_server.asked == [f"{HOST} A", f"{HOST} AAAA"] * 4


@pytest.mark.parametrize("says", [[], ["10.0.0.7", "fd00::7"]])
def test_a_resolver_that_is_wrong_for_ever_is_believed_once(machine: Machine, server: Web, says: list[str]) -> None:
    """As the one of a split horizon: the provider says `nochg`, so it has nothing to put right."""
    machine.configure(server.url)
    server.says("nochg")
    with resolver(machine) as dns_server:
        if says:
            dns_server.known[HOST] = says
        machine.run()
        sent = days(machine, server, 60)
    assert len(sent) <= 60 // 22 * 2 + 1
    assert sent[0] <= 1 + 5 / 24
    # after the first one `refresh` alone decides; if the name's own moment was near then, half an interval was added
    assert sent[2] > 20 or (12 <= sent[1] <= 15.5 and 12 <= sent[2] <= 13)
    assert all(after > 20 for after in sent[3:])


def test_a_resolver_that_is_wrong_is_believed_less_and_less_where_no_provider_tells(
    machine: Machine, server: Web
) -> None:
    machine.configure(server.url)
    with resolver(machine):
        machine.run()
        sent = days(machine, server, 25)
    assert len(sent) <= 6


def test_the_zone_s_own_servers_have_the_last_word(machine: Machine, server: Web) -> None:
    """A resolver that has an old record, or one of its own network, sends nobody to the provider."""
    machine.configure(server.url, refresh="365d")
    with resolver(machine) as dns_server:
        dns_server.servers["dyn.example.org"] = ["ns1.example.net", "ns2.example.net"]
        dns_server.known |= {"ns2.example.net": ["127.0.0.1"], HOST: ["10.0.0.7", "fd00::7"]}
        dns_server.own[HOST] = BOTH
        machine.run()
        assert days(machine, server, 5) == []
        assert set(dns_server.zones) == {f"{HOST} NS", "dyn.example.org NS"}
        dns_server.own[HOST] = ["198.51.100.9", IPV6]
        assert len(days(machine, server, 1.5)) == 1


def test_own_servers_that_do_not_answer_for_the_zone_leave_it_to_the_resolver(machine: Machine, server: Web) -> None:
    machine.configure(server.url, refresh="365d")
    with resolver(machine) as dns_server:
        dns_server.servers["dyn.example.org"] = ["ns1.example.net"]
        dns_server.known |= {"ns1.example.net": ["127.0.0.1"], HOST: ["198.51.100.9"]}
        machine.run()
        assert len(days(machine, server, 1.5)) == 1


@pytest.mark.parametrize("rcode", [None, dns.rcode.SERVFAIL, dns.rcode.REFUSED])
def test_a_resolver_that_does_not_answer_changes_nothing(
    machine: Machine, server: Web, rcode: dns.rcode.Rcode | None
) -> None:
    machine.configure(server.url, refresh="365d")
    with resolver(machine) as dns_server:
        dns_server.otherwise = rcode
        machine.run()
        machine.now += 25 * HOUR
        for _ in range(3):
            assert machine.run().out == f"{HOST}: current: {IPV4} {IPV6}\n"
        assert dns_server.asked == [f"{HOST} A"]
        dns_server.known[HOST] = ["198.51.100.9"]
        machine.now += HOUR
        server.taken()
        assert machine.run().out == f"{HOST}: updated: {IPV4} {IPV6}\n"
        assert len(server.taken()) == 1


def test_the_second_resolver_is_asked_when_the_first_is_silent(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    with resolver(machine) as dns_server:
        (machine.folder / "resolv.conf").write_text("nameserver 127.0.0.2\nnameserver 127.0.0.1\n")
        machine.run()
        machine.now += 25 * HOUR
        assert machine.run().out == f"{HOST}: updated: {IPV4} {IPV6}\n"
        assert dns_server.asked == [f"{HOST} A", f"{HOST} AAAA"]


def test_systemd_resolved_is_passed_by(machine: Machine, server: Web) -> None:
    """It answers the machine's own name with what is in /etc/hosts or on its interfaces."""
    (machine.folder / "uplinks").write_text("nameserver 192.0.2.53\nnameserver 2001:db8::53\n")
    for text, asked in (
        ("nameserver 127.0.0.53\noptions edns0\n", ["192.0.2.53", "2001:db8::53"]),
        (
            "nameserver 192.0.2.1\n#nameserver 192.0.2.2\n nameserver 192.0.2.3\nnameserver fe80::1%eth0\n",
            ["192.0.2.1", "fe80::1%eth0"],
        ),
        ("", []),
    ):
        machine.updater.UPLINKS = str(machine.folder / "uplinks")
        (machine.folder / "resolv.conf").write_text(text)
        assert machine.updater.resolvers() == asked
        machine.updater.UPLINKS = str(machine.folder / "none")
        if "127.0.0.53" in text:
            assert machine.updater.resolvers() == ["127.0.0.53"]


@pytest.mark.parametrize("garbage", [b"", b"x", b"\0\0\0\1", b"\xff" * 512])
def test_an_answer_that_is_no_dns_message_counts_as_none(machine: Machine, garbage: bytes) -> None:
    ask(machine, 1)
    machine.updater.exchange = lambda *_: b"\0\0\x81\x80" + garbage
    assert machine.updater.records(HOST, "ipv4") is None
