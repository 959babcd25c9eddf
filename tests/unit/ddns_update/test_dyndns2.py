# SPDX-License-Identifier: GPL-3.0-or-later
"""The dyndns2 protocol, word by word, against a stand-in; the configuration decides, the answer teaches."""

import pytest
from support.clients.updater import HOST, IPV4, IPV6, SECRET, Machine
from support.servers.http_stub import Said, Web

BOTH = f"{IPV4},{IPV6}"


def test_both_families_go_in_one_request_and_once(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    server.says(f"good {BOTH}")

    ran = machine.run()
    assert (ran.status, ran.out, ran.err) == (0, f"{HOST}: updated: {IPV4} {IPV6}\n", "")
    (asked,) = server.taken()
    assert (asked.method, asked.path) == ("GET", "/nic/update")
    assert asked.query == {"hostname": HOST, "myip": BOTH}
    assert asked.basic == f"{HOST}:{SECRET}"
    assert asked.headers["user-agent"].startswith("fedcloud-ddns-update/")

    ran = machine.run()
    assert (ran.status, ran.out) == (0, f"{HOST}: current: {IPV4} {IPV6}\n")
    assert server.taken() == []


def test_only_a_change_is_sent(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    machine.run()
    server.taken()
    machine.addresses = ["192.0.2.8", IPV6]
    assert machine.run().out == f"{HOST}: updated: 192.0.2.8 {IPV6}\n"
    assert [asked.query["myip"] for asked in server.taken()] == [f"192.0.2.8,{IPV6}"]
    machine.run()
    assert server.taken() == []


def test_force_sends_what_has_not_changed(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    machine.run()
    server.says(f"nochg {BOTH}")
    assert machine.run("--force").out == f"{HOST}: updated: {IPV4} {IPV6}\n"
    assert len(server.taken()) == 2


def test_a_family_that_the_machine_has_lost_is_left_alone(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    machine.run()
    machine.addresses = [IPV4]
    server.taken()
    assert machine.run().out == f"{HOST}: current: {IPV4}\n"
    assert server.taken() == []
    assert machine.state[HOST]["published"] == {"ipv4": IPV4, "ipv6": IPV6}


@pytest.mark.parametrize(("options", "sent"), [({"ipv4": "no"}, IPV6), ({"ipv6": "no"}, IPV4)])
def test_a_family_can_be_switched_off(machine: Machine, server: Web, options: dict[str, str], sent: str) -> None:
    machine.configure(server.url, **options)
    machine.run()
    machine.run()
    assert [asked.query["myip"] for asked in server.taken()] == [sent]


def test_a_path_and_a_login_of_its_own(machine: Machine, server: Web) -> None:
    machine.configure(server.url + "/v3/update", login="key-7")
    machine.run()
    (asked,) = server.taken()
    assert (asked.path, asked.basic) == ("/v3/update", f"key-7:{SECRET}")


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ((200, "<html>Sign in to the hotel's network</html>"), "200: `<html>Sign in to the hotel's network</html>`"),
        ((200, ""), "200: ``"),
        ((200, "goodbye"), "200: `goodbye`"),
        ((200, "x" * 200), "200: `" + "x" * 80 + "`"),
        ((200, "a\x1b[31m\nb"), "200: `a [31m b`"),
        ((302, "https://elsewhere.example/"), "302: `https://elsewhere.example/`"),
        ((404, "Not Found"), "404: `Not Found`"),
        ((500, "good"), "500: `good`"),
        ((401, "<html>Proxy authentication</html>"), "401: `<html>Proxy authentication</html>`"),
        ((401, ""), "401: ``"),
        ((401, "badauthentication"), "401: `badauthentication`"),
        ((403, "<html>badauth</html>"), "403: `<html>badauth</html>`"),
    ],
)
def test_anything_else_is_an_error_that_says_what_came(
    machine: Machine, server: Web, answer: tuple[int, str], shown: str
) -> None:
    machine.configure(server.url, ipv6="no")
    server.says(answer)
    ran = machine.run()
    assert ran.status == 1
    assert ran.out.startswith(f"{HOST}: failed: the server answered HTTP {shown}; again after 2023-11-14 22:1")
    assert machine.run().out.startswith(f"{HOST}: waiting: until 2023-11-14 22:1")
    assert len(server.taken()) == 1


@pytest.mark.parametrize("answer", [(200, "911"), (503, "911"), (503, "Service Unavailable"), (500, "911")])
def test_911_waits_half_an_hour(machine: Machine, server: Web, answer: tuple[int, str]) -> None:
    machine.configure(server.url)
    server.says(answer)
    assert machine.run().status == 1
    machine.now += 29 * 60
    machine.addresses = ["192.0.2.9", IPV6]
    assert ": waiting: " in machine.run().out
    assert len(server.taken()) == 1
    machine.now += 7 * 60
    server.says("good")
    assert ": updated: " in machine.run().out


def test_the_server_published_another_address(machine: Machine, server: Web) -> None:
    machine.configure(server.url, ipv6="no")
    server.says("good 127.0.0.1")
    ran = machine.run()
    assert ran.status == 1
    assert f"the server answered `good 127.0.0.1` to {IPV4}" in ran.out


def test_a_provider_that_refuses_two_gets_them_one_by_one(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    server.answer = lambda asked: "dnserr" if "," in asked.query["myip"] else "good " + asked.query["myip"]
    assert machine.run().out == f"{HOST}: updated: {IPV4} {IPV6}\n"
    assert [asked.query["myip"] for asked in server.taken()] == [BOTH, IPV4, IPV6]
    machine.run()
    assert server.taken() == []
    machine.addresses = ["192.0.2.8", IPV6]
    machine.run()
    assert [asked.query["myip"] for asked in server.taken()] == ["192.0.2.8"]
    machine.run("--force")
    assert [asked.query["myip"] for asked in server.taken()] == ["192.0.2.8", IPV6]


def test_a_provider_that_takes_the_first_only_gets_the_other_too(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    server.answer = lambda asked: "good " + asked.query["myip"].partition(",")[0]
    assert machine.run().status == 0
    assert [asked.query["myip"] for asked in server.taken()] == [BOTH, IPV6]
    machine.run()
    assert server.taken() == []


def test_what_was_taken_is_not_sent_again_when_the_other_failed(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    server.answer = lambda asked: "good " + IPV4 if asked.query["myip"] == IPV4 else (400, "no IPv6 here")
    ran = machine.run()
    assert ran.status == 1
    assert "HTTP 400: `no IPv6 here`" in ran.out
    assert machine.state[HOST]["published"] == {"ipv4": IPV4}


def test_several_names_are_judged_one_by_one(machine: Machine, server: Web) -> None:
    machine.secret()
    names = [f"{label}.dyn.example.org" for label in ("bad", "down", "fine")]
    machine.config.write_text(
        f"[DEFAULT]\nserver = {server.url}\nsecret = {HOST}\n" + "".join(f"[{name}]\n" for name in names)
    )
    words: dict[str, Said | str] = dict(zip(names, ["nohost", (503, "911"), "good"], strict=True))
    server.answer = lambda asked: words[asked.query["hostname"]]
    ran = machine.run("--json")
    assert ran.status == 1
    assert [(n["name"], n["status"]) for n in ran.names] == list(
        zip(names, ["paused", "failed", "updated"], strict=True)
    )
    assert ran.names[2] == {
        "name": names[2],
        "provider": "dyndns2",
        "status": "updated",
        "published": {"ipv4": IPV4, "ipv6": IPV6},
        "message": f"{IPV4} {IPV6}",
    }
    assert machine.run(names[2]).out == f"{names[2]}: current: {IPV4} {IPV6}\n"
    assert machine.run(names[0]).status == 3


def test_an_unexpected_fault_of_one_name_is_one_line(machine: Machine, server: Web) -> None:
    machine.secret()
    machine.config.write_text(
        f"[DEFAULT]\nserver = {server.url}\nsecret = {HOST}\n[a.example.org]\nprovider = duckdns\n[b.example.org]\n"
    )

    def broken(*_: object) -> None:
        raise ZeroDivisionError(f"with {SECRET}")

    machine.updater.PROVIDERS["duckdns"]["send"] = broken
    ran = machine.run()
    assert ran.status == 1
    first, second = ran.out.splitlines()
    assert first.startswith("a.example.org: failed: ZeroDivisionError: with ***; please report this; again after ")
    assert second.startswith("b.example.org: updated: ")
