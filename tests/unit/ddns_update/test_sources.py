# SPDX-License-Identifier: GPL-3.0-or-later
"""Where addresses come from: the machine's own with the IPv6 policy, the server's view, commands, clouds, a quorum."""

import json
import sys

import pytest
from support.clients.updater import HOST, IPV4, IPV6, Machine
from support.servers.http_stub import Asked, Said, Web, web

TEMPORARY, DAD_FAILED, DEPRECATED, TENTATIVE = 0x01, 0x08, 0x20, 0x40
EUI, MANUAL, YOUNG, OLD, GONE, NEW, TWICE, LOCAL, ULA = (
    f"2001:db8::{suffix}" for suffix in ("e", "f", "1:1", "1:2", "1:3", "1:4", "1:5", "1:6", "1:7")
)
LOCAL, ULA = "fe80::1", "fd00::7"
FLAGS = {
    EUI: 0,
    MANUAL: 0x80,
    YOUNG: TEMPORARY,
    OLD: TEMPORARY | DEPRECATED,
    GONE: DEPRECATED,
    NEW: TENTATIVE,
    TWICE: DAD_FAILED,
    LOCAL: 0x80,
    ULA: 0x80,
}


def published(machine: Machine) -> dict[str, str]:
    """The addresses of a first run; {} where it found none."""
    ran = machine.run("--json")
    addresses: dict[str, str] = ran.names[0]["published"]
    assert ran.status == (0 if addresses else 1)
    return addresses


@pytest.mark.parametrize(
    ("policy", "addresses", "chosen"),
    [
        ("stable", [YOUNG, OLD, GONE, NEW, TWICE, LOCAL, ULA, EUI], EUI),
        ("stable", [EUI, MANUAL], MANUAL),
        ("stable", [MANUAL, EUI], MANUAL),
        ("stable", [YOUNG, OLD], None),
        ("stable", [GONE], None),
        ("stable", [NEW], None),
        ("stable", [TWICE], None),
        ("stable", [LOCAL, ULA], None),
        ("temporary", [EUI, YOUNG, OLD, ULA], YOUNG),
        ("temporary", [EUI, OLD], EUI),
        ("any", [ULA, EUI], EUI),
        ("any", [GONE, YOUNG], YOUNG),
        ("any", [ULA], ULA),
        ("any", [NEW, LOCAL], NEW),
        ("any", [GONE], GONE),
        ("any", [LOCAL], None),
        ("any", [TWICE], None),
        ("no", [EUI], None),
    ],
)
def test_the_ipv6_policy(machine: Machine, server: Web, policy: str, addresses: list[str], chosen: str | None) -> None:
    machine.addresses, machine.flags = [*addresses, IPV4], FLAGS
    machine.configure(server.url, sources="interface", ipv6=policy)
    assert published(machine) == {"ipv4": IPV4, **({"ipv6": chosen} if chosen else {})}


@pytest.mark.parametrize(
    ("addresses", "chosen"),
    [
        (["10.0.0.7", "192.0.2.7"], "192.0.2.7"),
        (["10.0.0.7", "10.0.0.8"], "10.0.0.7"),
        (["127.0.0.1", "169.254.3.4", "100.64.0.7"], "100.64.0.7"),
        (["127.0.0.1", "169.254.3.4", "0.1.2.3", "224.0.0.5", "250.0.0.1"], None),
    ],
)
def test_the_ipv4_of_the_interface(machine: Machine, server: Web, addresses: list[str], chosen: str | None) -> None:
    machine.addresses = addresses
    machine.configure(server.url, sources="interface")
    assert published(machine) == ({"ipv4": chosen} if chosen else {})


def test_a_named_interface(machine: Machine, server: Web) -> None:
    machine.configure(server.url, sources="interface", interface="eth0")
    assert published(machine)["ipv4"] == IPV4
    machine.configure(server.url, sources="interface", interface="wan7")
    ran = machine.run()
    assert ran.status == 1
    assert "cannot read the addresses of wan7; does it exist?" in ran.out


