# SPDX-License-Identifier: GPL-3.0-or-later
"""Home Assistant 2024.3.3: its no_ip, duckdns and freedns integrations, set up with another address."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.clients.programs import DENIED, Host, Outcome, becomes, hung_name_server

DRIVER = Path(__file__).parent / "drivers" / "home_assistant.py"

HomeAssistant = Callable[..., dict[str, Any]]


@pytest.fixture
def home_assistant(run_python_client: Callable[..., Outcome], host: Host) -> HomeAssistant:
    """Sets one integration up: `home_assistant("no_ip", "/nic/update", domain=…)`; `{"result", "log", "error"?}`."""

    def set_up(component: str, path: str | None, call: dict[str, Any] | None = None, **config: str) -> dict[str, Any]:
        address = {"url": f"http://{host.server}{path}"} if path else {}
        task = {"component": component, "config": config} | address | (call or {})
        done = run_python_client(DRIVER, stdin=json.dumps(task))
        assert done.code == 0, done.text
        answer: dict[str, Any] = json.loads(done.text)
        return answer

    return set_up


@pytest.fixture
def no_ip(home_assistant: HomeAssistant, host: Host) -> HomeAssistant:
    def set_up(name: str = host.fqdn, secret: str = host.secret) -> dict[str, Any]:
        return home_assistant("no_ip", "/nic/update", domain=name, username=host.fqdn, password=secret)

    return set_up


@pytest.fixture
def duckdns(home_assistant: HomeAssistant, host: Host) -> HomeAssistant:
    def set_up(name: str = host.fqdn, token: str = host.secret, **call: Any) -> dict[str, Any]:
        return home_assistant("duckdns", "/update", call, domain=name, access_token=token)

    return set_up


def test_no_ip(no_ip: HomeAssistant, host: Host) -> None:
    for _ in range(2):
        assert no_ip() == {"result": True, "log": [f"DEBUG: Updating NO-IP success: {host.fqdn}"]}
        assert host.a == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("settings", "meaning"),
    [
        ({"secret": "wrong"}, "Invalid username password combination"),
        ({"name": "zz-unknown.dyn.example.org"}, "Hostname supplied does not exist under specified account"),
    ],
)
def test_no_ip_refused(no_ip: HomeAssistant, host: Host, settings: dict[str, str], meaning: str) -> None:
    refused = no_ip(**settings)
    assert refused == {
        "result": False,
        "log": [f"WARNING: Updating NO-IP failed: {settings.get('name', host.fqdn)} => {meaning}"],
    }
    assert host.a == ["192.0.2.250"]


def test_no_ip_blocked(no_ip: HomeAssistant, host: Host) -> None:
    basic = (host.fqdn, host.secret)
    assert host.service.get("/nic/update", auth=basic, params={"myip": DENIED}).text == "abuse"
    assert no_ip() == {
        "result": False,
        "log": [f"WARNING: Updating NO-IP failed: {host.fqdn} => Username is blocked due to abuse"],
    }
    assert host.a == []


def test_no_ip_hung_name_server(no_ip: HomeAssistant, host: Host) -> None:
    with hung_name_server(host.service):
        unheard = no_ip()
    assert unheard["result"] is False
    assert unheard["log"] == [
        f"WARNING: Updating NO-IP failed: {host.fqdn} => A fatal error on NO-IP's side such as a database outage"
    ]
    becomes(host, "127.0.0.1")
    assert no_ip()["result"] is True


@pytest.mark.parametrize("form", ["full name", "first label"])
def test_duckdns(duckdns: HomeAssistant, host: Host, form: str) -> None:
    name = host.fqdn if form == "full name" else host.fqdn.partition(".")[0]
    for _ in range(2):
        assert duckdns(name) == {"result": True, "log": []}
        assert host.a == ["127.0.0.1"]


def test_duckdns_several_hosts_of_a_key(
    duckdns: HomeAssistant, host: Host, register: Callable[..., Host], key: Callable[..., tuple[str, str]]
) -> None:
    other = register(ip="192.0.2.251")
    _, secret = key(host, other)
    for _ in range(2):
        assert duckdns(f"{host.fqdn},{other.fqdn}", secret)["log"] == []
        assert host.a == other.a == ["127.0.0.1"]


def test_duckdns_refused(duckdns: HomeAssistant, host: Host) -> None:
    assert duckdns(token="wrong")["log"] == [f"WARNING: Updating DuckDNS domain failed: {host.fqdn}"]
    assert host.a == ["192.0.2.250"]


def test_duckdns_text_service_leaves_the_addresses(duckdns: HomeAssistant, host: Host) -> None:
    """`set_txt` without a text sends `txt=&clear=true`, which at Duck DNS clears the TXT record alone."""
    for text in ("challenge", None):
        duckdns(service="set_txt", data={"txt": text})
        assert host.a == ["127.0.0.1"]
        shown = host.service.dig(f"_acme-challenge.{host.fqdn}", "TXT")
        assert shown == ([f'"{text}"'] if text else [])


def test_freedns_by_token(home_assistant: HomeAssistant, host: Host) -> None:
    updated = f"Updating FreeDNS was successful: Updated 1 host(s) {host.fqdn} to 127.0.0.1"
    for said in (updated, "FreeDNS update skipped: IP has not changed"):
        done = home_assistant("freedns", "/dynamic/update.php", access_token=host.secret)
        assert done == {"result": True, "log": [f"DEBUG: {said}"]}
        assert host.a == ["127.0.0.1"]
    refused = home_assistant("freedns", "/dynamic/update.php", access_token="wrong")
    assert refused == {"result": False, "log": ["ERROR: FreeDNS update token is invalid"]}


def test_freedns_by_address(home_assistant: HomeAssistant, host: Host) -> None:
    for body in ("good 127.0.0.1", "nochg 127.0.0.1"):
        done = home_assistant("freedns", None, url=f"{host.url}/nic/update")
        assert done == {"result": True, "log": [f"DEBUG: Updating FreeDNS was successful: {body}"]}
        assert host.a == ["127.0.0.1"]


def test_freedns_wrong_secret(home_assistant: HomeAssistant, host: Host) -> None:
    """The integration takes every body without `ERROR` for success; its log shows the word."""
    refused = home_assistant("freedns", None, url=f"http://{host.fqdn}:wrong@{host.server}/nic/update")
    assert refused["log"] == ["DEBUG: Updating FreeDNS was successful: badauth"]
    assert host.a == ["192.0.2.250"]
