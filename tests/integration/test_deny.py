# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd deny …` beside a running service."""

import json
from collections.abc import Callable, Iterator

import pytest
from support.ports import wait_until
from support.servers.service import Service, dev


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, store_settings: Callable[[], dict[str, str]]
) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("deny") / "service", **store_settings()) as running:
        yield running


def said(service: Service, *args: str) -> str:
    return service.cli("deny", *args).stdout


def failing(service: Service, *args: str, code: int = 1) -> str:
    """What a command says that must fail, on standard error and without a traceback."""
    result = service.cli("deny", *args, check=False)
    assert (result.returncode, result.stdout) == (code, "")
    assert "Traceback" not in result.stderr
    return result.stderr


def test_a_running_service_follows(service: Service) -> None:
    secret, fqdn = service.register("box", ip="192.0.2.1"), f"box.{service.domain}"

    def update(agent: str = "test/1") -> str:
        params, headers = {"myip": "192.0.2.1"}, {"User-Agent": agent}
        return service.get("/nic/update", auth=(fqdn, secret), params=params, headers=headers).text

    def register() -> int:
        return service.get(
            "/nic/register", service.admin_token, params={"fqdn": f"my-shop.{service.domain}"}
        ).status_code

    # the lists are read at once: who sees the second of two changes has seen the first
    assert said(service, "add", "name", "*Shop") == "denied name *shop\n"
    assert said(service, "add", "agent", "Wild-Box/") == "denied agent wild-box/\n"
    wait_until(lambda: update("Wild-Box/7") == "badagent", 10, "the user agent denied")
    assert register() == 400
    assert said(service, "remove", "name", "*shop") == "removed name *shop\n"
    assert said(service, "remove", "agent", "wild-box/") == "removed agent wild-box/\n"
    wait_until(lambda: update("Wild-Box/7") == "nochg 192.0.2.1", 10, "the user agent accepted")
    assert register() == 200
    said(service, "add", "network", "192.0.2.1")
    wait_until(lambda: update() == "abuse", 10, "the network denied")
    said(service, "remove", "network", "192.0.2.1/32")
    events = service.request("GET", "/api/events?object=192.0.2.1/32", service.admin_token).json()["items"]
    assert [(event["action"], event["actor"]) for event in events] == [("deny.remove", "ddnsd"), ("deny.add", "ddnsd")]


def test_again_and_again(service: Service) -> None:
    add = ("add", "network", "203.0.113.77/25", "--comment", "abuse, ticket 7")
    assert said(service, *add) == "denied network 203.0.113.0/25\n"
    assert "203.0.113.0/25 is already denied" in failing(service, *add)
    assert said(service, *add, "--exist-ok") == ""
    remove = ("remove", "network", "203.0.113.0/25")
    assert said(service, *remove) == "removed network 203.0.113.0/25\n"
    assert "203.0.113.0/25 is not denied" in failing(service, *remove)
    assert said(service, *remove, "--exist-ok") == ""


def test_list(service: Service) -> None:
    shipped = json.loads(said(service, "list", "--json"))
    assert {entry["kind"] for entry in shipped} == {"name"}
    said(service, "add", "network", "2001:db8:bad::/48")
    said(service, "add", "agent", "evil", "--comment", "too fast")
    lines = [" ".join(line.split()) for line in said(service, "list").splitlines()]
    assert lines[:2] == ["KIND VALUE BY COMMENT", "agent evil ddnsd too fast"]
    assert lines[-1] == "network 2001:db8:bad::/48 ddnsd -"
    agent, *names, network = json.loads(said(service, "list", "--json"))
    assert names == shipped
    known = service.request("GET", "/api/deny?kind=agent", service.admin_token).json()["items"][0]
    assert agent.items() < (known | {"created": agent["created"]}).items()
    assert agent["created"][:19] == known["created"][:19]
    assert (network["kind"], network["comment"]) == ("network", None)
    for item in (agent, network):
        said(service, "remove", item["kind"], item["value"])


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("network", "0.0.0.0/0", "too large"),
        ("network", "here", "not an address or a network"),
        ("network", "", "not an address or a network"),
        ("agent", "ab", "3 to 120"),
        ("agent", "a\tbc", "3 to 120"),
        ("name", "*", "a label or a full name"),
        ("name", "[a-z]", "a label or a full name"),
    ],
)
def test_slips(service: Service, kind: str, value: str, reason: str) -> None:
    before = said(service, "list")
    for command in ("add", "remove"):
        assert reason in failing(service, command, kind, value)
    assert said(service, "list") == before


def test_more_slips(service: Service) -> None:
    before = said(service, "list")
    assert "'address' is not one of" in failing(service, "add", "address", "192.0.2.1", code=2)
    for comment in ("x" * 256, "two\nlines", "\x1b[2J"):
        assert "at most 255 characters" in failing(service, "add", "name", "x", "--comment", comment)
    assert said(service, "list") == before
