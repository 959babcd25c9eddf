# SPDX-License-Identifier: GPL-3.0-or-later
"""§5: the operator's settings, as the service shows and takes them."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.clients import raw_http
from support.clients.dyndns import GIVEN, Host, refused, register, said, ttl
from support.ports import free_port, wait_until
from support.servers.faults import hung
from support.servers.service import Service, dev

NAMES = [
    "DATABASE_URL",
    "PUBLIC_URL",
    "LISTEN",
    "TRUSTED_PROXIES",
    "AGENT_DENY",
    "AGENT_REQUIRED",
    "ADDRESS_DENY",
    "PRIVATE_ADDRESSES",
    "OFFLINE",
    "QUERY_CREDENTIALS",
    "TTL",
    "DNS_DEADLINE",
    "RULES",
    "NOCHG_PER_HOUR",
    "SIGNIN_FAILURES",
    "RNDC_KEY",
    "PRIMARY",
    "DIR",
    "HTTP",
    "DNS",
    "DOMAIN",
]


def printed(folder: Path, **settings: str) -> str:
    service = Service(folder, 8053, 5300, settings={f"DDNSD_{name.upper()}": value for name, value in settings.items()})
    return service.cli("settings").stdout


def entry(text: str, name: str) -> str:
    """What `ddnsd settings` says about one setting: the line that begins with its name, and the indented ones below."""
    (found,) = re.findall(rf"^DDNSD_{name}\b.*(?:\n[ \t].*)*", text, re.MULTILINE)
    return str(found)


def refuses(command: str, folder: Path, **settings: str) -> str:
    """The command ends with an error; what it says, as a reader sees it."""
    service = Service(folder, free_port(), free_port(), settings={f"DDNSD_{k.upper()}": v for k, v in settings.items()})
    ran = subprocess.run(
        [sys.executable, "-m", "ddnsd", command], env=service.env, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode != 0
    assert "Traceback" not in ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


# ---- ddnsd settings


def test_settings_prints_every_name_once_with_a_meaning(tmp_path: Path) -> None:
    text = printed(tmp_path)
    for name in NAMES:
        assert len(entry(text, name).split()) > 3


def test_settings_prints_value_and_source(tmp_path: Path) -> None:
    file = tmp_path / "ddnsd.toml"
    file.write_text('ttl = 77\noffline = false\naddress_deny = ["198.51.100.0/24"]\n')
    text = printed(tmp_path, config=str(file), nochg_per_hour="123", offline="on")
    for name, value, source in (
        ("TTL", "77", "file"),
        ("ADDRESS_DENY", "198.51.100.0/24", "file"),
        ("NOCHG_PER_HOUR", "123", "environment"),
        ("OFFLINE", "", "environment"),
        ("SIGNIN_FAILURES", "10", "default"),
    ):
        assert value in entry(text, name)
        assert source in entry(text, name)


def test_settings_masks_secrets(tmp_path: Path) -> None:
    text = printed(tmp_path, database_url="postgresql://ddnsd:hunter2canary@db.example.org/ddnsd")
    assert "hunter2canary" not in text
    assert entry(text, "DATABASE_URL")


# ---- an unknown name or a value out of range is an error at start


@pytest.mark.parametrize("command", ["dev", "settings", "serve"])
def test_an_unknown_name_is_an_error_at_start(tmp_path: Path, command: str) -> None:
    assert "NOCHG_PER_HOURS" in refuses(command, tmp_path, nochg_per_hours="5")


def test_an_unknown_name_in_the_file_is_an_error_at_start(tmp_path: Path) -> None:
    file = tmp_path / "ddnsd.toml"
    file.write_text("ttll = 77\n")
    assert "ttll" in refuses("dev", tmp_path, config=str(file)).lower()


def test_a_value_that_cannot_be_is_an_error_at_start(tmp_path: Path) -> None:
    said_ = refuses("dev", tmp_path, ttl="soon", address_deny="example.org", rules="perhaps", listen="nowhere")
    for name in ("TTL", "ADDRESS_DENY", "RULES", "LISTEN"):
        assert name in said_


def test_a_bad_setting_never_prints_the_secret_in_it(tmp_path: Path) -> None:
    assert "hunter2canary" not in refuses("dev", tmp_path, database_url="mysql://ddnsd:hunter2canary@db/ddnsd")


# ---- settings at work (further ones: test_update_policy, test_update_callers, test_delete_myip)


def test_listen_answers_the_same_on_every_listener(proxied: Service, extra_ports: tuple[int, int]) -> None:
    host = register(proxied, proxied.admin_token)
    headers = {"Authorization": raw_http.basic(*host.auth)}
    v4, v6 = extra_ports
    number = 60
    for port, address in ((v4, "127.0.0.1"), (v6, "::1"), (proxied.http_port, "127.0.0.1")):
        number += 1
        octets = raw_http.request(f"/nic/update?myip=192.0.2.{number}", headers=headers)
        for word in ("good", "nochg"):
            said(raw_http.exchange(octets, port, host=address), 200, f"{word} 192.0.2.{number}")
        refused(raw_http.exchange(raw_http.request("/nic/update"), port, host=address), 401, "badauth")
        assert raw_http.exchange(raw_http.request("/healthz"), port, host=address).status == 200


def test_file_environment_and_deadline_together(tmp_path: Path) -> None:
    file = tmp_path / "ddnsd.toml"
    file.write_text("ttl = 77\ndns_deadline = 0.5\noffline = false\n")
    with dev(tmp_path / "service", config=str(file), offline="on") as service:
        host = register(service, service.admin_token)
        assert ttl(service, host.fqdn) == 77
        said(host.update(offline="YES"), 200, "good")

        def seconds() -> float:
            began = time.monotonic()
            refused(host.update(myip=GIVEN), 503, "911")
            return time.monotonic() - began

        with hung(service.named_pid()):  # by default it is 2.5 s; a busy machine needs more than one try
            wait_until(lambda: seconds() < 2, what="the deadline of the file")
        wait_until(lambda: host.addresses() == [GIVEN], 30, "converged")


def test_dev_runs_on_ipv6_too(tmp_path: Path) -> None:
    port = free_port()
    with dev(tmp_path, listen=f"[::1]:{port}") as service:
        host: Host = register(service, service.admin_token)
        octets = raw_http.request("/nic/update", headers={"Authorization": raw_http.basic(*host.auth)})
        for word in ("good", "nochg"):
            said(raw_http.exchange(octets, port, host="::1"), 200, f"{word} ::1")
        assert host.addresses() == [GIVEN, "::1"]
