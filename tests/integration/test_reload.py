# SPDX-License-Identifier: GPL-3.0-or-later
"""SIGHUP: the service reads its settings again, and applies those that need no restart."""

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.clients.dyndns import Host, register
from support.ports import wait_until
from support.servers.service import FILE, Service, dev

from ddnsd.registry.quotas import DEFAULTS, Quota


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("reload")
    (folder / "ddnsd.toml").write_text("")
    with dev(folder / "service", config=str(folder / "ddnsd.toml")) as running:
        yield running


@pytest.fixture
def host(service: Service) -> Host:
    return register(service, service.admin_token)


def reload(service: Service, text: str) -> str:
    """Reload these settings; what the log then says."""
    begin = service.log.stat().st_size
    Path(service.settings["DDNSD_CONFIG"]).write_text(text)
    assert service.process is not None
    service.process.send_signal(signal.SIGHUP)

    def told() -> str:
        return service.log.read_bytes()[begin:].decode()

    wait_until(lambda: "reloaded" in told(), 10, "reloaded")
    return told()


def test_deny_lists_and_agents(service: Service, host: Host) -> None:
    agent = {"User-Agent": "BadBot/1.0"}
    assert host.update(myip="192.0.2.2", headers=agent).text == "good 192.0.2.2"
    said = reload(service, 'agent_deny = ["badbot"]\noffline = false\nprivate_addresses = false\n')
    assert "changed=DDNSD_PRIVATE_ADDRESSES,DDNSD_AGENT_DENY,DDNSD_OFFLINE" in said
    assert "badbot" not in said
    assert host.update(myip="192.0.2.2", headers=agent).text == "badagent"
    assert host.update(offline="YES").text == "!donator"
    assert host.update(myip="10.1.2.3").text == "dnserr"
    assert "changed=DDNSD_PRIVATE_ADDRESSES,DDNSD_AGENT_DENY,DDNSD_OFFLINE" in reload(service, "")
    assert host.update(myip="10.1.2.3", headers=agent).text == "good 10.1.2.3"
    reload(service, 'address_deny = ["203.0.113.0/24"]\n')
    assert host.update(myip="203.0.113.7").text == "abuse"


def test_rates(service: Service, host: Host) -> None:
    for _ in range(5):
        assert host.update(myip="192.0.2.1").text == "nochg 192.0.2.1"
    reload(service, "rules = true\nnochg_per_hour = 3\n")
    words = [host.update(myip="192.0.2.1").text for _ in range(5)]
    assert words[-1] == "abuse"
    reload(service, "")


def test_trusted_proxies(service: Service) -> None:
    forwarded = {"X-Forwarded-For": "192.0.2.99"}
    assert service.get("/myip", headers=forwarded).text == "127.0.0.1"
    reload(service, 'trusted_proxies = ["127.0.0.0/8"]\n')
    assert service.get("/myip", headers=forwarded).text == "192.0.2.99"
    reload(service, "")
    assert service.get("/myip", headers=forwarded).text == "127.0.0.1"


def test_log_level(service: Service, host: Host) -> None:
    assert "settings reloaded" in reload(service, "")
    begin = service.log.stat().st_size
    Path(service.settings["DDNSD_CONFIG"]).write_text('log_level = "error"\nagent_deny = ["x-bot"]\n')
    assert service.process is not None
    service.process.send_signal(signal.SIGHUP)
    denied = {"User-Agent": "x-bot"}
    wait_until(lambda: host.update(myip="192.0.2.1", headers=denied).text == "badagent", 10, "applied")
    assert service.log.stat().st_size == begin  # the line is below the new level
    assert "changed=DDNSD_AGENT_DENY,DDNSD_LOG_LEVEL" in reload(service, "")


