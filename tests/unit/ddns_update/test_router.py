# SPDX-License-Identifier: GPL-3.0-or-later
"""The router's WAN address by NAT-PMP and UPnP, and what follows from it: NAT, double NAT, CGNAT."""

import json
import select
import socket
import socketserver
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path

import pytest
from support.clients.updater import HOST, Machine
from support.servers.http_stub import Asked, Said, Web, web

WAN = "198.51.100.77"


@contextmanager
def udp(answer: Callable[[bytes], bytes | None]) -> Iterator[int]:
    """A UDP server on a free loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                data, sender = sock.recvfrom(4096)
                if data == b"end":
                    return
                if (said := answer(data)) is not None:
                    sock.sendto(said, sender)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"end", sock.getsockname())
            thread.join()


def natpmp(wan: str, code: int = 0) -> Callable[[bytes], bytes | None]:
    """Answers the request for the external address (RFC 6886, 3.2)."""
    return lambda data: struct.pack("!BBHI", 0, 128, code, 7) + socket.inet_aton(wan) if data == b"\0\0" else None


DEVICE = """<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><device>
<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>
<serviceList><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType>
<controlURL>/ctl/L3F</controlURL></service></serviceList>
<deviceList><device><deviceList><device><serviceList><service>
<serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>
<serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>
<SCPDURL>/WANIPCn.xml</SCPDURL><controlURL>/ctl/IPConn?a=1&amp;b=2</controlURL><eventSubURL>/evt/IPConn</eventSubURL>
</service></serviceList></device></deviceList></device></deviceList></device></root>"""
REPLY = """<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"
 s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>
