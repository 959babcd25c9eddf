# SPDX-License-Identifier: GPL-3.0-or-later
"""User data as cloud-init reads it: the files with their modes, and the commands."""

import base64
import gzip
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ddnsctl import cloud_init

FILES = Path(__file__).parents[3] / "roles" / "ddns_client" / "files"
NAME, SERVER, SECRET, TOKEN = "vm-7.dyn.example.org", "https://ddns.example.org", "s3cret", "ddnse_t0ken"
FOLDER = "/etc/ddns-update/secrets"
UNITS = "/etc/systemd/system"
PROGRAM, SERVICE, ENROL = "/usr/local/sbin/ddns-update", "ddns-update.service", "ddns-update-enrol.service"
AGAIN = "ddns-update-enrol.timer"


def read(text: str) -> dict[str, Any]:
    assert text.startswith("#cloud-config\n")
    assert text.endswith("\n")
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def files(content: dict[str, Any]) -> dict[str, tuple[str, bytes]]:
    """(mode, content) by path."""
    found = {}
    for item in content["write_files"]:
        octets = item["content"].encode()
        if "encoding" in item:
            assert item["encoding"] == "gz+b64"
            octets = gzip.decompress(base64.b64decode(octets))
        found[item["path"]] = item["permissions"], octets
    return found


def test_the_unit_form_with_a_secret() -> None:
    text = cloud_init.with_secret(NAME, SERVER, SECRET)
    assert text == cloud_init.with_secret(NAME, SERVER, SECRET)
    content = read(text)
    assert list(content) == ["bootcmd", "write_files", "runcmd"]
    assert content["bootcmd"] == [["install", "-d", "-m", "0700", FOLDER]]
    assert files(content) == {
        PROGRAM: ("0755", (FILES / "ddns-update").read_bytes()),
        "/etc/ddns-update.conf": (
            "0644",
            f"[DEFAULT]\nserver = {SERVER}\n\n[{NAME}]\nsecret = {NAME}\nrefresh = 1d\n".encode(),
        ),
        f"{UNITS}/{SERVICE}": ("0644", (FILES / SERVICE).read_bytes()),
        f"{UNITS}/ddns-update.timer": ("0644", (FILES / "ddns-update.timer").read_bytes()),
        f"{FOLDER}/{NAME}": ("0600", f"{SECRET}\n".encode()),
        f"{UNITS}/{SERVICE}.d/secrets.conf": ("0644", f"[Service]\nLoadCredential={NAME}:{FOLDER}/{NAME}\n".encode()),
    }
    assert content["runcmd"] == [
        ["systemctl", "daemon-reload"],
        ["systemctl", "enable", "--quiet", "ddns-update.timer"],
        ["systemctl", "start", "--no-block", "ddns-update.timer", SERVICE],
    ]
    assert text.count(SECRET) == 1


def test_the_unit_form_with_a_token() -> None:
    content = read(cloud_init.with_token(NAME, SERVER, TOKEN))
    found = files(content)
    plain = files(read(cloud_init.with_secret(NAME, SERVER, SECRET)))
    waiting = f"{FOLDER}/{NAME}.enrolment"
    assert found[waiting] == ("0600", f"{TOKEN}\n".encode())
    for unit in (ENROL, AGAIN):
        assert found[f"{UNITS}/{unit}"] == ("0644", (FILES / unit).read_bytes())
    drop_in = f'[Service]\nEnvironment="NAME={NAME}" "SERVER={SERVER}"\n'
    assert found[f"{UNITS}/{ENROL}.d/host.conf"] == ("0644", drop_in.encode())
    _, secrets = found[f"{UNITS}/{SERVICE}.d/secrets.conf"]
    assert f"ConditionPathExists=!{waiting}\n" in secrets.decode()
    assert secrets.endswith(plain[f"{UNITS}/{SERVICE}.d/secrets.conf"][1])
    assert f"{FOLDER}/{NAME}" not in found
    same = {PROGRAM, "/etc/ddns-update.conf", f"{UNITS}/{SERVICE}", f"{UNITS}/ddns-update.timer"}
    assert {path: found[path] for path in same} == {path: plain[path] for path in same}
    assert content["runcmd"][1:] == [
        ["systemctl", "enable", "--quiet", "ddns-update.timer", ENROL, AGAIN],
        ["systemctl", "start", "--no-block", "ddns-update.timer", ENROL, AGAIN, SERVICE],
    ]


def test_without_the_updater() -> None:
    for make, given in ((cloud_init.with_secret, SECRET), (cloud_init.with_token, TOKEN)):
        whole, small = make(NAME, SERVER, given), make(NAME, SERVER, given, updater=False)
        assert files(read(small)) == {path: f for path, f in files(read(whole)).items() if path != PROGRAM}
        assert len(small) < 8_000


