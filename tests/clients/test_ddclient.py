# SPDX-License-Identifier: GPL-3.0-or-later
"""ddclient 3.10: HTTP/1.1, waits for the server to close, reads the first word of each line, drops every non-2xx."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clients.programs import DENIED, Host, Outcome, becomes, hung_name_server, private_file

Ddclient = Callable[..., Outcome]


@pytest.fixture
def ddclient(tmp_path: Path, run: Callable[..., Outcome], host: Host) -> Ddclient:
    """Runs ddclient once: `ddclient("-force", use="ip", ip="192.0.2.1")`; `names` and credentials are the host's."""

    def once(
        *options: str, names: str = host.fqdn, login: str = host.fqdn, secret: str = host.secret, **source: str
    ) -> Outcome:
        lines = ["ssl=no", "syslog=no", "min-interval=1", "min-error-interval=1"]
        lines += [f"{name}={value}" for name, value in source.items()]
        lines += ["protocol=dyndns2", f"server={host.server}", f"login={login}", f"password='{secret}'", names]
        conf = private_file(tmp_path / "ddclient.conf", "\n".join(lines) + "\n")
        return run(
            "ddclient",
            "-daemon=0",
            "-foreground",
            "-verbose",
            "-noquiet",
            *options,
            "-file",
            conf,
            "-cache",
            tmp_path / "ddclient.cache",
        )

    return once


@pytest.fixture
def cached(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """What ddclient remembers of a name between its runs."""

    def entry(name: str) -> dict[str, str]:
        line = re.search(rf"^(\S+) {re.escape(name)}$", (tmp_path / "ddclient.cache").read_text(), re.M)
        assert line, f"ddclient knows nothing of {name}"
        return dict(pair.split("=", 1) for pair in line[1].split(","))

    return entry


def test_changes_then_rests(ddclient: Ddclient, cached: Callable[[str], dict[str, str]], host: Host) -> None:
    changed = ddclient(use="ip", ip="192.0.2.1")
    assert f"SUCCESS:  updating {host.fqdn}: good: IP address set to 192.0.2.1" in changed
    assert changed.code == 0
    assert cached(host.fqdn)["status"] == "good"
    assert cached(host.fqdn)["ip"] == "192.0.2.1"
    assert host.a == ["192.0.2.1"]

    rests = ddclient(use="ip", ip="192.0.2.1")
    assert f"SUCCESS:  {host.fqdn}: skipped: IP address was already set to 192.0.2.1" in rests
    assert "SENDING" not in rests

    repeated = ddclient("-force", use="ip", ip="192.0.2.1")
    assert f"WARNING:  updating {host.fqdn}: nochg:" in repeated
    assert cached(host.fqdn)["status"] == "good"
    assert host.a == ["192.0.2.1"]


def test_several_hosts_of_a_key_in_one_request(
    ddclient: Ddclient, host: Host, register: Callable[..., Host], key: Callable[..., tuple[str, str]]
) -> None:
    other = register(ip="192.0.2.251")
    login, secret = key(host, other)
    names = ",".join(sorted([host.fqdn, other.fqdn]))
    changed = ddclient(use="ip", ip="192.0.2.2", names=names, login=login, secret=secret)
    assert changed.text.count("SENDING:  GET ") == 1
    assert f"hostname={names}&myip=192.0.2.2 " in changed
    for each in (host, other):
        assert f"SUCCESS:  updating {each.fqdn}: good: IP address set to 192.0.2.2" in changed
        assert each.a == ["192.0.2.2"]

    repeated = ddclient("-force", use="ip", ip="192.0.2.2", names=names, login=login, secret=secret)
    assert repeated.text.count(": nochg: ") == 2
    assert host.a == other.a == ["192.0.2.2"]


def test_one_unknown_name_spoils_only_itself(
    ddclient: Ddclient, cached: Callable[[str], dict[str, str]], host: Host, key: Callable[..., tuple[str, str]]
) -> None:
    login, secret = key(host)
    unknown = f"zz-unknown.{host.service.domain}"
    mixed = ddclient(use="ip", ip="192.0.2.3", names=f"{host.fqdn},{unknown}", login=login, secret=secret)
    assert f"updating {host.fqdn}: good:" in mixed
    assert f"updating {unknown}: nohost:" in mixed
    assert cached(host.fqdn)["status"] == "good"
    assert cached(unknown)["status"] == "nohost"
    assert host.a == ["192.0.2.3"]


def test_ipv6_alone_sends_an_empty_myip(ddclient: Ddclient, host: Host) -> None:
    changed = ddclient(use="no", usev6="cmdv6", cmdv6="'echo 2001:db8::1'")
    assert f"hostname={host.fqdn}&myip= HTTP" in changed
    assert f"updating {host.fqdn}: good: IP address set to 127.0.0.1" in changed
    assert "Connection: close" in changed, "ddclient waits for the connection to close"
    assert host.a == ["127.0.0.1"]
    assert host.aaaa == []

    repeated = ddclient("-force", use="no", usev6="cmdv6", cmdv6="'echo 2001:db8::1'")
    assert f"updating {host.fqdn}: nochg:" in repeated


def test_wrong_secret(ddclient: Ddclient, host: Host) -> None:
    refused = ddclient(use="ip", ip="192.0.2.4", secret="wrong")
    assert f"FAILED:   updating {host.fqdn}: authorization failed" in refused
    assert refused.code != 0
    assert host.a == ["192.0.2.250"]


def test_blocked(ddclient: Ddclient, cached: Callable[[str], dict[str, str]], host: Host) -> None:
    blocked = ddclient(use="ip", ip=DENIED)
    assert f"FAILED:   updating {host.fqdn}: abuse:" in blocked
    assert cached(host.fqdn)["status"] == "abuse"
    assert host.a == []

    still = ddclient("-force", use="ip", ip="192.0.2.5")
    assert f"FAILED:   updating {host.fqdn}: abuse:" in still
    assert host.a == []


def test_hung_name_server(ddclient: Ddclient, cached: Callable[[str], dict[str, str]], host: Host) -> None:
    with hung_name_server(host.service):
        unheard = ddclient(use="ip", ip="192.0.2.6")
    assert re.search(r"RECEIVE: +HTTP/1\.1 503 ", unheard.text)
    assert re.search(r"RECEIVE: +911$", unheard.text, re.M)
    assert cached(host.fqdn)["status"] != "good"
    becomes(host, "192.0.2.6")

    again = ddclient(use="ip", ip="192.0.2.6")
    assert "skipped: IP address was already set" in again, "it takes the silence for success: the retry must be ours"
    forced = ddclient("-force", use="ip", ip="192.0.2.6")
    assert re.search(rf"updating {re.escape(host.fqdn)}: (good|nochg):", forced.text)
    assert cached(host.fqdn)["status"] == "good"
