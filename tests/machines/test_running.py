# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines that really run: what they are, what a power cut does, and that nothing is left of them."""

import subprocess
import time
from collections.abc import Callable

import pytest
from support.machines.tool import FOLDER, Machines, command, unowned

Make = Callable[..., Machines]


def test_life(machines: Make) -> None:
    """Booted machines are real ones that reach each other and nothing else; `down` removes all, and again nothing."""
    scenario = machines()
    for _ in range(2):
        shown = scenario.up("a", "b")
        assert [machine["running"] for machine in shown["machines"].values()] == [True, True]
        assert scenario.ssh("a", "hostname; systemctl is-system-running").split() == ["a", "running"]
        keys = "ssh-keyscan b 2>/dev/null | grep -v '^#' | cut -d' ' -f2 | sort -u"
        assert scenario.ssh("a", keys) == "ssh-ed25519\n"
    assert "Network is unreachable" in scenario.ssh("a", "echo 2>&1 >/dev/tcp/198.51.100.1/53", check=False)
    assert scenario.ssh("a", "getent hosts example.org", check=False) == ""
    identities = [scenario.ssh(host, "cat /etc/machine-id /etc/ssh/ssh_host_*.pub") for host in ("a", "b")]
    assert identities[0] != identities[1]
    assert scenario.remains()
    for _ in range(2):
        scenario.run("down")
        assert scenario.remains() == []
        assert unowned() == []


def test_packages(machines: Make) -> None:
    """Roles install packages without a network, and they run."""
    scenario = machines()
    scenario.up("a")
    scenario.ssh("a", "apt-get -qq update && apt-get -qq install bind9 >/dev/null 2>&1")
    assert scenario.ssh("a", "systemctl is-active named; systemctl is-system-running").split() == ["active", "running"]


def test_sandbox(machines: Make) -> None:
    """Units with a strict sandbox run as they would on a real machine, and are held by it."""
    scenario = machines()
    scenario.up("a")
    options = (
        "DynamicUser=yes ProtectSystem=strict PrivateTmp=yes PrivateDevices=yes ProtectProc=invisible PrivateUsers=yes "
        "LoadCredential=word:/etc/hostname RestrictNamespaces=yes SystemCallFilter=@system-service IPAddressDeny=any"
    )
    properties = " ".join(f"-p {option}" for option in options.split())
    inside = "cat $CREDENTIALS_DIRECTORY/word; touch /etc/x || echo strict; unshare -U true || echo restricted"
    said = scenario.ssh("a", f"systemd-run --quiet --pipe --wait {properties} sh -c '{inside}'")
    assert said.split() == ["a", "strict", "restricted"]


def test_wires(machines: Make) -> None:
    """A wire joins those that name it, and no others; what lies between two wires forwards for both."""
    scenario = machines()
    scenario.up("a:left", "r:left,right", "b:right")
    scenario.ssh("r", "ip address add 192.0.2.1/24 dev left; ip address add 198.51.100.1/24 dev right")
    scenario.ssh("a", "ip address add 192.0.2.2/24 dev left; ip route replace default via 192.0.2.1")
    scenario.ssh("b", "ip address add 198.51.100.2/24 dev right")
    reach = "timeout 2 bash -c ': </dev/tcp/198.51.100.2/22' && echo reached"
    assert scenario.ssh("a", reach, check=False) == ""
    scenario.ssh("b", "ip route replace default via 198.51.100.1")
    assert scenario.ssh("a", reach) == "reached\n"
    scenario.run("down")
    assert scenario.remains() == []
    assert unowned() == []


