# SPDX-License-Identifier: GPL-3.0-or-later
"""noipy 2.0: adds `wildcard`, `mx` and `backmx`, and wants an IPv4 address in the answer."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clients.programs import DENIED, Host, Outcome, becomes, hung_name_server, private_file

Noipy = Callable[..., Outcome]


@pytest.fixture
def noipy(tmp_path: Path, run_python_client: Callable[..., Outcome], host: Host) -> Noipy:
    """Runs noipy once, with credentials that it has stored before."""

    def once(address: str, name: str = host.fqdn, secret: str = host.secret, path: str = "/nic/update") -> Outcome:
        stored = base64.b64encode(f"{host.fqdn}:{secret}".encode()).decode()
        private_file(tmp_path / ".noipy" / "generic", stored)
        update = ("--url", f"http://{host.server}{path}", "-n", name, address)
        return run_python_client("noipy", "-c", tmp_path, *update)

    return once


@pytest.mark.parametrize("path", ["/nic/update", "/nic/update/", "/v3/update", "/dyndns/update", "/update"])
def test_changes_then_changes_nothing(noipy: Noipy, host: Host, path: str) -> None:
    changed = noipy("192.0.2.1", path=path)
    assert changed.code == 0
    assert "SUCCESS: DNS hostname IP (192.0.2.1) successfully updated." in changed
    assert host.a == ["192.0.2.1"]

    repeated = noipy("192.0.2.1", path=path)
    assert repeated.code == 0
    assert "SUCCESS: IP address (192.0.2.1) is up to date, nothing was changed." in repeated
    assert host.a == ["192.0.2.1"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"secret": "wrong"}, "ERROR: Invalid username or password (badauth)."),
        ({"name": "zz-unknown.dyn.example.org"}, "ERROR: Hostname specified does not exist in this user account."),
        ({"name": "nodots"}, "ERROR: The hostname specified is not a fully-qualified domain name"),
        ({"address": "127.0.0.1"}, "ERROR: DNS error encountered."),
    ],
)
def test_refused(noipy: Noipy, host: Host, settings: dict[str, str], message: str) -> None:
    assert message in noipy(**{"address": "192.0.2.2"} | settings)
    assert host.a == ["192.0.2.250"]


def test_blocked(noipy: Noipy, host: Host) -> None:
    for address in (DENIED, "192.0.2.3"):
        assert "ERROR: Username/hostname is blocked due to update abuse." in noipy(address)
        assert host.a == []


def test_hung_name_server(noipy: Noipy, host: Host) -> None:
    with hung_name_server(host.service):
        unheard = noipy("192.0.2.4")
    assert "ERROR: Problem on server side. Retry update in a few minutes." in unheard
    becomes(host, "192.0.2.4")
    assert "SUCCESS: " in noipy("192.0.2.4")