<u:GetExternalIPAddressResponse xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1">
<NewExternalIPAddress>{}</NewExternalIPAddress></u:GetExternalIPAddressResponse></s:Body></s:Envelope>"""


@contextmanager
def upnp(
    machine: Machine, wan: str, location: str = "", description: str = DEVICE, reply: str = REPLY
) -> Iterator[Web]:
    """A router that answers SSDP by unicast, for there is no multicast on loopback, and speaks SOAP."""

    def answer(asked: Asked) -> Said:
        if asked.target == "/rootDesc.xml":
            return 200, description
        action = '"urn:schemas-upnp-org:service:WANIPConnection:1#GetExternalIPAddress"'
        if asked.target != "/ctl/IPConn?a=1&b=2" or asked.headers["soapaction"] != action:
            return 500, "<errorCode>401</errorCode>"
        assert "<u:GetExternalIPAddress " in asked.body
        return 200, reply.format(wan)

    def found(data: bytes) -> bytes | None:
        lines = data.decode().split("\r\n")
        assert lines[0] == "M-SEARCH * HTTP/1.1"
        assert 'MAN: "ssdp:discover"' in lines
        if "ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1" not in lines:
            return None
        at = location or f"{router.url}/rootDesc.xml"
        return f"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nEXT:\r\nLocation: {at}\r\n\r\n".encode()

    with web(answer) as router, udp(found) as port:
        machine.updater.SSDP = ("127.0.0.1", port)
        machine.updater.LAN = [ip_network("127.0.0.0/8")]
        machine.updater.ROUTERS["upnp"] = machine.routers["upnp"]
        yield router


@contextmanager
def pmp(machine: Machine, answer: Callable[[bytes], bytes | None]) -> Iterator[None]:
    with udp(answer) as port:
        machine.gateway, machine.updater.NATPMP_PORT = "127.0.0.1", port
        machine.updater.ROUTERS["natpmp"] = machine.routers["natpmp"]
        yield


def test_natpmp_tells_the_address(machine: Machine, server: Web) -> None:
    machine.configure(server.url, sources="natpmp")
    with pmp(machine, natpmp(WAN)):
        assert machine.run().out == f"{HOST}: updated: {WAN}\n"
        assert machine.run().out == f"{HOST}: current: {WAN}\n"


def test_natpmp_asks_again_when_a_packet_is_lost(machine: Machine, server: Web) -> None:
    machine.configure(server.url, sources="natpmp")
    lost = [b"\0\0"]
    with pmp(machine, lambda data: None if lost and lost.pop() else natpmp(WAN)(data)):
        assert machine.run().status == 0


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (natpmp(WAN, 2), "the router answered NAT-PMP with error 2"),
        (natpmp(WAN, 3), "natpmp: the router says that it has no public address"),
        (natpmp("0.0.0.0"), "natpmp: the router says that it has no public address"),
        (natpmp("169.254.3.4"), "169.254.3.4 is loopback, link-local, multicast or reserved"),
        (natpmp("100.64.0.9"), "the router's own address 100.64.0.9 is not public"),
        (natpmp("192.168.178.2"), "the router's own address 192.168.178.2 is not public"),
    ],
)
def test_natpmp_without_an_address(
    machine: Machine, server: Web, answer: Callable[[bytes], bytes | None], reason: str
) -> None:
    machine.configure(server.url, sources="natpmp")
    with pmp(machine, answer):
        ran = machine.run()
    assert (ran.status, server.asked) == (1, [])
    assert reason in ran.out


def test_a_router_without_natpmp(machine: Machine, server: Web) -> None:
    machine.configure(server.url, sources="natpmp")
    with pmp(machine, natpmp(WAN)):
        pass
    assert "the router 127.0.0.1 does not speak NAT-PMP: Connection refused" in machine.run().out


def test_upnp_tells_the_address(machine: Machine, server: Web) -> None:
    machine.configure(server.url, sources="upnp")
    with upnp(machine, WAN) as router:
        assert machine.run().out == f"{HOST}: updated: {WAN}\n"
        assert [asked.method for asked in router.taken()] == ["GET", "POST"]
        assert machine.run().out == f"{HOST}: current: {WAN}\n"


def test_upnp_takes_no_description_from_elsewhere(machine: Machine, server: Web) -> None:
    machine.configure(server.url, sources="upnp")
    with web(lambda _: DEVICE) as rogue, upnp(machine, WAN, "http://127.0.0.2:1/rootDesc.xml") as router:
        assert "no router answers UPnP" in machine.run().out
        assert (rogue.asked, router.asked) == ([], [])


@pytest.mark.parametrize(
    "control",
    [
        "http://127.0.0.2:{port}/ctl",
        "//127.0.0.2:{port}/ctl",
        "http://127.0.0.1@127.0.0.2:{port}/ctl",
        "http&#58;//127.0.0.2:{port}/ctl",
        "http://localhost:{port}/ctl",
        "https://127.0.0.1:{port}/ctl",
        "http://127.0.0.1:99999/ctl",
        "http://127.0.0.1:0/ctl",
        "http://[127.0.0.1/ctl",
        "ftp://127.0.0.1/ctl",
        "file:///etc/passwd",
        "/ctl&#13;&#10;X: y",
        "",
    ],
)
def test_upnp_sends_nothing_elsewhere(machine: Machine, server: Web, control: str) -> None:
    machine.configure(server.url, sources="upnp")
    with socketserver.TCPServer(("127.0.0.2", 0), socketserver.BaseRequestHandler) as victim:
        victim.timeout = 0
        own = control.format(port=victim.server_address[1])
        description = DEVICE.replace("/ctl/IPConn?a=1&amp;b=2", own)
        with upnp(machine, WAN, description=description) as router:
            ran = machine.run()
            assert [asked.method for asked in router.taken()] == ["GET"]
        assert not select.select([victim], [], [], 0)[0]
    assert (ran.status, server.asked) == (1, [])
    assert "Traceback" not in ran.out + ran.err


def test_upnp_may_use_another_port_of_the_router(machine: Machine, server: Web) -> None:
    machine.configure(server.url, sources="upnp")
    with web(lambda _: REPLY.format(WAN)) as other:
        description = DEVICE.replace("/ctl/IPConn?a=1&amp;b=2", f"{other.url}/ctl")
        with upnp(machine, "", description=description):
            assert machine.run().out == f"{HOST}: updated: {WAN}\n"


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_upnp_with_a_port_that_is_none(machine: Machine, server: Web, port: str) -> None:
    machine.configure(server.url, sources="upnp")
    with upnp(machine, WAN, f"http://127.0.0.1:{port}/rootDesc.xml"):
        assert "no router answers UPnP" in machine.run().out


def test_upnp_asks_no_router_outside_the_local_network(machine: Machine, server: Web) -> None:
    machine.configure(server.url, sources="upnp")
    with upnp(machine, WAN) as router:
        machine.updater.LAN = machine.updater.PRIVATE
        assert "no router answers UPnP" in machine.run().out
        assert router.asked == []


def test_upnp_asks_few_services(machine: Machine, server: Web) -> None:
    machine.configure(server.url, sources="upnp")
    begin, end = DEVICE.index("<service>"), DEVICE.rindex("</service>") + len("</service>")
    description = DEVICE[:begin] + 50 * DEVICE[begin:end] + DEVICE[end:]
    with upnp(machine, "fe80::1", description=description) as router:
        assert "does not report a WAN address" in machine.run().out
        assert len(router.taken()) == 1 + machine.updater.MOST_SERVICES


LONG = 1_000_000
PAGES = {
    "services without an end": "<service>" * (LONG // 9),
    "types without an end": "<service>" + "<serviceType>" * (LONG // 13) + "</service>",
    "blanks": "<service><serviceType>" + " " * LONG + "</serviceType></service>",
    "addresses without an end": "<NewExternalIPAddress" * (LONG // 21),
    "a blank address": "<NewExternalIPAddress>" + " " * LONG,
    "a long address": "<NewExternalIPAddress>" + "1." * (LONG // 2),
    "zones without an end": "<HostedZone>" * (LONG // 12),
    "messages without an end": "<Message>" * (LONG // 9),
    "codes without an end": "<Code>" * (LONG // 6),
    "colons": ":" * LONG,
    "digits": "1" * LONG,
    "short words": "1: " * (LONG // 3),
    "depth": "[" * LONG,
}


@pytest.mark.parametrize("page", PAGES)
def test_no_page_takes_long_to_read(tmp_path: Path, page: str) -> None:
    """A limit of processor time ends what would take minutes."""
    (tmp_path / "page").write_text(PAGES[page])
    script = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from support.clients.updater import load
updater, text = load(), open("page").read()
updater.controls("http://192.168.1.1/x", text)
updater.reported_wan(text)
updater.addresses_in(text)
[list(updater.elements(text, tag)) for tag in ("service", "HostedZone", "Id", "Code", "Message")]
updater.excerpt(text)
try:
    updater.parse_json(text)
except updater.Failure:
    pass
print("read")
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "read\n", "")


@pytest.mark.parametrize(
    ("wan", "reason"),
    [
        ("", "the router says that it has no public address"),
        ("0.0.0.0", "the router says that it has no public address"),
        ("fe80::1", "the router does not report a WAN address by UPnP"),
        ("not known", "the router does not report a WAN address by UPnP"),
    ],
)
def test_upnp_without_an_address(machine: Machine, server: Web, wan: str, reason: str) -> None:
    machine.configure(server.url, sources="upnp")
    with upnp(machine, wan):
        assert reason in machine.run().out
    assert server.asked == []


VERDICTS = [
    # local, seen by the server, the router's WAN address, verdict
    ("192.0.2.7", "192.0.2.7", None, "none"),
    ("192.0.2.7", "192.0.2.7", "192.0.2.1", "none"),
    ("10.0.0.7", "10.0.0.7", None, "none"),
    ("192.0.2.7", None, None, "none"),
    ("10.0.0.7", WAN, WAN, "nat"),
    ("10.0.0.7", "10.9.0.1", "10.9.0.1", "nat"),
    ("10.0.0.7", WAN, "100.64.3.4", "cgnat"),
    ("10.0.0.7", "100.64.3.4", "100.64.3.4", "cgnat"),
    ("10.0.0.7", None, "100.64.3.4", "cgnat"),
    ("100.64.3.4", WAN, None, "cgnat"),
    ("10.0.0.7", WAN, "192.168.1.2", "double-nat"),
    ("10.0.0.7", None, "192.168.1.2", "double-nat"),
    ("10.0.0.7", WAN, "203.0.113.8", "double-nat"),
    ("10.0.0.7", WAN, None, "unknown"),
    ("10.0.0.7", None, WAN, "unknown"),
    (None, None, None, "unknown"),
]


@pytest.mark.parametrize(("local", "seen", "wan", "verdict"), VERDICTS)
def test_the_verdict(
    machine: Machine, server: Web, local: str | None, seen: str | None, wan: str | None, verdict: str
) -> None:
    machine.addresses = [local] if local else []
    server.answer = lambda _: (200, seen) if seen else (500, "")
    machine.configure(server.url)
    with pmp(machine, natpmp(wan or "0.0.0.0")):
        ran = machine.run("report", "--json")
        text = machine.run("report").out
    found = json.loads(ran.out)["nat"]
    assert (ran.status, found["verdict"]) == (0, verdict)
    assert (found["local"], found["seen"], found["wan"]) == (local, seen, wan)
    assert f"nat: {verdict}: {found['text']}\n" in text


@pytest.mark.parametrize(
    ("beyond", "verdict", "text"),
    [
        ("100.64.0.1", "cgnat", "the next one has 100.64.0.1, in 100.64.0.0/10; the server sees 198.51.100.77"),
        ("192.168.1.1", "double-nat", "the next one has 192.168.1.1; the server sees 198.51.100.77"),
        ("203.0.113.1", "unknown", "no router reports its address; the server sees 198.51.100.77"),
        (None, "unknown", "no router reports its address; the server sees 198.51.100.77"),
    ],
)
@pytest.mark.parametrize("by", ["natpmp", "upnp"])
def test_the_verdict_where_the_router_tells_no_address(
    machine: Machine, server: Web, beyond: str | None, verdict: str, text: str, by: str
) -> None:
    """As miniupnpd does where its own is not public: the next router's address tells what lies there."""
    machine.addresses = ["10.0.0.7"]
    server.says(WAN)
    machine.configure(server.url)
    machine.updater.second_router = lambda _: beyond
    with pmp(machine, natpmp("0.0.0.0", 3)) if by == "natpmp" else upnp(machine, ""):
        found = json.loads(machine.run("report", "--json").out)["nat"]
    assert (found["verdict"], found["wan"], found["beyond"]) == (verdict, None, beyond)
    assert found["text"].endswith(text)