@pytest.mark.parametrize(
    ("own", "view", "chosen"),
    [
        ("192.0.2.7", "198.51.100.1", "192.0.2.7"),
        ("10.0.0.7", "198.51.100.1", "198.51.100.1"),
        ("100.64.0.7", "198.51.100.1\n", "198.51.100.1"),
        ("10.0.0.7", "10.0.0.7", "10.0.0.7"),
        ("10.0.0.7", "127.0.0.1", None),
        ("10.0.0.7", "", None),
        ("10.0.0.7", "<html>Welcome</html>", None),
    ],
)
def test_auto(machine: Machine, server: Web, own: str, view: str, chosen: str | None) -> None:
    machine.addresses = [own]
    server.answer = lambda asked: view if asked.path == "/myip" else "good"
    machine.configure(server.url + "/nic/update")
    assert published(machine) == ({"ipv4": chosen} if chosen else {})


def test_auto_without_a_server_to_ask_takes_the_private_address(machine: Machine, server: Web) -> None:
    machine.addresses = ["10.0.0.7"]
    server.says("OK")
    machine.configure(provider="duckdns", endpoint=server.url)
    assert published(machine) == {"ipv4": "10.0.0.7"}


@pytest.mark.parametrize(
    "page",
    [
        "<html><head><title>Current IP Check</title></head><body>Current IP Address: 198.51.100.9</body></html>",
        "fl=29f1\nh=www.example\nip=198.51.100.9\nts=1700000000.1\nvisit_scheme=https\n",
        "198.51.100.9",
        "\r\n198.51.100.9\r\n",
        "::ffff:198.51.100.9\n",
    ],
)
def test_a_page_that_tells_the_address(machine: Machine, server: Web, page: str) -> None:
    server.answer = lambda asked: page if asked.path == "/myip" else "good"
    machine.configure(server.url, sources="server")
    assert published(machine) == {"ipv4": "198.51.100.9"}


@pytest.mark.parametrize(
    "page",
    [
        "<style>p::before, a.be::added { }</style> <p>2001:db8::1</p> <p>You come from 198.51.100.9.</p>",
        "<html><head><title>Welcome to the hotel</title></head><body>Current IP Address: 198.51.100.9</body></html>",
        "<html><body>\nip=198.51.100.9\n</body></html>",
        "You come from 198.51.100.9",
        "198.51.100.9 198.51.100.10",
        "ip=999.1.1.1",
        "<html><head><title>Current IP Check</title></head><body>Current IP Address: 1:1</body></html>",
    ],
)
def test_a_page_of_another_form_tells_none(machine: Machine, server: Web, page: str) -> None:
    """As a hotel's sign-in page, which shows the guest's address."""
    server.answer = lambda asked: page if asked.path == "/myip" else "good"
    machine.configure(server.url, sources="server", ipv6="no")
    ran = machine.run()
    assert (ran.status, "HTTP 200 without an address: `" in ran.out) == (1, True)
    assert [asked.path for asked in server.asked] == ["/myip"]


def test_a_command_that_prints_a_page(machine: Machine, server: Web) -> None:
    machine.configure(server.url, sources="command", command="echo <p>198.51.100.9</p>")
    ran = machine.run()
    assert (ran.status, "the command printed `<p>198.51.100.9</p>`" in ran.out, server.asked) == (1, True, [])


FIRST, LAST = "2001:db8:a::1", "2001:db8:b::1"


def test_of_several_stable_addresses_the_one_with_the_longest_preferred_lifetime(machine: Machine, server: Web) -> None:
    machine.addresses = [FIRST, LAST]
    machine.flags = {FIRST: 0, LAST: 0}
    machine.preferred = {FIRST: 1000, LAST: 7000}
    machine.configure(server.url, sources="interface")
    assert published(machine) == {"ipv6": LAST}


