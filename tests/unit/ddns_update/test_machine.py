# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's own account of addresses and routes, in a network namespace of the test's."""

from pathlib import Path

import pytest
from support.clients.updater import PROGRAM, apart

READ = """
import json
from support.clients.updater import load
u = load()
own = [[o.address, o.family, o.flags] for o in u.machine_addresses() if not o.address.startswith("fe80")]
routes = [u.default_route(family) for family in u.FAMILIES]
name = u.Name("vm.example.org", {"server": "http://ddns.example"})
chosen = []
for family in u.FAMILIES:
    try:
        chosen.append(u.interface(u.Sources(), name, family))
    except u.NoAddress:
        chosen.append(None)
print(json.dumps({"own": own, "routes": routes, "chosen": chosen}))
"""
UP = (
    "link add wan0 type veth peer name wan1",
    "link add lan0 type veth peer name lan1",
    "link set wan0 up",
    "link set wan1 up",
    "link set lan0 up",
    "link set lan1 up",
)


def test_addresses_and_routes_are_read() -> None:
    found = apart(
        READ,
        *UP,
        "addr add 203.0.113.9/24 dev lan0",
        "addr add 192.0.2.9/24 dev wan0",
        "addr add 192.0.2.10/24 dev wan0",
        "addr add 2001:db8:1::9/64 dev lan0 nodad",
        "addr add 2001:db8::9/64 dev wan0 nodad",
        "addr add 2001:db8::a/64 dev wan0 nodad preferred_lft 0",
        "addr add fd00::9/64 dev wan0 nodad",
        "route add default via 192.0.2.1 dev wan0 metric 100",
        "route add default via 203.0.113.1 dev lan0 metric 200",
        "-6 route add default via fe80::1 dev wan0",
        "route add unreachable default metric 5000",
    )
    assert found["routes"] == [["wan0", "192.0.2.1"], ["wan0", "fe80::1"]]
    assert found["chosen"] == ["192.0.2.9", "2001:db8::9"]
    flags = {address: flag for address, _, flag in found["own"]}
    assert {"127.0.0.1", "::1", "203.0.113.9", "192.0.2.9", "192.0.2.10", "2001:db8::9", "fd00::9"} <= set(flags)
    assert flags["2001:db8::a"] & 0x20
    assert not flags["2001:db8::9"] & 0x20
    assert flags["2001:db8::9"] & 0x80


def test_without_a_default_route_any_address_will_do() -> None:
    found = apart(READ, *UP, "addr add 192.0.2.9/24 dev wan0")
    assert (found["routes"], found["chosen"]) == ([None, None], ["192.0.2.9", None])


def test_an_interface_without_an_address_of_its_own() -> None:
    """The default route leads through one, the address is on another."""
    found = apart(READ, *UP, "addr add 192.0.2.9/32 dev lan0", "route add default dev wan0")
    assert found["chosen"][0] == "192.0.2.9"


def test_nothing_but_loopback() -> None:
    assert apart(READ)["chosen"] == [None, None]


HANDLER = """
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = self.client_address[0].encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass
"""
"""It answers with the address of the caller."""

VIEW = """
import http.server, json, socket, threading
from support.clients.updater import load

class Server(http.server.HTTPServer):
    address_family = socket.AF_INET6

HANDLER

u = load()
with Server(("::", 0), Handler) as server, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as usual:
    threading.Thread(target=server.serve_forever, args=(0.02,)).start()
    usual.connect(("2001:db8::b", 9))
    name = u.Name("vm.example.org", {"server": f"http://[2001:db8::b]:{server.server_address[1]}"})
    print(json.dumps([usual.getsockname()[0], u.server(u.Sources(), name, "ipv6")]))
    server.shutdown()
""".replace("HANDLER", HANDLER)


def test_the_view_is_that_of_the_address_to_be_published() -> None:
    """The kernel would take the leased one, which is nearer to the server's; the policy prefers the permanent one."""
    usual, seen = apart(
        VIEW,
        *UP[:1],
        "link set wan0 up",
        "link set wan1 up",
        "addr add 2001:db8::b/128 dev lo nodad",
        "addr add 2001:db8::9/64 dev wan0 nodad",
        "addr add 2001:db8::a/64 dev wan0 nodad valid_lft 5000 preferred_lft 4000",
    )
    assert seen == "2001:db8::9"
    assert usual != seen


