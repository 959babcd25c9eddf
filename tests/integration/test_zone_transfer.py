# SPDX-License-Identifier: GPL-3.0-or-later
"""Transfers of whole zones and of differences, from BIND, Knot and PowerDNS."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dns.query
import dns.rcode
import dns.update
import pytest
from support.ports import free_port
from support.servers.knot import NameServer, knot
from support.servers.powerdns import powerdns
from support.servers.second_bind import second_bind

from ddnsd.db.rows import Domain
from ddnsd.dns import errors
from ddnsd.dns.places import addresses
from ddnsd.dns.tsig import TsigKey
from ddnsd.dns.zone_transfer import Transfer, fetch, state_of, text

MANY = 2000
"""Records in more than one message of a transfer."""


@contextmanager
def bind(folder: Path, zone: str, key: TsigKey) -> Iterator[NameServer]:
    with second_bind(folder) as server:
        server.make_zone(zone, key)
        yield NameServer(server.server.endpoint.host, server.server.endpoint.port)


@pytest.fixture(params=[bind, knot, powerdns], ids=lambda f: f.__name__)
def domain(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Domain]:
    zone = "example.net"
    key = TsigKey.generate("example.net.key", "hmac-sha256")
    fields: dict[str, Any] = dict.fromkeys(Domain._fields, 0)
    secret = {"key_name": key.name, "key_algorithm": key.algorithm, "key_secret": key.secret}
    with request.param(tmp_path / "server", zone, key) as server:
        yield Domain(**fields | secret | {"name": zone, "primary": f"{server.host}:{server.port}"})


def change(domain: Domain, *changes: str) -> None:
    """Send `add NAME TYPE VALUE` or `delete NAME TYPE [VALUE]`, all in one message."""
    message = dns.update.UpdateMessage(domain.name, keyring=TsigKey.of(domain).dnspython)
    for one in changes:
        action, name, rtype, *value = one.split(maxsplit=3)
        if action == "add":
            message.add(name, 60, rtype, *value)
        else:
            message.delete(name, rtype, *value)
    host, _, port = domain.primary.rpartition(":")
    answer = dns.query.tcp(message, host, port=int(port), timeout=10)
    assert answer.rcode() == dns.rcode.NOERROR


def at(found: Transfer, name: str) -> dict[tuple[int, bytes], bool]:
    """What the transfer says of a name in the zone."""
    return state_of(found.logs[f"{name}.example.net"]).records


async def test_a_whole_zone_and_its_differences(domain: Domain) -> None:
    for begin in range(0, MANY, 500):
        change(domain, *(f"add n{n} A 192.0.2.{n % 250}" for n in range(begin, begin + 500)))
    change(
        domain, "add Mixed AAAA 2001:db8::1", "add m MX 10 Mail.Example.COM.", 'add t TXT "a" "b;"', "add c CNAME x."
    )
    whole = await fetch(domain)
    assert whole.whole
    assert len(whole.logs) == MANY + 5  # with the apex
    assert [at(whole, f"n{n}") for n in range(MANY)] == [
        dict.fromkeys(addresses(f"192.0.2.{n % 250}", None), True) for n in range(MANY)
    ]
    assert at(whole, "mixed") == dict.fromkeys(addresses(None, "2001:db8::1"), True)
    assert [text(*record) for record in at(whole, "m")] == ["10 mail.example.com."]
    assert [text(*record) for record in at(whole, "t")] == ['"a" "b;"']
    assert [text(*record) for record in at(whole, "c")] == ["x."]
    assert "example.net" in whole.others

    unchanged = await fetch(domain, whole.serial)
    assert unchanged[:3] == (whole.serial, False, {})

    change(domain, "delete n1 A", "add n1 A 192.0.2.251", "delete n2 A", "add n3 A 192.0.2.251")
    change(domain, "delete n1 A", "add n1 A 192.0.2.252")
    news = await fetch(domain, whole.serial)
    n1, n3 = ({text(*record): there for record, there in at(news, n).items()} for n in ("n1", "n3"))
    assert n1["192.0.2.252"]
    assert n3["192.0.2.251"]
    if news.whole:  # PowerDNS has no differences
        assert "n2.example.net" not in news.logs
        assert len(news.logs) == MANY + 4
    else:
        assert news.logs.keys() == {f"{n}.example.net" for n in ("n1", "n2", "n3")}
        assert n1 == {"192.0.2.1": False, "192.0.2.251": False, "192.0.2.252": True}
        assert list(at(news, "n2").values()) == [False]
        assert n3 == {"192.0.2.251": True}


async def test_refusals(domain: Domain) -> None:
    with pytest.raises(errors.Refusal):
        await fetch(domain._replace(name="example.com"))
    other = TsigKey.generate(domain.key_name)
    with pytest.raises(errors.Refusal):
        await fetch(domain._replace(key_secret=other.secret))
    with pytest.raises(errors.Unreachable):
        await fetch(domain._replace(primary=f"127.0.0.1:{free_port()}"))


async def test_a_serial_that_the_server_never_had(domain: Domain) -> None:
    change(domain, "add a A 192.0.2.1")
    serial = (await fetch(domain)).serial
    older = await fetch(domain, serial - 1000 & 0xFFFFFFFF)
    assert older.whole
    assert older.serial == serial
    newer = await fetch(domain, serial + 1000)
    assert newer.whole or not newer.logs
    assert newer.serial == serial
