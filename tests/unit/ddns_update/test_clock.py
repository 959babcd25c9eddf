# SPDX-License-Identifier: GPL-3.0-or-later
"""A clock on the wall that is wrong: no wait is longer than it should be."""

import argparse

import pytest
from support.clients.updater import HOST, IPV4, IPV6, Machine, apart
from support.servers.http_stub import Web

HOUR, DAY = 3600, 24 * 3600
YEARS = 10 * 365 * DAY


@pytest.mark.parametrize("answer", [(500, "oops"), (503, "911"), (200, "nohost")])
@pytest.mark.parametrize("ahead", [5 * HOUR, YEARS])
def test_a_clock_that_was_ahead_at_boot_lengthens_no_wait(
    machine: Machine, server: Web, answer: tuple[int, str], ahead: int
) -> None:
    machine.configure(server.url)
    machine.ahead = ahead
    server.says(answer, "good")
    machine.run()
    first = machine.waits()
    machine.ahead = 0
    assert machine.waits() == first
    assert machine.updater.next_due(str(machine.state_file.parent), machine.moment) == first
    machine.now += first - 1
    assert machine.run().status != 0
    machine.now += 1
    assert machine.run().status == 0


def test_the_end_that_is_shown_is_that_of_the_clock_now(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    machine.ahead = YEARS
    server.says("nohost")
    assert "until 2033-11-" in machine.run().out
    machine.ahead = 0
    assert "until 2023-11-14 23:" in machine.run().out


def test_a_clock_that_was_ahead_delays_no_refresh(machine: Machine, server: Web) -> None:
    machine.ahead = YEARS
    machine.configure(server.url, refresh="1d")
    machine.run()
    machine.ahead = 0
    assert machine.run().out == f"{HOST}: current: {IPV4} {IPV6}\n"
    machine.now += DAY
    assert machine.run().out == f"{HOST}: updated: {IPV4} {IPV6}\n"


def test_a_clock_that_was_behind_ends_waits_and_nothing_else(machine: Machine, server: Web) -> None:
    """As without a battery: it begins in 1970, and is set when the network is there."""
    machine.ahead = -machine.now
    machine.configure(server.url)
    server.says((500, "oops"), "good")
    machine.run()
    machine.ahead = 0
    assert machine.run().status == 0
    assert machine.run().out == f"{HOST}: current: {IPV4} {IPV6}\n"


def test_where_the_kernel_tells_no_boot_id(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in some sandboxes: the seconds since the boot begin anew, which tells it as well."""
    monkeypatch.setattr(machine.updater, "BOOT_ID", "/nowhere")
    moment = machine.updater.this_moment()
    assert moment.boot == ""
    wait = machine.updater.wait_from(moment, DAY)
    assert machine.updater.remaining(wait, moment) > DAY - 2
    assert machine.updater.remaining(wait, moment._replace(up=moment.up / 2 - 1, at=moment.at + 60)) == 0


def test_the_kernel_s_moment(machine: Machine) -> None:
    first, second = machine.updater.this_moment(), machine.updater.this_moment()
    assert first.boot == second.boot != ""
    assert first.up <= second.up


@pytest.mark.parametrize(("status", "longest"), [(1, 300), (0, HOUR), (3, HOUR)])
def test_watch_tries_again_in_minutes_what_failed_without_a_pause(
    machine: Machine, server: Web, monkeypatch: pytest.MonkeyPatch, status: int, longest: int
) -> None:
    """A source that does not answer, or a full disk: the state tells only when to send again in any case."""
    machine.configure(server.url)
    machine.run()
    waits: list[float] = []

    def wait(*_: object) -> None:
        waits.append(float(str(_[3])))
        raise SystemExit

    monkeypatch.setattr("select.select", wait)
    monkeypatch.setattr(machine.updater, "next_due", lambda *_: 25.0 * DAY)
    arguments = argparse.Namespace(state=str(machine.state_file.parent))
    with pytest.raises(SystemExit):
        machine.updater.watch(arguments, lambda: status, lambda: machine.moment)
    assert len(waits) == 1
    assert waits[0] == longest


WATCH = """
import argparse, json, os, tempfile, threading, time
from support.clients.updater import load
from support.servers.http_stub import web
u = load()
u.machine_addresses = lambda: [u.Own("192.0.2.7", "ipv4", 2, u.PERMANENT, 0)]
u.os.urandom = lambda size: bytes(size)  # the shortest wait: 61 seconds
folder = tempfile.mkdtemp()
answers = [(500, "oops"), (200, "good")]
ran, ready = [], threading.Semaphore(0)

def clock():
    real = u.this_moment()
    ahead = 5 * 3600 if not ran else 0  # it was ahead at the first run, and is set right thereafter
    return real._replace(at=real.at + ahead, up=real.up - (60 if not ran else 0))

with web(lambda _: answers.pop(0)) as server:
    with open(folder + "/secret", "w") as file:
        file.write("s")
    with open(folder + "/conf", "w") as file:
        file.write(f"[vm.example.org]\\nserver = {server.url}\\nsources = interface\\nipv6 = no\\n"
                   f"secret_file = {folder}/secret\\n")

    def execute():
        status = u.main(["run", "--json", "--config", folder + "/conf", "--state", folder + "/state"], clock)
        ran.append(status)
        ready.release()
        if len(ran) == 2:
            raise SystemExit
        return status

    u.say = lambda line: None
    threading.Thread(target=u.watch, args=(argparse.Namespace(state=folder + "/state"), execute), daemon=True).start()
    for _ in range(2):
        if not ready.acquire(timeout=30):
            break
print(json.dumps(ran))
"""


def test_watch_tries_again_when_the_wait_is_over_by_the_kernel_s_clock() -> None:
    """The first run fails a minute ago, by a clock that is five hours ahead: a second of the wait is left."""
    assert apart(WATCH) == [1, 0]