def test_addresses_of_clients_in_the_log(service: Service) -> None:
    def failing() -> str:
        name = register(service, service.admin_token).fqdn
        begin = service.log.stat().st_size
        assert service.get("/nic/update", auth=(name, "wrong"), params={"hostname": name}).status_code == 401
        wait_until(lambda: service.log.stat().st_size > begin, 10, "a line in the log")
        return service.log.read_bytes()[begin:].decode()

    assert "kind=secret source=127.0.0.1 " in failing()
    reload(service, "log_addresses = false\n")
    try:
        line = failing()
        assert "kind=secret source=? " in line
        assert "127.0.0.1" not in line
    finally:
        reload(service, "")


def test_what_needs_a_restart(service: Service, host: Host) -> None:
    said = reload(service, 'ttl = 120\nmetrics_zones = 7\nnochg_per_hour = 50\ndatabase_url = "sqlite:////canary"\n')
    assert "settings reloaded" in said
    assert "changed=DDNSD_NOCHG_PER_HOUR" in said
    assert 'need a restart" changed=DDNSD_DATABASE_URL,DDNSD_METRICS_ZONES,DDNSD_TTL' in said
    assert "canary" not in said
    assert host.update(myip="192.0.2.3").text == "good 192.0.2.3"
    assert "need a restart" not in reload(service, "")


@pytest.mark.parametrize(
    "text", ['agent_deny = ["good-bot"]\nnochg_per_hour = "canary"\n', "agent_deny = [", 'canary_name = "canary"\n']
)
def test_a_mistake_changes_nothing(service: Service, host: Host, text: str) -> None:
    reload(service, 'agent_deny = ["bad-bot"]\n')
    said = reload(service, text)
    assert "settings not reloaded" in said
    assert "Traceback" not in said
    assert '"canary"' not in said
    assert host.update(myip="192.0.2.1", headers={"User-Agent": "bad-bot"}).text == "badagent"
    assert host.update(myip="192.0.2.4", headers={"User-Agent": "good-bot"}).text == "good 192.0.2.4"
    reload(service, "")


def test_updates_go_on(service: Service, host: Host) -> None:
    assert service.process is not None
    for number in range(40):
        service.process.send_signal(signal.SIGHUP)
        assert host.update(myip=f"192.0.2.{number + 10}").text == f"good 192.0.2.{number + 10}"


def hosts_limit(service: Service, token: str) -> int | None:
    limit: int | None = service.get("/api/users/me", token).json()["quotas"]["hosts_per_user"]["limit"]
    return limit


def test_quotas(service: Service) -> None:
    token = service.user("carol")
    assert hosts_limit(service, token) is None
    reload(service, "rules = true\nhosts_per_user = 7\n")
    assert hosts_limit(service, token) == 7
    reload(service, "rules = true\nhosts_per_user = 0\n")
    assert hosts_limit(service, token) is None
    reload(service, "rules = true\n")
    assert hosts_limit(service, token) == DEFAULTS[Quota.HOSTS]


def test_an_upgraded_installation_has_no_quotas_until_they_are_set(service: Service) -> None:
    """Its migration has left a row for each. A setting counts also if it is the default."""
    token = service.user("dave")
    with closing(sqlite3.connect(service.dir / FILE, timeout=10)) as store, store:
        store.executemany('INSERT INTO quotas (name, "limit") VALUES (?, 0)', [(quota.value,) for quota in Quota])
    reload(service, "rules = true\n")
    assert hosts_limit(service, token) is None
    assert "DDNSD_HOSTS_PER_USER=1000 DDNSD_TOKENS_PER_USER=100" in service.cli("doctor").stdout
    reload(service, "rules = true\nhosts_per_user = 1000\n")
    assert hosts_limit(service, token) == 1000
    shown = service.cli("doctor").stdout
    assert "DDNSD_TOKENS_PER_USER=100" in shown
    assert "DDNSD_HOSTS_PER_USER" not in shown
    reload(service, "rules = false\n")
    assert "quotas:" not in service.cli("doctor").stdout
