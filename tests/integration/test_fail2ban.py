# SPDX-License-Identifier: GPL-3.0-or-later
"""Failed sign-ins: what the log and the metrics say, and what the filters for fail2ban read."""

import re
import subprocess
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
from support.browser.portal import Browser, password_of
from support.servers.service import Service, dev

EXAMPLES = Path(__file__).parents[2] / "examples" / "fail2ban"
TYPED = "Tr0ub4dor&3-typed-as-a-name"
WRONG = "a-wrong-password-of-alice"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"trusted_proxies": "127.0.0.0/8", "rules": "on", "signin_failures": "3"}
    with dev(tmp_path_factory.mktemp("failing"), **settings) as running:
        running.user("alice")
        yield running


def sign_in(service: Service, name: str, password: str, source: str) -> int:
    """The status of a sign-in from that address."""
    browser = Browser(service, headers={"X-Forwarded-For": source})
    return browser.send(browser.open("/login"), "/login", name=name, password=password).status


def update(service: Service, name: str, secret: str, source: str) -> str:
    """The answer to an update from that address."""
    headers = {"X-Forwarded-For": source}
    return service.get("/nic/update", params={"hostname": name}, auth=(name, secret), headers=headers).text


def matched(text: str, name: str, tmp_path: Path) -> list[str]:
    """The lines of a log that a filter matches."""
    log = tmp_path / "log"
    log.write_text(text)
    command: list[str | Path] = ["fail2ban-regex", "--print-all-matched", log, EXAMPLES / "filter.d" / f"{name}.conf"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    matches = done.stdout.partition("|- Matched line(s):\n")[2].partition("\n`-")[0]
    return [line.removeprefix("|").strip() for line in matches.splitlines()]


def sources(lines: list[str]) -> list[str]:
    return [line.partition(" source=")[2].partition(" ")[0] for line in lines]


def failures(service: Service, kind: str) -> float:
    """The counter of the metrics."""
    found = re.search(rf'^ddnsd_failed_sign_ins_total{{kind="{kind}"}} (\S+)$', service.get("/metrics").text, re.M)
    assert found, kind
    return float(found[1])


def test_the_filters_read_the_log(service: Service, tmp_path: Path) -> None:
    service.register("here")
    begin = service.log.stat().st_size
    before = {kind: failures(service, kind) for kind in ("password", "locked", "secret", "token")}
    assert [sign_in(service, "alice", WRONG, "192.0.2.1") for _ in range(4)] == [403, 403, 403, 429]
    assert sign_in(service, TYPED, WRONG, "2001:db8::1") == 403
    assert sign_in(service, "admin", password_of(service, "admin"), "192.0.2.9") == 200
    for name in ("here.dyn.example.org", "nobody.dyn.example.org", "nothing.dyn.example.org"):
        for _ in range(2):
            assert update(service, name, WRONG, "192.0.2.3") == "badauth"
    assert service.get("/api/hosts", f"ddns_{WRONG}").status_code == 401

    text = service.log.read_bytes()[begin:].decode()
    people, machines = matched(text, "ddnsd", tmp_path), matched(text, "ddnsd-update", tmp_path)
    assert sources(people) == ["192.0.2.1", "2001:db8::1"]
    assert sources(machines) == ["192.0.2.3", "192.0.2.3", "127.0.0.1"]
    assert [line.rpartition(" user=")[2] for line in people + machines] == [
        "alice",
        "?",
        "here.dyn.example.org",
        "?",
        "?",
    ]
    for secret in (TYPED, WRONG, TYPED.lower(), "nobody.dyn", "nothing.dyn"):
        assert secret not in text
    grown = {kind: failures(service, kind) - count for kind, count in before.items()}
    assert grown == {"password": 4, "locked": 1, "secret": 6, "token": 1}


def test_lines_of_a_journal_and_forged_lines(tmp_path: Path) -> None:
    line = (
        'timestamp=2026-11-30T07:30:00.123456Z level=warning event="failed sign-in" kind=password source={} user=alice'
    )
    journal = f"Nov 30 07:30:00 box ddnsd[123]: {line.format('192.0.2.5')}"
    forged = [
        f"timestamp=2026-11-30T07:30:00Z level=info event=x reason='{line.format('192.0.2.6')}'",
        f"Nov 30 07:30:00 box other[123]: {line.format('192.0.2.7')}",
        line.format("host.example.org"),
    ]
    passkey = line.format("192.0.2.8").replace("kind=password", "kind=passkey")
    found = matched("\n".join([line.format("192.0.2.4"), journal, passkey, *forged]), "ddnsd", tmp_path)
    assert sources(found) == ["192.0.2.4", "192.0.2.5", "192.0.2.8"]
    assert matched(journal, "ddnsd-update", tmp_path) == []


def test_the_jail_of_machines_is_off() -> None:
    jails = ConfigParser()
    jails.read(EXAMPLES / "jail.d" / "ddnsd.conf")
    assert {name: jails[name].getboolean("enabled") for name in jails.sections()} == {
        "ddnsd": True,
        "ddnsd-update": False,
    }
    for name in jails.sections():
        assert (EXAMPLES / "filter.d" / f"{jails[name]['filter']}.conf").exists()


def test_fail2ban_accepts_the_jails(tmp_path: Path) -> None:
    """Its own check, with Debian's configuration and ours."""
    folder = tmp_path / "fail2ban"
    subprocess.run(["cp", "-r", "/etc/fail2ban", folder], check=True)
    (folder / "jail.d" / "defaults-debian.conf").unlink(missing_ok=True)
    subprocess.run(["cp", "-r", *EXAMPLES.iterdir(), folder], check=True)
    done = subprocess.run(["fail2ban-client", "-c", folder, "-d"], check=True, capture_output=True, text=True)
    assert "['add', 'ddnsd', 'systemd']" in done.stdout
    assert "ddnsd-update" not in done.stdout
