# SPDX-License-Identifier: GPL-3.0-or-later
"""Knot and PowerDNS as primaries: only RFC 2136 with TSIG is assumed of a name server."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import dns.message
import dns.query
import pytest
from support.ports import wait_until
from support.servers.knot import NameServer, knot
from support.servers.powerdns import powerdns
from support.servers.service import Service, dev

from ddnsd.dns.tsig import TsigKey

Start = Callable[[Path, str, TsigKey], AbstractContextManager[NameServer]]
ALGORITHMS = {"knot": "hmac-sha384", "powerdns": "hmac-sha512"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with dev(tmp_path / "service") as running:
        yield running


def held(server: NameServer, zone: str, key: TsigKey) -> set[str]:
    """The names that the zone holds, relative to it."""
    answers = dns.query.xfr(server.host, zone, port=server.port, keyring={key.dnspython.name: key.dnspython}, timeout=3)
    return {rrset.name.to_text() for message in answers for rrset in message.answer}


def dig(server: NameServer, name: str, rtype: str = "A") -> list[str]:
    query = dns.message.make_query(name, rtype)
    answer = dns.query.udp(query, server.host, port=server.port, timeout=3)
    return sorted(rdata.to_text() for rrset in answer.answer for rdata in rrset)


def watched(service: Service) -> dict[str, str]:
    """The zones that the service looks at, and what is wrong with each."""
    zones: dict[str, str] = service.get("/healthz/dns", service.admin_token).json()["zones"]
    return zones


@pytest.mark.parametrize("start", [knot, powerdns], ids=lambda f: f.__name__)
def test_a_host_lives_there(service: Service, tmp_path: Path, start: Start) -> None:
    zone = f"{start.__name__}.example.net"
    key = TsigKey.generate(f"{zone}.key", ALGORITHMS[start.__name__])
    (tmp_path / "key").write_text(key.to_text())
    with start(tmp_path / "server", zone, key) as server:
        where = ["--primary", f"{server.host}:{server.port}", "--key-file", str(tmp_path / "key")]
        service.cli("domain", "add", zone, "--owner", "admin", *where)

        secret = service.register(f"a.{zone}", ip="192.0.2.1", wildcard="true")
        assert dig(server, f"a.{zone}") == dig(server, f"any.a.{zone}") == ["192.0.2.1"]
        asked = {"myip": "192.0.2.2,2001:db8::2"}
        words = [service.get("/nic/update", auth=(f"a.{zone}", secret), params=asked).text for _ in range(2)]
        assert words == ["good 192.0.2.2,2001:db8::2", "nochg 192.0.2.2,2001:db8::2"]
        assert dig(server, f"a.{zone}", "AAAA") == dig(server, f"any.a.{zone}", "AAAA") == ["2001:db8::2"]

        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda n: service.register(f"h{n}.{zone}", ip="192.0.2.3"), range(24)))
            answers = list(
                pool.map(
                    lambda item: (
                        service.get(
                            "/nic/update",
                            auth=(f"h{item[0]}.{zone}", item[1]),
                            params={"myip": f"192.0.2.{100 + item[0]}"},
                        ).text
                    ),
                    enumerate(made),
                )
            )
        assert answers == [f"good 192.0.2.{100 + n}" for n in range(24)]
        assert [dig(server, f"h{n}.{zone}") for n in range(24)] == [[f"192.0.2.{100 + n}"] for n in range(24)]

        wait_until(lambda: service.cli("reconcile", "--check", check=False).returncode == 0, 10, "store and zone agree")
        taken = service.get("/nic/register", service.admin_token, params={"fqdn": zone, "ip": "192.0.2.9"})
        assert taken.status_code == 400
        for params in ({"fqdn": f"a.{zone}"}, *({"fqdn": f"h{n}.{zone}"} for n in range(24))):
            assert service.get("/nic/unregister", service.admin_token, params=params).status_code == 200
        assert dig(server, f"a.{zone}") == dig(server, f"any.a.{zone}") == dig(server, f"h1.{zone}") == []
        wait_until(lambda: watched(service).get(zone) == "ok", 10, "the zone is looked at")


@pytest.mark.parametrize("start", [knot, powerdns], ids=lambda f: f.__name__)
def test_records_live_there_and_no_trial_stays(service: Service, tmp_path: Path, start: Start) -> None:
    zone = f"{start.__name__}.example.net"
    key = TsigKey.generate(f"{zone}.key", ALGORITHMS[start.__name__])
    (tmp_path / "key").write_text(key.to_text())
    with start(tmp_path / "server", zone, key) as server:
        where = ["--primary", f"{server.host}:{server.port}", "--key-file", str(tmp_path / "key")]
        service.cli("domain", "add", zone, "--owner", "admin", *where)
        service.register(f"a.{zone}", ip="192.0.2.1")

        def put(place: str, *values: str) -> int:
            path = f"/api/hosts/a.{zone}/records/{place}"
            return service.request("PUT", path, service.admin_token, json={"values": values}).status_code

        assert [put("_x/TXT", "one"), put("_x/TXT", "two", "one"), put("@/MX", "10 mail.")] == [200] * 3
        assert dig(server, f"_x.a.{zone}", "TXT") == ['"one"', '"two"']
        assert held(server, zone, key) == {"@", "a", "_x.a"}
        path = f"/api/hosts/a.{zone}/records/_x/TXT"
        assert service.request("DELETE", path, service.admin_token).status_code == 204
        assert held(server, zone, key) == {"@", "a"}
        assert service.cli("reconcile", "--check").returncode == 0