def test_the_enrolment_unit_calls_the_updater_as_it_wants_to_be_called() -> None:
    lines = (FILES / ENROL).read_text().splitlines()
    (start,) = [line.partition("=")[2] for line in lines if line.startswith("ExecStart=")]
    values = {"${NAME}": NAME, "${SERVER}": SERVER}
    for word, value in values.items():
        start = start.replace(word, value)
    program, *arguments = shlex.split(start)
    assert program == PROGRAM
    assert arguments == ["enrol", NAME, "--server", SERVER, "--token-file", f"{FOLDER}/{NAME}.enrolment"]


def test_a_server_below_a_path_and_with_percent_signs() -> None:
    server = "https://ddns.example.org/a%20b"
    found = files(read(cloud_init.with_token(NAME, server, TOKEN)))
    assert f"server = {server}/nic/update\n" in found["/etc/ddns-update.conf"][1].decode()
    # systemd reads %% as one percent sign
    assert '"SERVER=https://ddns.example.org/a%%20b"' in found[f"{UNITS}/{ENROL}.d/host.conf"][1].decode()


@pytest.mark.parametrize("secret", ["s3cret", "a: b # c", "- x", "{{ x }}", "%@:/?#[]!$&'()*+,;=\"\\", "x" * 300])
def test_any_secret_arrives_as_it_is(secret: str) -> None:
    assert files(read(cloud_init.with_secret(NAME, SERVER, secret)))[f"{FOLDER}/{NAME}"][1] == f"{secret}\n".encode()


def test_the_runcmd_form() -> None:
    content = read(cloud_init.with_curl(NAME, SERVER, "a/b@c:d%"))
    assert content == {"runcmd": [["curl", f"https://{NAME}:a%2Fb%40c%3Ad%25@ddns.example.org/nic/update"]]}


def test_the_distribution_carries_what_is_needed() -> None:
    project = tomllib.loads((FILES.parents[2] / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["ddnsctl"]
    package = Path(cloud_init.__file__).parent
    carried = {path.name for pattern in patterns for path in package.glob(pattern)}
    assert {"ddns-update", SERVICE, "ddns-update.timer", ENROL} <= carried


# ---- the units


@pytest.mark.parametrize("unit", [SERVICE, "ddns-update-watch.service", ENROL])
def test_units_are_shut_in(unit: str) -> None:
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=20", str(FILES / unit)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Overall exposure level" in result.stdout


def test_units_are_understood(tmp_path: Path) -> None:
    program = tmp_path / "ddns-update"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    units = []
    for file in [file for file in sorted(FILES.iterdir()) if file.suffix in (".service", ".timer")]:
        units.append(tmp_path / file.name)
        units[-1].write_text(file.read_text().replace(PROGRAM, str(program)))
    assert len(units) == 7
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_no_exit_status_ends_a_unit_for_good() -> None:
    """Only a configuration that cannot be used keeps a service from being started again; a timer starts it even so.

    A refused token waits for the timer: each half minute would be abuse.
    """
    prevented = {
        file.stem: setting
        for file in FILES.glob("*.service")
        for line in file.read_text().splitlines()
        for name, _, setting in [line.partition("=")]
        if name == "RestartPreventExitStatus"
    }
    watched_by_a_timer = {file.stem for file in FILES.glob("*.timer")}
    always, until_the_timer = ("ddns-update", "ddns-update-watch"), ("ddns-update-enrol", "ddns-update-certificate")
    assert prevented == {**dict.fromkeys(always, "2"), **dict.fromkeys(until_the_timer, "2 3")}
    assert watched_by_a_timer == {"ddns-update", *until_the_timer}
    assert all("\nStartLimitIntervalSec=0\n" in (FILES / f"{name}.service").read_text() for name in prevented)


def test_each_machine_has_its_own_moment_in_the_interval_of_the_timer() -> None:
    timer = (FILES / "ddns-update.timer").read_text().splitlines()
    assert {"OnCalendar=*:0/5", "RandomizedDelaySec=285", "FixedRandomDelay=yes"} <= set(timer)
    assert "Wants=ddns-update.service" in timer, "and it runs at once after a boot"


@pytest.mark.parametrize("unit", [SERVICE, "ddns-update-watch.service"])
def test_units_have_a_place_for_the_state_while_the_disk_is_full(unit: str) -> None:
    lines = set((FILES / unit).read_text().splitlines())
    assert {"RuntimeDirectory=ddns-update", "RuntimeDirectoryPreserve=yes", "RuntimeDirectoryMode=0700"} <= lines
