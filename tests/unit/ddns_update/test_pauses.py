# SPDX-License-Identifier: GPL-3.0-or-later
"""A provider refuses a name: it is tried again, less and less often, and at once when somebody acts."""

import pytest
from support.clients.updater import HOST, IPV4, IPV6, SECRET, Machine
from support.servers.http_stub import Asked, Said, Web

HOUR, DAY = 3600, 24 * 3600
WORDS = ["badauth", "nohost", "!yours", "notfqdn", "numhost", "abuse", "badagent", "!donator", "!active"]


def refused(machine: Machine, server: Web, word: str = "badauth") -> None:
    """One request was refused, and the name pauses."""
    server.says((200, word))
    ran = machine.run()
    assert (ran.status, ran.out.startswith(f"{HOST}: paused: {word}: ")) == (3, True)
    assert server.taken()


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("status", [200, 401, 403, 404])
def test_a_word_of_refusal_pauses_the_name_for_an_hour(machine: Machine, server: Web, word: str, status: int) -> None:
    machine.configure(server.url, ipv6="no")
    server.says((status, word))
    for _ in range(3):
        ran = machine.run()
        assert ran.status == 3
        assert ran.out.startswith(f"{HOST}: paused: {word}: ")
        assert "; nothing is sent until 2023-11-14 23:" in ran.out
        assert ran.out.endswith("; sooner after a boot, with another secret or section, or with --force\n")
    assert len(server.taken()) == 1
    machine.now += 59 * 60
    machine.addresses = ["192.0.2.9"]
    assert machine.run().status == 3
    assert server.taken() == []

    server.says("good")
    machine.now += 8 * 60
    assert machine.run().out == f"{HOST}: updated: 192.0.2.9\n"
    assert machine.state[HOST]["pauses"] == {}


def test_pauses_grow_from_an_hour_to_a_day(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    server.says("nohost")
    pauses = []
    for _ in range(9):
        assert machine.run().status == 3
        pauses.append(machine.waits())
        machine.now += pauses[-1] - 1
        assert machine.run().status == 3
        machine.now += 1
    assert len(server.taken()) == 9
    for seconds, hours in zip(pauses, [1, 2, 4, 8, 16], strict=False):
        assert hours * HOUR <= seconds <= hours * HOUR * 1.1 + 1
    for seconds in pauses[5:]:
        assert 0.9 * DAY <= seconds <= DAY
    assert len({seconds % HOUR for seconds in pauses}) > 1


def test_force_tries_at_once_and_pauses_begin_again_with_an_hour(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    refused(machine, server)
    machine.now += machine.waits()
    machine.run()
    assert machine.waits() > 1.9 * HOUR
    server.taken()
    for _ in range(3):
        assert machine.run("--force").status == 3
        assert machine.waits() < 1.2 * HOUR
    assert len(server.taken()) == 3
    server.says("good")
    assert machine.run("--force").status == 0
    assert machine.run().out == f"{HOST}: current: {IPV4} {IPV6}\n"


def test_a_boot_tries_at_once(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    refused(machine, server)
    for _ in range(2):
        machine.boot()
        assert machine.run().status == 3
        assert machine.run().status == 3
        assert len(server.taken()) == 1
    machine.boot()
    server.says("good")
    assert machine.run().status == 0


def test_another_secret_tries_at_once(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    refused(machine, server)
    server.says("good")
    machine.secret(text="another")
    assert machine.run().status == 0
    assert machine.run().status == 0
    assert [asked.basic for asked in server.taken()] == [f"{HOST}:another"]


def test_another_option_tries_at_once(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    refused(machine, server)
    server.says("good")
    machine.configure(server.url, login="someone")
    assert machine.run().status == 0


@pytest.mark.parametrize("status", [401, 403, 407, 451, 511])
def test_a_sign_in_page_is_an_outage(machine: Machine, server: Web, status: int) -> None:
    """Of a hotel or of a proxy: minutes later all is well."""
    machine.configure(server.url)
    server.says((status, "<html><body>badauth: sign in to go on</body></html>"), "good")
    assert machine.run().status == 1
    assert machine.waits() <= 121
    machine.now += 121
    assert machine.run().status == 0


def test_a_name_that_pauses_holds_up_no_other_and_no_other_provider(machine: Machine, server: Web) -> None:
    machine.secret()
    sections = ["bad.example.org", "bad.example.org at home", "good.example.org"]
    machine.config.write_text(
        f"[DEFAULT]\nserver = {server.url}\nsecret = {HOST}\n"
        + "".join(f"[{s}]\nlogin = {s.replace(' ', '-')}\n" for s in sections)
    )
    server.answer = lambda asked: "abuse" if asked.basic == f"bad.example.org:{SECRET}" else "good"
    assert [n["status"] for n in machine.run("--json").names] == ["paused", "updated", "updated"]
    machine.addresses = ["192.0.2.9"]
    server.taken()
    assert [n["status"] for n in machine.run("--json").names] == ["paused", "updated", "updated"]
    assert [asked.query["myip"] for asked in server.taken()] == ["192.0.2.9"] * 2
    assert machine.run("good.example.org").status == 0


@pytest.mark.parametrize("answer", ["badauth", "!donator", "numhost"])
def test_a_family_that_pauses_holds_up_no_other(machine: Machine, server: Web, answer: str) -> None:
    def says(asked: Asked) -> Said | str:
        both, six = "," in asked.query["myip"], ":" in asked.query["myip"]
        return "dnserr" if both and answer == "badauth" else answer if six else "good"

    server.answer = says
    machine.configure(server.url)
    ran = machine.run()
    assert ran.status == 3
    assert ran.out.startswith(f"{HOST}: paused: IPv6: {answer}: ")
    assert machine.state[HOST]["published"] == {"ipv4": IPV4}
    server.taken()
    for address in ("192.0.2.8", "192.0.2.9"):
        machine.addresses = [address, IPV6]
        for _ in range(2):
            assert machine.run().out.startswith(f"{HOST}: paused: IPv6: {answer}: ")
    assert [asked.query["myip"] for asked in server.taken()] == ["192.0.2.8", "192.0.2.9"]

    server.says("good")
    machine.now += machine.waits(family="ipv6")
    assert machine.run().out == f"{HOST}: updated: 192.0.2.9 {IPV6}\n"


@pytest.mark.parametrize("own", [IPV4, IPV6])
def test_a_machine_with_one_family_only_is_paused_and_not_failed(machine: Machine, server: Web, own: str) -> None:
    machine.addresses = [own]
    machine.configure(server.url, sources="interface")
    refused(machine, server)
    for _ in range(2):
        ran = machine.run()
        assert (ran.status, ran.out.startswith(f"{HOST}: paused: badauth: the login")) == (3, True)
    assert server.taken() == []


def test_after_an_outage_refusals_begin_with_an_hour(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    server.says((500, "oops"))
    for _ in range(5):
        machine.run()
        machine.now += machine.waits()
    server.says("nohost")
    machine.run()
    assert HOUR <= machine.waits() <= 1.1 * HOUR + 1