def test_the_published_address_stays_while_lifetimes_alternate(machine: Machine, server: Web) -> None:
    """Two routers renew their prefixes at different times. A prefix that runs out is left before it is deprecated."""
    machine.addresses = [FIRST, LAST]
    machine.flags = {FIRST: 0, LAST: 0}
    machine.configure(server.url, sources="interface")
    for first, last in [(1700, 1800), (1800, 1300), (1750, 1800), (900, 1790), (1799, 1800)]:
        machine.preferred = {FIRST: first, LAST: last}
        assert published(machine) == {"ipv6": LAST}
    machine.preferred = {FIRST: 1800, LAST: 899}
    assert published(machine) == {"ipv6": FIRST}
    machine.flags[FIRST] = DEPRECATED
    assert published(machine) == {"ipv6": LAST}


def test_a_command(machine: Machine, server: Web, tmp_path) -> None:  # type: ignore[no-untyped-def]
    count = tmp_path / "count"
    (tmp_path / "say.py").write_text(
        f"open({str(count)!r}, 'a').write('.')\nprint('198.51.100.4 fe80::1\\n2001:db8::4')\n"
    )
    machine.configure(server.url, sources="command", command=f"{sys.executable} '{tmp_path}/say.py' ; not shell")
    assert machine.run("--json").names[0]["published"] == {"ipv4": "198.51.100.4"}
    assert count.read_text() == "."


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(3)", "the command ended with status 3"),
        ("print('unknown')", "the command printed `unknown`"),
        ("print('')", "the command printed ``"),
    ],
)
def test_a_command_that_fails(machine: Machine, server: Web, code: str, reason: str) -> None:
    machine.configure(server.url, sources="command", command=f'{sys.executable} -c "{code}"')
    ran = machine.run()
    assert (ran.status, reason in ran.out, server.asked) == (1, True, [])


def test_a_command_that_is_not_there(machine: Machine, server: Web) -> None:
    machine.configure(server.url, sources="command", command="/nowhere/at-all")
    assert "cannot run the command: No such file or directory" in machine.run().out


def test_the_first_source_that_answers(machine: Machine, server: Web) -> None:
    machine.configure(server.url, sources="command, interface", command="/bin/false")
    assert published(machine) == {"ipv4": IPV4, "ipv6": IPV6}


@pytest.mark.parametrize(
    ("sources", "view", "chosen"),
    [
        ("interface, server", IPV4, IPV4),
        ("interface, server", "198.51.100.1", None),
        ("interface, command, server", "198.51.100.1", "198.51.100.1"),
        ("server, interface, command", "198.51.100.1", "198.51.100.1"),
    ],
)
def test_a_quorum(machine: Machine, server: Web, sources: str, view: str, chosen: str | None) -> None:
    server.answer = lambda asked: view if asked.path == "/myip" else "good"
    machine.configure(server.url, sources=sources, quorum=2, ipv6="no", command="echo 198.51.100.1")
    assert published(machine) == ({"ipv4": chosen} if chosen else {})
    if not chosen:
        assert f"IPv4: interface reported {IPV4}, server reported {view}" in machine.run().out


def test_names_with_the_same_options_ask_once(machine: Machine, server: Web) -> None:
    machine.secret()
    server.answer = lambda asked: "198.51.100.1" if asked.path == "/myip" else "good"
    machine.config.write_text(
        f"[DEFAULT]\nserver = {server.url}\nsecret = {HOST}\nsources = server\nipv6 = no\n[a.b.c]\n[d.e.f]\n"
    )
    assert machine.run().status == 0
    assert [asked.path for asked in server.taken()] == ["/myip", "/nic/update", "/nic/update"]


# ---- Clouds: each stand-in answers as its documentation says, and refuses what it says it refuses


def ec2(asked: Asked) -> Said:
    if asked.target == "/latest/api/token":
        assert 1 <= int(asked.headers["x-aws-ec2-metadata-token-ttl-seconds"]) <= 21600
        return (200, "AQAEtoken") if asked.method == "PUT" else (405, "")
    if asked.headers.get("x-aws-ec2-metadata-token") != "AQAEtoken":
        return 401, ""
    found = {"/latest/meta-data/public-ipv4": "198.51.100.21", "/latest/meta-data/ipv6": "2001:db8:21::1"}
    return (200, found[asked.target]) if asked.target in found else (404, "")


