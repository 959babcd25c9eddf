# SPDX-License-Identifier: GPL-3.0-or-later
"""DHCP servers with the configurations that `ddnsd dhcp-key add --for` prints: Kea, ISC dhcpd and dnsmasq.

dhcpd and its client run in network namespaces of their own:

    this machine ── ddns0 ── [server: dhcpd] ── lan0 ── [client: dhclient]
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.ports import free_port, wait_until
from support.servers.kea import Kea, configured
from support.servers.service import Service, dev

REVERSE = "77.10.in-addr.arpa"
HOST, SERVER, LAN, CLIENT = "10.77.1.1", "10.77.1.2", "10.77.2.1", "10.77.2.50"
SCRIPT = Path(__file__).parents[2] / "roles" / "ddns_client" / "files" / "ddns-update-lease"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@contextmanager
def namespaces() -> Iterator[tuple[str, str]]:
    """A namespace for the server and one for its client; removed with their links at the end."""
    server, client = f"ddns-server-{os.getpid()}", f"ddns-client-{os.getpid()}"
    try:
        for name in (server, client):
            ip("netns", "add", name)
        ip("link", "add", "ddns0", "type", "veth", "peer", "name", "up0", "netns", server)
        ip("link", "add", "lan0", "netns", server, "type", "veth", "peer", "name", "eth0", "netns", client)
        ip("addr", "add", f"{HOST}/24", "dev", "ddns0")
        ip("link", "set", "ddns0", "up")
        for link, address in (("up0", SERVER), ("lan0", LAN)):
            ip("-n", server, "addr", "add", f"{address}/24", "dev", link)
            ip("-n", server, "link", "set", link, "up")
        ip("-n", server, "link", "set", "lo", "up")
        ip("-n", client, "link", "set", "eth0", "up")
        yield server, client
    finally:
        for name in (client, server):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@pytest.fixture(scope="module")
def networks() -> Iterator[tuple[str, str]]:
    with namespaces() as found:
        yield found


@pytest.fixture(scope="module")
def service(networks: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a port for DNS UPDATE on this machine, and with port 53 for the server's namespace."""
    listen = f"127.0.0.1:{free_port()},{HOST}:53"
    with dev(tmp_path_factory.mktemp("service"), update_listen=listen) as running:
        running.cli("domain", "add", REVERSE, "--owner", "admin")
        yield running


def config(service: Service, name: str) -> str:
    """The configuration for the DHCP server of this name, with a new key of this name."""
    return service.cli("dhcp-key", "add", name, "--domain", service.domain, "--domain", REVERSE, "--for", name).stdout


def pointer(address: str) -> str:
    return ".".join([*reversed(address.split(".")), "in-addr.arpa"])


# ---- Kea


@pytest.fixture(scope="module")
def kea(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kea]:
    with configured(tmp_path_factory.mktemp("kea"), json.loads(config(service, "kea"))["DhcpDdns"]) as running:
        yield running


@pytest.mark.parametrize("resolution", [True, False])
def test_kea_publishes_a_lease(service: Service, kea: Kea, resolution: bool) -> None:
    fqdn, address = f"kea-{resolution}.{service.domain}".lower(), f"10.77.3.{1 + resolution}"
    kea.lease(fqdn, address, resolution=resolution, reverse=True)
    wait_until(lambda: service.dig(pointer(address), "PTR") == [f"{fqdn}."], 30, "the lease is in DNS")
    assert service.dig(fqdn) == [address]
    assert len(service.dig(fqdn, "DHCID")) == 1
    kea.expire(fqdn, address, resolution=resolution, reverse=True)
    wait_until(lambda: service.dig(pointer(address), "PTR") == [], 30, "the end of the lease is in DNS")
    assert (service.dig(fqdn), service.dig(fqdn, "DHCID")) == ([], [])


@pytest.mark.parametrize("resolution", [True, False])
def test_kea_leaves_a_host_alone(service: Service, kea: Kea, resolution: bool) -> None:
    fqdn = f"host-{resolution}.{service.domain}".lower()
    service.register(fqdn, ip="192.0.2.1")
    kea.lease(fqdn, "10.77.3.9", resolution=resolution)
    wait_until(lambda: any("REJECTED" in line and fqdn in line for line in kea.said), 30, "Kea gave up")
    kea.expire(fqdn, "192.0.2.1", resolution=resolution)
    end = f"kea-end-{resolution}.{service.domain}".lower()
    kea.lease(end, "10.77.3.10", resolution=resolution)
    wait_until(lambda: service.dig(end) == ["10.77.3.10"], 30, "Kea has worked on what was before")
    assert (service.dig(fqdn), service.dig(fqdn, "DHCID")) == (["192.0.2.1"], [])