def test_power_cut(machines: Make) -> None:
    """A machine is dead at once, keeps what it wrote, and comes back; the others do not notice."""
    scenario = machines()
    scenario.up("a", "b")
    scenario.ssh("a", "echo kept >/root/kept")
    before = scenario.ssh("a", "cat /proc/sys/kernel/random/boot_id; systemctl show -P UserspaceTimestamp")
    for _ in range(2):
        scenario.run("kill", "a")
        assert [machine["running"] for machine in scenario.show()["machines"].values()] == [False, True]
    assert scenario.ssh("b", "systemctl is-system-running") == "running\n"
    scenario.run("boot", "a")
    assert scenario.ssh("a", "cat /root/kept") == "kept\n"
    assert scenario.ssh("a", "cat /proc/sys/kernel/random/boot_id; systemctl show -P UserspaceTimestamp") != before
    assert "a runs already" in scenario.run("boot", "a", check=False).stderr


def test_reboot_and_bad_boot(machines: Make) -> None:
    """A machine that reboots is the same one; a unit that fails in booting is named."""
    scenario = machines()
    scenario.up("a")
    unit = "[Service]\\nType=oneshot\\nExecStart=false\\n[Install]\\nWantedBy=multi-user.target\\n"
    scenario.ssh("a", f"printf '{unit}' >/etc/systemd/system/broken.service && systemctl enable --quiet broken")
    scenario.ssh("a", "systemctl reboot", check=False)
    end = time.monotonic() + 60
    while "broken" not in scenario.ssh("a", "systemctl --failed --no-legend", check=False):
        assert time.monotonic() < end
        time.sleep(0.2)
    scenario.run("kill", "a")
    refused = scenario.run("boot", "a", check=False)
    assert refused.returncode == 1
    assert "a is degraded" in refused.stderr
    assert "broken.service" in refused.stderr


@pytest.mark.parametrize("seconds", [0.2, 0.5, 1.0])
def test_killed(machines: Make, seconds: float) -> None:
    """Nothing is left of machines whose maker was killed, whatever it was doing; the next one works."""
    scenario = machines()
    for after in ("down", "up"):
        maker = subprocess.Popen(command("up", scenario.scenario, "a"), cwd=FOLDER, stdout=subprocess.DEVNULL)
        time.sleep(seconds)
        maker.kill()
        maker.wait()
        if after == "up":
            assert scenario.up("a")["machines"]["a"]["running"]
        scenario.run("down")
        assert scenario.remains() == []
        assert unowned() == []


def test_terminated(machines: Make) -> None:
    """Who is asked to end while machines boot takes them along."""
    scenario = machines()
    maker = subprocess.Popen(command("up", scenario.scenario, "a"), cwd=FOLDER, stdout=subprocess.DEVNULL)
    while not (scenario.folder / "a" / "console.log").exists():
        time.sleep(0.02)
    maker.terminate()
    assert maker.wait() == 128 + 15
    assert scenario.remains() == []


def test_side_by_side(machines: Make) -> None:
    """Scenarios that begin at the same time have networks of their own, and do not see each other."""
    scenarios = [machines("one"), machines("two")]
    makers = [
        subprocess.Popen(command("up", scenario.scenario, "a"), cwd=FOLDER, stdout=subprocess.DEVNULL)
        for scenario in scenarios
    ]
    assert [maker.wait() for maker in makers] == [0, 0]
    addresses = [scenario.show()["machines"]["a"] for scenario in scenarios]
    for family in ("ipv4", "ipv6"):
        other = addresses[1][family]
        said = scenarios[0].ssh("a", f"exec 2>&1; : </dev/tcp/{other}/22", check=False)
        assert "unreachable" in said, said
    scenarios[0].run("down")
    assert scenarios[1].ssh("a", "hostname") == "a\n"


def test_orphan(machines: Make) -> None:
    """What belongs to a scenario whose folder is gone is removed by the next run of any other."""
    lost, other = machines("lost"), machines("other")
    lost.up("a")
    (lost.folder / "state.json").unlink()
    other.run("down")
    assert [line for line in lost.remains() if "run/ddns-machines" in line or "nspawn" in line] == []
    assert unowned() == []
