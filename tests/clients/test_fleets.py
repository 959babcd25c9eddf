# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices of a fleet: unmodified inadyn, curl and busybox wget, and the programs of docs/fleets.md."""

import itertools
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clients.devices import Device, FleetKey, add_fleet
from support.clients.programs import Outcome, private_file
from support.servers.service import Service

Run = Callable[..., Outcome]

PAGE = (Path(__file__).parents[2] / "docs" / "fleets.md").read_text()
DERIVE, SIGN = re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)
(PYTHON,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
MACS = (f"0011223344{n:02x}" for n in itertools.count())


@pytest.fixture(scope="module")
def fleet(service: Service, secrets: list[str]) -> FleetKey:
    made = add_fleet(service, "cams", pattern="cam-{mac}")
    secrets.append(made.key)
    return made


@pytest.fixture
def device(fleet: FleetKey, secrets: list[str]) -> Device:
    made = fleet.device(next(MACS))
    secrets.append(made.key)
    return made


def name_of(device: Device) -> str:
    return f"cam-{device.mac}.{device.service.domain}"


@pytest.mark.parametrize("named", [True, False])
def test_inadyn(run: Run, device: Device, tmp_path: Path, named: bool) -> None:
    hostname = f"hostname={name_of(device)}&" if named else ""
    conf = private_file(
        tmp_path / "inadyn.conf",
        f"""custom cams {{
            ssl = false
            username = "{device.login}"
            password = "{device.key}"
            checkip-command = "echo 192.0.2.1"
            ddns-server = "127.0.0.1:{device.service.http_port}"
            ddns-path = "/nic/update?{hostname}myip=%i"
            hostname = "{name_of(device)}"
        }}\n""",
    )
    (tmp_path / "cache").mkdir()
    done = run("inadyn", "-n", "-1", "--no-pidfile", "-l", "debug", "-f", conf, "--cache-dir", tmp_path / "cache")
    assert (done.code, "good 192.0.2.1" in done) == (0, True), done.text
    assert device.service.dig(name_of(device)) == ["192.0.2.1"]


@pytest.mark.parametrize("command", [("curl", "-sS"), ("busybox", "wget", "-q", "-O", "-")], ids=lambda c: c[0])
def test_download_tools(run: Run, device: Device, command: tuple[str, ...]) -> None:
    url = f"http://{device.login}:{device.key}@127.0.0.1:{device.service.http_port}/nic/update"
    assert run(*command, url) == Outcome(0, "good 127.0.0.1")
    assert run(*command, f"{url}?myip=192.0.2.1") == Outcome(0, "good 192.0.2.1")
    assert device.service.dig(name_of(device)) == ["192.0.2.1"]
    device.service.cli("fleet", "revoke", "cams", device.mac)
    assert "good" not in run(*command, f"{url}?myip=192.0.2.2")
    assert device.service.dig(name_of(device)) == ["192.0.2.1"]


def test_a_signed_request_of_busybox(run: Run, device: Device) -> None:
    values = {"DEVICE": device.login, "DEVICE_KEY": device.key, "SERVER": f"127.0.0.1:{device.service.http_port}"}
    assert run("sh", "-c", SIGN, MYIP="192.0.2.1", **values) == Outcome(0, "good 192.0.2.1")
    assert device.service.dig(name_of(device)) == ["192.0.2.1"]
    again = run("sh", "-c", SIGN.replace("$(date +%s)", str(int(time.time()) - 60)), MYIP="192.0.2.2", **values)
    assert "401" in again
    assert device.service.dig(name_of(device)) == ["192.0.2.1"]


def test_keys_are_derived_as_the_page_says(run: Run, device: Device, fleet: FleetKey) -> None:
    assert run("sh", "-c", DERIVE, MAC=device.mac, FLEET_KEY=fleet.key) == Outcome(0, device.key)
    scope: dict[str, Callable[[str, str], str]] = {}
    exec(PYTHON, scope)
    assert scope["device_key"](fleet.key, device.mac) == device.key
    assert f"give `{scope['device_key']('ddnsf_example', '001122aabbcc')}`" in PAGE