# ---- ISC dhcpd

SUBNETS = """
authoritative;
default-lease-time 600;
ignore client-updates;
subnet 10.77.1.0 netmask 255.255.255.0 {}
subnet 10.77.2.0 netmask 255.255.255.0 { range 10.77.2.50 10.77.2.50; }
"""


CLIENT_SCRIPT = """\
#!/bin/sh
[ "$reason" != BOUND ] || ip addr replace "$new_ip_address/24" dev "$interface"
"""
"""What the client's own script does, without a change of its resolver: that file is this machine's."""


@contextmanager
def dhcpd(namespace: str, folder: Path, text: str) -> Iterator[None]:
    """ISC dhcpd in the namespace."""
    program = shutil.which("dhcpd", path="/usr/sbin:/usr/bin")
    assert program, "dhcpd is not installed (apt-get install isc-dhcp-server)"
    folder.mkdir()
    file, leases, log = folder / "dhcpd.conf", folder / "leases", folder / "log"
    file.write_text(text + SUBNETS)
    leases.touch()
    command: list[str | Path] = [program, "-4", "-f", "-d", "-cf", file, "-lf", leases, "-pf", folder / "pid", "lan0"]
    with log.open("wb") as out:
        server = subprocess.Popen(["ip", "netns", "exec", namespace, *command], stdout=out, stderr=out)
    try:
        wait_until(lambda: "Server starting service" in log.read_text(), 30, "dhcpd")
        yield
    finally:
        server.terminate()
        server.wait(20)