def openstack(floating: str) -> object:
    networks = [
        {"id": "network0", "type": "ipv4_dhcp", "link": "tap0"},
        {"id": "network1", "type": "ipv4", "ip_address": "10.3.0.4", "netmask": "255.255.255.0"},
        {"id": "network2", "type": "ipv6", "ip_address": "2001:db8:22::1", "netmask": "ffff:ffff:ffff:ffff::"},
    ]

    def answer(asked: Asked) -> Said:
        if asked.target == "/latest/meta-data/public-ipv4":
            return 200, floating
        if asked.target == "/openstack/latest/network_data.json":
            return 200, json.dumps({"links": [], "networks": networks, "services": []})
        return 404, ""

    return answer


def gce(asked: Asked) -> Said:
    if asked.headers.get("metadata-flavor") != "Google":
        return 403, "Missing Metadata-Flavor:Google header."
    root = "/computeMetadata/v1/instance/network-interfaces/0/"
    found = {root + "access-configs/0/external-ip": "198.51.100.23", root + "ipv6s": "2001:db8:23::1\n"}
    return (200, found[asked.target]) if asked.target in found else (404, "")


def azure(public: str) -> object:
    card = {
        "ipv4": {
            "ipAddress": [{"privateIpAddress": "10.144.133.132", "publicIpAddress": public}],
            "subnet": [{"address": "10.144.133.128", "prefix": "26"}],
        },
        "ipv6": {"ipAddress": [{"privateIpAddress": "fd00:144::5"}]},
        "macAddress": "0011AAFFBB22",
    }
    pairs = [
        {"frontendIpAddress": "198.51.100.25", "privateIpAddress": "10.144.133.132"},
        {"frontendIpAddress": "[2001:db8:24::1]", "privateIpAddress": "[fd00:144::5]"},
    ]

    def answer(asked: Asked) -> Said:
        if asked.headers.get("metadata") != "true" or "x-forwarded-for" in asked.headers:
            return 400, '{"error": "Bad request"}'
        if asked.path == "/metadata/instance/network/interface" and asked.query == {"api-version": "2021-02-01"}:
            return 200, json.dumps([card])
        if asked.path == "/metadata/loadbalancer" and asked.query == {"api-version": "2020-10-01"}:
            return 200, json.dumps({"loadbalancer": {"publicIpAddresses": pairs, "inboundRules": []}})
        return 404, ""

    return answer


@pytest.mark.parametrize(
    ("cloud", "answer", "found"),
    [
        ("ec2", ec2, {"ipv4": "198.51.100.21", "ipv6": "2001:db8:21::1"}),
        ("openstack", openstack("198.51.100.22"), {"ipv4": "198.51.100.22", "ipv6": "2001:db8:22::1"}),
        ("openstack", openstack(""), {"ipv4": "10.3.0.4", "ipv6": "2001:db8:22::1"}),
        ("gce", gce, {"ipv4": "198.51.100.23", "ipv6": "2001:db8:23::1"}),
        ("azure", azure("198.51.100.24"), {"ipv4": "198.51.100.24", "ipv6": "2001:db8:24::1"}),
        ("azure", azure(""), {"ipv4": "198.51.100.25", "ipv6": "2001:db8:24::1"}),
    ],
)
def test_the_metadata_of_a_cloud(
    machine: Machine, server: Web, cloud: str, answer: object, found: dict[str, str]
) -> None:
    with web(answer) as metadata:  # type: ignore[arg-type]
        machine.configure(server.url, sources=cloud, metadata_url=metadata.url)
        assert published(machine) == found
        assert machine.run().status == 0
    assert len(server.taken()) == 1


@pytest.mark.parametrize("cloud", ["ec2", "openstack", "gce", "azure"])
@pytest.mark.parametrize("answer", [(404, ""), (500, "oops"), (200, "<html>"), (200, "")])
def test_no_metadata_is_no_address(machine: Machine, server: Web, cloud: str, answer: Said) -> None:
    with web(lambda _: answer) as metadata:
        machine.configure(server.url, sources=cloud, metadata_url=metadata.url)
        ran = machine.run()
    assert ran.status == 1
    assert ran.out.startswith(f"{HOST}: failed: no address; ")
    assert "report this" not in ran.out
    assert server.asked == []