@pytest.mark.parametrize("seen", ["10.9.0.1", "100.64.3.4"])
def test_a_server_inside_is_not_beyond_anything(machine: Machine, server: Web, seen: str) -> None:
    """What is not public is nothing that the router withholds from a server that sees it."""
    machine.addresses = ["10.0.0.7"]
    server.says(seen)
    machine.configure(server.url)
    machine.updater.second_router = lambda _: pytest.fail("was asked")
    with pmp(machine, natpmp("0.0.0.0", 3)):
        assert json.loads(machine.run("report", "--json").out)["nat"]["verdict"] == "unknown"


def test_the_second_router(machine: Machine, server: Web) -> None:
    """It says that the packet's time is exceeded; no other ICMP message counts, and no silence."""
    machine.configure(server.url)
    (name,) = machine.updater.read_config(str(machine.config)).names
    assert machine.updater.second_router(name) is None
    where = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton("100.64.0.1"))
    for kind, found in ((11, "100.64.0.1"), (3, None)):
        said = struct.pack("=IBBBBII", 113, 2, kind, 0, 0, 0, 0) + where
        assert machine.updater.dropped_by([(socket.IPPROTO_IP, machine.updater.IP_RECVERR, said)]) == found


@pytest.mark.parametrize("verdict", ["cgnat", "double-nat"])
@pytest.mark.parametrize("policy", ["publish", "skip-ipv4", "fail"])
def test_the_policy(machine: Machine, server: Web, verdict: str, policy: str) -> None:
    machine.addresses = ["10.0.0.7", "2001:db8::7"]
    server.answer = lambda asked: WAN if asked.path == "/myip" else "good"
    machine.configure(server.url, nat=policy)
    with pmp(machine, natpmp("100.64.3.4" if verdict == "cgnat" else "192.168.1.2")):
        ran = machine.run()
        again = machine.run()
    both = {"ipv4": WAN, "ipv6": "2001:db8::7"}
    assert machine.state[HOST]["published"] == (both if policy == "publish" else {"ipv6": "2001:db8::7"})
    assert (ran.status, again.status) == ((1, 1) if policy == "fail" else (0, 0))
    if policy == "fail":
        reason = "100.64.3.4 is in 100.64.0.0/10" if verdict == "cgnat" else "the router has the private address"
        assert ran.out.startswith(f"{HOST}: failed: IPv4: {reason}")
    updates = [asked for asked in server.taken() if asked.path == "/nic/update"]
    assert len(updates) == 1


