# SPDX-License-Identifier: GPL-3.0-or-later
"""dyndnsc 0.6: dyndns2 wants `good ` with the blank, duckdns wants `OK`; only a status of 200 counts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.clients.programs import DENIED, Host, Outcome, becomes, hung_name_server, private_file

Dyndnsc = Callable[..., Outcome]


@pytest.fixture
def dyndnsc(tmp_path: Path, run_python_client: Callable[..., Outcome], host: Host) -> Dyndnsc:
    """Runs dyndnsc once with the updater `dyndns2`, or with `duckdns`."""

    def once(address: str, updater: str = "dyndns2", secret: str = host.secret) -> Outcome:
        options = {
            "updater": updater,
            "updater-hostname": host.fqdn,
            "detector": "command",
            "detector-command": f"echo {address}",
        }
        if updater == "duckdns":
            options |= {"updater-url": f"http://{host.server}/update", "updater-token": secret}
        else:
            options |= {"updater-url": f"http://{host.server}/nic/update"}
            options |= {"updater-userid": host.fqdn, "updater-password": secret}
        lines = ["[dyndnsc]", "configs = ours", "[ours]", *(f"{name} = {value}" for name, value in options.items())]
        conf = private_file(tmp_path / "dyndnsc.ini", "\n".join(lines) + "\n")
        return run_python_client("dyndnsc", "-vvv", "-c", conf)

    return once


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_changes_then_changes_nothing(dyndnsc: Dyndnsc, host: Host, address: str) -> None:
    for word in ("good", "nochg"):
        done = dyndnsc(address)
        assert done.code == 0
        assert f"status 200, {word} {address}\n" in done
        assert address in (host.a + host.aaaa)
    assert len(host.a) == 1


@pytest.mark.parametrize("address", ["192.0.2.2", "2001:db8::2"])
def test_duckdns(dyndnsc: Dyndnsc, host: Host, address: str) -> None:
    for _ in range(2):
        done = dyndnsc(address, updater="duckdns")
        assert done.code == 0
        assert "status 200, OK\n" in done
        assert address in (host.a + host.aaaa)


def test_wrong_secret(dyndnsc: Dyndnsc, host: Host) -> None:
    assert "status 401, badauth\n" in dyndnsc("192.0.2.3", secret="wrong")
    assert "status 200, KO\n" in dyndnsc("192.0.2.3", updater="duckdns", secret="wrong")
    assert host.a == ["192.0.2.250"]


def test_blocked(dyndnsc: Dyndnsc, host: Host) -> None:
    assert "status 200, abuse\n" in dyndnsc(DENIED)
    assert "status 200, KO\n" in dyndnsc("192.0.2.4", updater="duckdns")
    assert host.a == []


def test_hung_name_server(dyndnsc: Dyndnsc, host: Host) -> None:
    with hung_name_server(host.service):
        unheard = dyndnsc("192.0.2.5")
    assert "status 503, 911\n" in unheard
    becomes(host, "192.0.2.5")