def dhclient(namespace: str, folder: Path, name: str, *options: str) -> None:
    """Get a lease under this name, or release it."""
    file, script = folder / "dhclient.conf", folder / "dhclient-script"
    script.write_text(CLIENT_SCRIPT)
    script.chmod(0o755)
    file.write_text(f'send host-name "{name}";\ntimeout 30;\n')
    if not options:  # servers offer no address that answers
        ip("-n", namespace, "addr", "flush", "dev", "eth0")
    command: list[str | Path] = ["dhclient", "-4", "-1", "-sf", script, "-cf", file, "-lf", folder / "client.leases"]
    done = subprocess.run(
        ["ip", "netns", "exec", namespace, *command, "-pf", folder / "client.pid", *options, "eth0"],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_dhcpd_publishes_a_lease(service: Service, networks: tuple[str, str], tmp_path: Path) -> None:
    server, client = networks
    text = config(service, "dhcpd").replace("primary 127.0.0.1;", f"primary {HOST};")
    fqdn = f"laptop.{service.domain}"
    with dhcpd(server, tmp_path / "dhcpd", text):
        try:
            dhclient(client, tmp_path, "laptop")
            wait_until(lambda: service.dig(pointer(CLIENT), "PTR") == [f"{fqdn}."], 30, "the lease is in DNS")
            assert service.dig(fqdn) == [CLIENT]
        finally:
            dhclient(client, tmp_path, "laptop", "-r")
        wait_until(lambda: service.dig(fqdn) == [], 30, "the end of the lease is in DNS")


def test_dhcpd_leaves_a_host_alone(service: Service, networks: tuple[str, str], tmp_path: Path) -> None:
    """Also without detection of conflicts."""
    server, client = networks
    service.register(f"server.{service.domain}", ip="192.0.2.1")
    text = service.cli("dhcp-key", "add", "dhcpd-2", "--domain", service.domain, "--for", "dhcpd").stdout
    text = text.replace("primary 127.0.0.1;", f"primary {HOST};") + "update-conflict-detection false;\n"
    with dhcpd(server, tmp_path / "dhcpd", text):
        try:
            dhclient(client, tmp_path, "server")
            log = tmp_path / "dhcpd" / "log"
            wait_until(lambda: "FAILED" in log.read_text(), 30, "dhcpd gave up")
        finally:
            dhclient(client, tmp_path, "server", "-r")
    assert service.dig(f"server.{service.domain}") == ["192.0.2.1"]


# ---- dnsmasq


class Dnsmasq:
    """What dnsmasq says to its script of leases."""

    def __init__(self, service: Service, file: Path) -> None:
        self.service, self.file = service, file

    def event(self, *arguments: str, old: str = "") -> "subprocess.CompletedProcess[str]":
        """Call the script as dnsmasq does."""
        env = {"PATH": "/usr/bin:/bin", "DDNS_UPDATE_LEASE_CONFIG": str(self.file)}
        env |= {"DNSMASQ_OLD_HOSTNAME": old} if old else {}
        kind, address, *name = arguments
        command = [sys.executable, str(SCRIPT), kind, "02:00:00:00:00:01", address, *name]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def dnsmasq(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Dnsmasq:
    file = tmp_path_factory.mktemp("dnsmasq") / "ddns-update-lease.conf"
    file.write_text(config(service, "dnsmasq"))
    return Dnsmasq(service, file)


def test_the_script_of_dnsmasq_follows_a_lease(service: Service, dnsmasq: Dnsmasq) -> None:
    zone, address = service.domain, "10.77.4.1"

    def names() -> tuple[list[str], list[str], list[str]]:
        return service.dig(f"tv.{zone}"), service.dig(f"radio.{zone}"), service.dig(pointer(address), "PTR")

    for kind in ("add", "old"):
        assert dnsmasq.event(kind, address, "TV").returncode == 0
        assert names() == ([address], [], [f"tv.{zone}."])
    assert dnsmasq.event("old", address, "radio", old="tv").returncode == 0
    assert names() == ([], [address], [f"radio.{zone}."])
    assert dnsmasq.event("old", address, old="radio").returncode == 0
    assert names() == ([], [], [])
    assert dnsmasq.event("add", "2001:db8::7", "tv").returncode == 0
    assert service.dig(f"tv.{zone}", "AAAA") == ["2001:db8::7"]
    assert dnsmasq.event("del", "2001:db8::8", "tv").returncode == 0
    assert service.dig(f"tv.{zone}", "AAAA") == ["2001:db8::7"], "the end of another lease removes nothing"
    assert dnsmasq.event("del", "2001:db8::7", "tv").returncode == 0
    assert service.dig(f"tv.{zone}", "AAAA") == []


def test_the_script_of_dnsmasq_leaves_a_host_alone(service: Service, dnsmasq: Dnsmasq) -> None:
    service.register(f"printer.{service.domain}", ip="192.0.2.1")
    done = dnsmasq.event("add", "10.77.4.2", "printer")
    assert (done.returncode, "YXDOMAIN" in done.stderr or "NXRRSET" in done.stderr) == (1, True)
    assert service.dig(f"printer.{service.domain}") == ["192.0.2.1"]


@pytest.mark.parametrize("name", ["", "-x", "a_b", "*"])
def test_the_script_of_dnsmasq_ignores_bad_names(dnsmasq: Dnsmasq, name: str) -> None:
    assert (dnsmasq.event("add", "10.77.4.3", name).returncode, dnsmasq.event("tftp", "10.77.4.3").returncode) == (0, 0)


def test_dnsmasq_calls_the_script(service: Service, networks: tuple[str, str], tmp_path: Path) -> None:
    """The real dnsmasq, as the documentation configures it, with a real client."""
    server, client = networks
    text = service.cli("dhcp-key", "add", "dnsmasq-2", "--domain", service.domain, "--for", "dnsmasq").stdout
    lines = [f"endpoint = {HOST}:53" if line.startswith("endpoint") else line for line in text.splitlines()]
    file, script = tmp_path / "lease.conf", tmp_path / "script"
    file.write_text("\n".join(lines) + "\n")
    script.write_text(f'#!/bin/sh\nDDNS_UPDATE_LEASE_CONFIG={file} exec {sys.executable} {SCRIPT} "$@"\n')
    script.chmod(0o755)
    program = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin")
    assert program, "dnsmasq is not installed (apt-get install dnsmasq-base)"
    options = [
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--port=0",
        "--interface=lan0",
        "--user=root",
        "--dhcp-range=10.77.2.60,10.77.2.60,600",
        f"--dhcp-leasefile={tmp_path / 'leases'}",
        f"--pid-file={tmp_path / 'pid'}",
        f"--dhcp-script={script}",
        "--dhcp-authoritative",
    ]
    running = subprocess.Popen(["ip", "netns", "exec", server, program, *options])
    try:
        dhclient(client, tmp_path, "camera")
        wait_until(lambda: service.dig(f"camera.{service.domain}") == ["10.77.2.60"], 30, "the lease is in DNS")
        dhclient(client, tmp_path, "camera", "-r")
        wait_until(lambda: service.dig(f"camera.{service.domain}") == [], 30, "the end of the lease is in DNS")
    finally:
        running.terminate()
        running.wait(20)