@pytest.mark.parametrize("policy", ["skip-ipv4", "fail"])
def test_plain_nat_is_no_obstacle(machine: Machine, server: Web, policy: str) -> None:
    machine.addresses = ["10.0.0.7"]
    server.answer = lambda asked: WAN if asked.path == "/myip" else "good"
    machine.configure(server.url, nat=policy)
    with pmp(machine, natpmp(WAN)):
        assert machine.run().out == f"{HOST}: updated: {WAN}\n"


@pytest.mark.parametrize("policy", ["skip-ipv4", "fail"])
def test_a_machine_with_the_address_itself_asks_nobody(machine: Machine, server: Web, policy: str) -> None:
    machine.configure(server.url, nat=policy)
    machine.updater.ROUTERS["natpmp"] = machine.routers["natpmp"]
    assert machine.run().status == 0
    assert machine.run().status == 0
    assert [asked.path for asked in server.taken()] == ["/nic/update"]


def test_a_report_sends_no_update_and_names_every_source(machine: Machine, server: Web) -> None:
    machine.addresses = ["10.0.0.7", "2001:db8::7"]
    server.says(WAN)
    machine.configure(server.url, sources="command, auto", command="echo 203.0.113.5")
    with upnp(machine, WAN):
        ran = machine.run("report")
        found = json.loads(machine.run("report", "--json").out)
    assert ran.status == 0
    assert [line.split(":")[0] for line in ran.out.splitlines()] == [
        "command",
        "interface",
        "server",
        "natpmp",
        "upnp",
        "nat",
    ]
    assert "interface: 10.0.0.7, 2001:db8::7\n" in ran.out
    assert f"upnp: {WAN}, no IPv6 (routers report only IPv4 addresses)\n" in ran.out
    assert found["sources"]["command"]["ipv4"] == "203.0.113.5"
    assert found["sources"]["natpmp"]["errors"]["ipv4"] == "no router"
    assert {asked.path for asked in server.taken()} == {"/myip"}
    assert not machine.state_file.exists()
