# SPDX-License-Identifier: GPL-3.0-or-later
"""Many zones on one BIND: its statistics channel saves questions, and hides nothing."""

import os
import signal
from collections.abc import Iterator

import dns.message
import dns.query
import dns.rcode
import dns.update
import pytest
import requests
from support.ports import ENDS_SECONDS, free_port, wait_until
from support.servers.http_stub import Web, web
from support.servers.many_zones import add_zones, all_watched, watched
from support.servers.service import DOMAIN, Service

from ddnsd.dns.bind.rndc import Rndc
from ddnsd.dns.tsig import TsigKey

ZONES = 60
PERIODS = 4
NOTICED_SECONDS = 40
"""The service promises 5 seconds at rest, and 30 under load: the machine of a test may be busy."""


def channel_of(service: Service) -> str:
    """The URL of the channel of the BIND that the service has started."""
    text = (service.dir / "bind" / "named.conf").read_text()
    port = text.partition("statistics-channels { inet 127.0.0.1 port ")[2].split()[0]
    return f"http://127.0.0.1:{port}/json/v1/zones"


class Many:
    """A service with many zones that reads the statistics channel of its BIND through a stand-in."""

    def __init__(self, service: Service, channel: Web) -> None:
        self.service, self.channel = service, channel
        self.rndc = Rndc(service.dir / "bind" / "rndc.conf")
        self.tell_the_truth()
        self.names = add_zones(service, ZONES, DOMAIN)

    def true_answer(self) -> str:
        return requests.get(channel_of(self.service), timeout=5).text

    def tell_the_truth(self) -> None:
        self.channel.answer = lambda _: self.true_answer()

    def change(self, zone: str, name: str, address: str) -> None:
        """Somebody else gives the name this address."""
        key = TsigKey.from_text((self.service.dir / "bind" / "keys" / f"{DOMAIN}.key").read_text()).dnspython
        message = dns.update.UpdateMessage(zone, keyring=key)
        message.replace(name, 60, "A", address)
        answer = dns.query.tcp(message, "127.0.0.1", port=self.service.dns_port, timeout=5)
        assert answer.rcode() == dns.rcode.NOERROR

    def prepare(self, zone: str) -> None:
        """Register a host, and wait until the monitor knows the new serial."""
        self.service.register(f"a.{zone}", ip="192.0.2.1")
        self.pass_periods(PERIODS)

    def is_repaired(self, zone: str) -> bool:
        """Whether a foreign change of the host is repaired within seconds."""
        fqdn = f"a.{zone}"
        self.change(zone, "a", "192.0.2.200")
        wait_until(lambda: self.service.dig(fqdn) == ["192.0.2.1"], NOTICED_SECONDS, "repaired")
        return True

    def messages(self) -> int:
        """How many messages the primary has answered."""
        found = [line for line in self.service.get("/metrics").text.splitlines() if "primary_messages_total{" in line]
        return int(float(found[0].split()[-1]))

    def reads(self) -> int:
        return len(self.channel.asked)

    def pass_periods(self, number: int) -> None:
        end = self.reads() + number
        wait_until(lambda: self.reads() >= end, ENDS_SECONDS, "the channel is read")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Many]:
    with web() as channel:
        service = Service(tmp_path_factory.mktemp("channel") / "service", free_port(), free_port())
        service.settings["DDNSD_STATISTICS"] = f"127.0.0.1:{service.dns_port}=127.0.0.1:{channel.port}"
        try:
            service.start()
            yield Many(service, channel)
        finally:
            service.stop()


@pytest.fixture
def many(running: Many) -> Many:
    running.tell_the_truth()
    wait_until(lambda: all_watched(running.service), NOTICED_SECONDS, "all zones watched")
    return running


def test_zones_that_have_not_changed_are_not_asked(many: Many) -> None:
    many.pass_periods(2)
    before = many.messages()
    many.pass_periods(PERIODS)
    with_channel = many.messages() - before
    assert 0 < with_channel < PERIODS * ZONES, "some zones are asked in turn"


def test_a_foreign_change_is_repaired(many: Many) -> None:
    zone = many.names[0]
    many.prepare(zone)
    assert many.is_repaired(zone)
    wait_until(lambda: all_watched(many.service), NOTICED_SECONDS, "all zones watched")


def test_a_channel_that_shows_old_serials_hides_nothing(many: Many) -> None:
    zone = many.names[5]
    many.prepare(zone)
    many.channel.says(many.true_answer())
    assert many.is_repaired(zone)


def test_a_frozen_zone_is_noticed(many: Many) -> None:
    zone = many.names[6]
    many.rndc("freeze", zone)
    wait_until(lambda: watched(many.service)[zone].startswith("frozen"), NOTICED_SECONDS, "noticed")
    many.rndc("thaw", zone)
    wait_until(lambda: watched(many.service)[zone] == "ok", NOTICED_SECONDS, "noticed")


def test_a_zone_that_the_primary_does_not_have_any_more_is_noticed(many: Many) -> None:
    zone = many.names[7]
    statement = many.rndc("showzone", zone)
    many.rndc("delzone", zone)
    wait_until(lambda: watched(many.service)[zone].startswith("refusing"), NOTICED_SECONDS, "noticed")
    many.rndc("addzone", zone, statement[statement.index("{") :].strip())
    wait_until(lambda: watched(many.service)[zone] == "ok", NOTICED_SECONDS, "noticed")


def test_a_primary_that_hangs_is_noticed_for_all_zones(many: Many) -> None:
    many.channel.says(many.true_answer())  # the stand-in still answers
    os.kill(many.service.named_pid(), signal.SIGSTOP)
    try:
        wait_until(
            lambda: all(state.startswith("unreachable") for state in watched(many.service).values()),
            NOTICED_SECONDS,
            "noticed",
        )
    finally:
        os.kill(many.service.named_pid(), signal.SIGCONT)
    wait_until(lambda: all_watched(many.service), NOTICED_SECONDS, "all zones watched")


def test_after_a_restart_of_bind_the_zones_are_compared(many: Many) -> None:
    """The file of a zone comes back with another address, and with the serial that it had."""
    zone, service = many.names[8], many.service
    many.prepare(zone)
    file = service.dir / "bind" / "zones" / f"{zone}.zone"
    many.rndc("sync", "-clean", zone)
    wait_until(lambda: "192.0.2.1" in file.read_text(), NOTICED_SECONDS, "written")
    pid = service.named_pid()
    os.kill(pid, signal.SIGSTOP)
    file.write_text(file.read_text().replace("192.0.2.1", "192.0.2.200"))
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: service.named_pid() != pid, NOTICED_SECONDS, "a new process")
    wait_until(lambda: service.dig(f"a.{zone}") == ["192.0.2.1"], NOTICED_SECONDS, "compared and repaired")
    wait_until(lambda: all_watched(service), NOTICED_SECONDS, "all zones watched")


def test_without_a_useful_answer_every_zone_is_asked(many: Many) -> None:
    """The last test: such a channel is not read again for a minute."""
    zone = many.names[9]
    many.prepare(zone)
    many.channel.says((404, "no JSON here"))
    many.pass_periods(1)
    assert many.is_repaired(zone)
    assert "statistics channel not used" in many.service.log.read_text()
