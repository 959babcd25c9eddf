# SPDX-License-Identifier: GPL-3.0-or-later
"""The units of the server role are as restricted as `systemd-analyze security` can tell."""

import subprocess
from pathlib import Path

import pytest
from support.servers import front

OWN = (
    "ddnsd",
    "ddnsd-housekeeping",
    "ddnsd-export",
    "ddnsd-backup",
    "ddnsd-offsite",
    "ddnsd-restore-test",
    "ddnsd-keys",
    "ddnsd-failure",
    "ddnsd-fence",
)
AS_ROOT = ("ddnsd-fence",)
"""It stops other units."""
ROLES = Path(__file__).parents[3] / "roles"
DROP_INS = {"named": "/usr/sbin/named -f", "nginx": "/usr/sbin/nginx"}
MOST = {**dict.fromkeys(OWN, 2.0), "named": 4.5, "nginx": 4.5}
"""The highest exposure, of 10. named and nginx start as root and leave it themselves."""


def exposure(unit: Path) -> float:
    """What `systemd-analyze security` says of a unit's file."""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.rpartition(f"for {unit.name}: ")[2].split()[0])


@pytest.fixture(scope="module")
def units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the units, as on the primary of a fleet or a single machine."""
    folder = tmp_path_factory.mktemp("units")
    templates = (
        {name: f"{name}.service.j2" for name in OWN}
        | {name: f"{name}@.service.j2" for name in ("ddnsd-keys", "ddnsd-failure")}
        | {name: f"{name}.service.conf.j2" for name in DROP_INS}
    )
    variables = {
        "ddns_server_primary": True,
        "ddns_server_node": True,
        "ddns_server_offsite_repository": "sftp:user@example.org:/backups",
        "ddns_server_failure_command": "curl https://example.org",
        "ddns_server_secondaries": ["192.0.2.2"],
        "inventory_hostname": "localhost",
    }
    for name, text in front.render(folder, variables, **templates).items():
        if name in DROP_INS:
            text = text.replace("[Service]\n", f"[Service]\nExecStart={DROP_INS[name]}\n")
        (folder / f"{name}.service").write_text(text)
    return folder


@pytest.mark.parametrize("name", MOST)
def test_units_are_restricted(units: Path, name: str) -> None:
    assert exposure(units / f"{name}.service") <= MOST[name]


@pytest.mark.parametrize("name", sorted(set(OWN) - set(AS_ROOT)))
def test_no_unit_of_ours_runs_as_root(units: Path, name: str) -> None:
    (user,) = (line for line in (units / f"{name}.service").read_text().splitlines() if line.startswith("User="))
    assert user.removeprefix("User=") in ("ddnsd", "ddnsd-backup", "ddnsd-keys", "ddnsd-failure")


@pytest.mark.parametrize(
    ("name", "writes"),
    [
        ("ddnsd-backup", "/var/backups/ddnsd"),
        ("ddnsd-offsite", "-/var/lib/ddnsd-backup"),
        ("ddnsd-restore-test", "-/var/lib/ddnsd-backup"),
        ("ddnsd-keys", "/etc/bind/ddnsd"),
        ("ddnsd-fence", "/etc/ddnsd"),
    ],
)
def test_helpers_write_only_their_own_folder(units: Path, name: str, writes: str) -> None:
    lines = (units / f"{name}.service").read_text().splitlines()
    assert [line for line in lines if line.startswith("ReadWritePaths=")] == [f"ReadWritePaths={writes}"]
    assert "ProtectSystem=strict" in lines


@pytest.mark.parametrize(
    "name",
    ["ddnsd", "ddnsd-housekeeping", "ddnsd-export", "ddnsd-backup", "ddnsd-offsite", "ddnsd-restore-test", "named"],
)
def test_a_unit_that_fails_starts_the_one_that_reports_it(units: Path, name: str) -> None:
    before, _, service = (units / f"{name}.service").read_text().partition("\n[Service]\n")
    assert "[Unit]" in before
    assert before.splitlines().count("OnFailure=ddnsd-failure@%n.service") == 1
    # a service that always restarts never counts as failed on Debian 12
    assert ("ExecStopPost=+" in service) == (name == "ddnsd")


@pytest.mark.parametrize("name", ["ddnsd-housekeeping", "ddnsd-backup", "ddnsd-offsite", "ddnsd-restore-test"])
def test_a_job_that_fails_is_tried_again(units: Path, name: str) -> None:
    before, _, service = (units / f"{name}.service").read_text().partition("\n[Service]\n")
    assert "OnFailure=ddnsd-retry@%p.timer" in before.splitlines()
    assert "\nRestart=" not in service


def test_systemd_accepts_the_unit_that_reports_failures(units: Path, tmp_path: Path) -> None:
    unit = tmp_path / "ddnsd-failure@ddnsd.service.service"
    unit.write_text((units / "ddnsd-failure.service").read_text())
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert "ddnsd-failure" not in done.stderr, done.stderr


TIMERS = sorted(path for role in (ROLES / "ddns_server", ROLES / "ddns_client") for path in role.rglob("*.timer*"))


@pytest.mark.parametrize("timer", TIMERS, ids=lambda path: path.name)
def test_timers_of_many_machines_are_spread(timer: Path) -> None:
    """A timer of a date also runs after the date, if the machine was off; the others begin at each boot."""
    lines = dict(line.split("=", 1) for line in timer.read_text().splitlines() if "=" in line and line[0] != "#")
    assert "RandomizedDelaySec" in lines
    if "OnCalendar" in lines and not lines["OnCalendar"].startswith("*:"):
        assert lines["Persistent"] == "yes"


def test_a_superseded_primary_starts_nothing(units: Path) -> None:
    for name in ("named", "ddnsd", "ddnsd-backup"):
        assert "ConditionPathExists=!/etc/ddnsd/superseded" in (units / f"{name}.service").read_text()
