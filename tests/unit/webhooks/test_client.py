# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests go to the address that was checked, with the name in header and certificate, and to nothing private."""

import ipaddress
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.certificates import certificate
from support.servers.http_stub import Web, web

from ddnsd.registry.webhooks import address_rule
from ddnsd.webhooks import client
from ddnsd.webhooks.client import Connection, NotAllowed, Resolver, Unreachable

LAB = address_rule([ipaddress.ip_network("127.0.0.0/8")])
NAME = "hooks.example.org"


@pytest.fixture
def resolves(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Addresses by name, instead of those in DNS."""
    names: dict[str, list[str]] = {}

    def getaddrinfo(host: str, port: int, **_: object) -> list[Any]:
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in names[host]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A target with a certificate for `NAME`."""
    authority, pem = certificate(tmp_path, f"DNS:{NAME}")
    context = ssl.create_default_context(cafile=str(authority))
    monkeypatch.setattr(client, "_tls", lambda: context)
    with web(lambda _: (204, ""), pem) as found:
        yield found


async def post(url: str) -> int:
    resolver = Resolver(LAB)
    connection = Connection(await resolver.target(url))
    try:
        return await connection.post("{}", {"webhook-id": "msg_1"})
    finally:
        await connection.close()
        resolver.close()


async def test_the_connection_goes_to_the_checked_address(resolves: dict[str, list[str]], target: Web) -> None:
    resolves[NAME] = ["127.0.0.1"]
    resolver = Resolver(LAB)
    checked = await resolver.target(f"https://{NAME}:{target.port}/path?q=1")
    resolves[NAME] = ["10.0.0.1"]  # the name leads elsewhere now
    connection = Connection(checked)
    assert [await connection.post("{}", {"webhook-id": f"msg_{n}"}) for n in range(2)] == [204, 204]
    await connection.close()
    asked = target.taken()
    assert [one.target for one in asked] == ["/path?q=1"] * 2
    assert {one.headers["host"] for one in asked} == {f"{NAME}:{target.port}"}
    assert [one.headers["webhook-id"] for one in asked] == ["msg_0", "msg_1"]
    assert asked[0].headers["content-type"] == "application/json"


async def test_another_address_is_tried_if_there_is_no_connection(resolves: dict[str, list[str]], target: Web) -> None:
    resolves[NAME] = ["127.9.9.9", "127.0.0.1"]
    assert await post(f"https://{NAME}:{target.port}/") == 204


async def test_the_certificate_must_have_the_name(resolves: dict[str, list[str]], target: Web) -> None:
    resolves["other.example.org"] = ["127.0.0.1"]
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        await post(f"https://other.example.org:{target.port}/")
    with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
        await post(f"https://127.0.0.1:{target.port}/")
    assert target.taken() == []


async def test_nothing_is_sent_if_one_address_is_private(resolves: dict[str, list[str]], target: Web) -> None:
    resolves[NAME] = ["127.0.0.1", "10.0.0.1"]
    with pytest.raises(NotAllowed, match="is not a public address"):
        await post(f"https://{NAME}:{target.port}/")
    assert target.taken() == []


async def test_a_name_that_does_not_exist(resolves: dict[str, list[str]]) -> None:
    with pytest.raises(Unreachable, match="cannot be resolved"):
        await post(f"https://{NAME}/")


async def test_nobody_listens() -> None:
    with pytest.raises(Unreachable, match="no connection"):
        await post("http://127.0.0.1:9/")


async def test_a_target_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(Unreachable, match="no answer within"):
            await post(f"http://127.0.0.1:{silent.getsockname()[1]}/")


async def test_an_answer_without_end_is_not_read() -> None:
    with web(lambda _: (200, "x" * (4 * client.ANSWER_LIMIT))) as found:
        assert await post(found.url) == 200


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%2",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
    ],
)
def test_addresses_that_are_no_targets(address: str) -> None:
    assert address_rule([])(address, False) == f"{address} is not a public address"


def test_addresses_that_are_targets() -> None:
    rule = address_rule([ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")])
    for address in ("1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1"):
        assert rule(address, False) is None
        assert rule(address, True) == "the URL must begin with https://"
    for address in ("10.9.9.9", "fd00::1", "::ffff:10.0.0.1"):
        assert rule(address, False) is None
        assert rule(address, True) is None