UPLINKS = """
import json, os, subprocess, sys
from support.clients.updater import load
from support.ports import wait_until
u = load()
server = '''
import http.server, sys
HANDLER
sys.stdin.readline()
with http.server.HTTPServer(("203.0.113.1", 80), Handler) as server:
    print("ready", flush=True)
    server.serve_forever()
'''
far = subprocess.Popen(["unshare", "--net", sys.executable, "-c", server], stdin=subprocess.PIPE,
                       stdout=subprocess.PIPE, text=True)

def ip(line, *inside):
    subprocess.run([*inside, "ip", *line.split()], check=True)

try:
    own = os.readlink("/proc/self/ns/net")
    wait_until(lambda: os.readlink(f"/proc/{far.pid}/ns/net") != own, 20, "another namespace")
    there = ["nsenter", "--net", "--target", str(far.pid)]
    ip("link set lo up", *there)
    ip("addr add 203.0.113.1/32 dev lo", *there)
    for wan, network in (("wan0", "192.0.2"), ("wan1", "198.51.100")):
        ip(f"link add {wan} type veth peer name far netns {far.pid}")
        ip(f"link set far name far{wan}", *there)
        ip(f"addr add {network}.1/24 dev far{wan}", *there)
        ip(f"link set far{wan} up", *there)
        ip(f"addr add {network}.9/24 dev {wan}")
        ip(f"link set {wan} up")
    ip("route add default via 192.0.2.1 dev wan0 metric 100")
    ip("route add default via 198.51.100.1 dev wan1 metric 200")
    far.stdin.write("\\n"); far.stdin.flush()
    far.stdout.readline()
    seen = {}
    for wan in ("", "wan0", "wan1"):
        name = u.Name("vm.example.org", {"server": "http://203.0.113.1", "interface": wan, "sources": "server"})
        seen[wan] = u.Sources().ask("server", name, "ipv4")
    told = [u.routing("wan1"), u.routing("none0")]
    real = u.socket.socket.setsockopt
    class Unprivileged(u.socket.socket):
        def setsockopt(self, level, option, value):
            if option == u.socket.SO_BINDTODEVICE:
                raise PermissionError(1, "Operation not permitted")
            real(self, level, option, value)
    u.socket.socket = Unprivileged
    told.append(u.routing("wan1"))
    name = u.Name("vm.example.org", {"server": "http://203.0.113.1:9", "interface": "wan1", "sources": "server"})
    try:
        u.Sources().ask("server", name, "ipv4")
    except u.Failure as error:
        told.append(str(error))
    name = u.Name("vm.example.org", {"server": "http://203.0.113.1", "interface": "wan1", "sources": "server"})
    seen["unprivileged"] = u.Sources().ask("server", name, "ipv4")
finally:
    far.kill(); far.wait()
print(json.dumps({"seen": seen, "told": told}))
""".replace("HANDLER", HANDLER)


def test_two_names_follow_two_uplinks() -> None:
    """The server sees the address of the interface that the name wants, whatever the default route is."""
    found = apart(UPLINKS)
    assert found["seen"] == {
        "": "192.0.2.9",
        "wan0": "192.0.2.9",
        "wan1": "198.51.100.9",
        "unprivileged": "198.51.100.9",
    }
    note = "; the kernel does not let this user bind to wan1, so routes must follow its source address"
    plain = "requests for the server's view leave by wan1"
    assert found["told"] == [
        plain,
        "none0: No such device",
        plain + note,
        f"cannot reach 203.0.113.1 port 9: Connection refused{note}",
    ]


WATCH = """
import argparse, json, subprocess, threading
from support.clients.updater import load
u = load()
ran, ready = [], threading.Semaphore(0)
class Done(Exception): pass

def execute():
    name = u.Name("vm.example.org", {"server": "http://ddns.example", "sources": "interface"})
    try:
        ran.append(sorted(u.Sources().choose(name)[0].values()))
    except u.Failure:
        ran.append([])
    ready.release()
    if len(ran) == 5:
        raise Done
    return 0

def watch():
    try:
        u.watch(argparse.Namespace(state="/nowhere"), execute)
    except Done:
        pass

thread = threading.Thread(target=watch, daemon=True)
thread.start()

def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)

def until():
    if not ready.acquire(timeout=20):
        raise SystemExit("no run: " + repr(ran))

until()
ip("addr", "add", "192.0.2.9/24", "dev", "wan0"); until()
ip("addr", "add", "2001:db8::9/64", "dev", "wan0", "nodad"); until()
ip("link", "add", "other0", "type", "veth")
ip("route", "add", "default", "via", "192.0.2.1"); until()
ip("addr", "del", "192.0.2.9/24", "dev", "wan0"); until()
thread.join(10)
print(json.dumps(ran))
"""


def test_watch_runs_when_an_address_comes_or_goes() -> None:
    """At the start, for each address, for the default route and for a loss; not for a link without an address."""
    ran = apart(WATCH, *UP[:1], "link set wan0 up", "link set wan1 up")
    assert ran == [[], ["192.0.2.9"], ["192.0.2.9", "2001:db8::9"], ["192.0.2.9", "2001:db8::9"], ["2001:db8::9"]]


WHOLE = """
import json, os, subprocess, sys
from pathlib import Path
from support.ports import wait_until
from support.servers.http_stub import web
program, folder = os.environ["PROGRAM"], Path(os.environ["FOLDER"])
with web(lambda _: "good") as server:
    (folder / "secret").write_text("the-secret")
    (folder / "conf").write_text(f"[vm.example.org]\\nserver = {server.url}\\nsources = interface\\n"
                                 f"secret_file = {folder}/secret\\n")
    out = (folder / "out").open("w")
    watch = subprocess.Popen(
        [sys.executable, "-B", program, "watch", "--config", folder / "conf", "--state", folder / "state"], stdout=out)
    try:
        wait_until(lambda: "failed" in (folder / "out").read_text(), 20, "first run")
        subprocess.run(["ip", "addr", "add", "192.0.2.9/24", "dev", "wan0"], check=True)
        wait_until(lambda: bool(server.asked), 20, "update")
        wait_until(lambda: "updated" in (folder / "out").read_text(), 20, "second line")
        (folder / "conf").write_text("[broken")
        subprocess.run(["ip", "addr", "add", "192.0.2.10/24", "dev", "wan0"], check=True)
        status = watch.wait(20)
    finally:
        watch.kill(); watch.wait()
    print(json.dumps({"asked": [a.query["myip"] for a in server.asked], "out": (folder / "out").read_text(),
                      "status": status}))
"""


def test_watch_as_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It publishes a new address, and ends when the configuration has become wrong."""
    monkeypatch.setenv("PROGRAM", str(PROGRAM))
    monkeypatch.setenv("FOLDER", str(tmp_path))
    found = apart(WHOLE, *UP[:1], "link set wan0 up", "link set wan1 up")
    assert found["asked"] == ["192.0.2.9"]
    assert found["out"].splitlines()[1] == "vm.example.org: updated: 192.0.2.9"
    assert found["status"] == 2
