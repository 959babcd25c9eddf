# SPDX-License-Identifier: GPL-3.0-or-later
"""§1, row "many failed sign-ins": only failures are slowed down; the right secret is accepted at every door."""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import requests
from support.clients.dyndns import Host, counts, refused, register, said
from support.clients.rest_api import Api
from support.servers.service import Service, dev

TIMES = 25


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that counts failed sign-ins, once on each store; ten addresses stand for ten sources."""
    settings = {"rules": "on", "query_credentials": "on", "trusted_proxies": "127.0.0.0/8"}
    if request.param == "postgres":
        settings["database_url"] = request.getfixturevalue("new_database")()
    with dev(tmp_path_factory.mktemp(request.param), **settings) as running:
        yield running


@pytest.fixture
def host(guarded: Service) -> Host:
    return register(guarded, guarded.admin_token)


@pytest.fixture
def key(guarded: Service, host: Host) -> tuple[str, str]:
    added = guarded.cli("key", "add", "admin", "--host", host.fqdn)
    login, _, secret = added.stdout.strip().partition(":")
    return login, secret


def junk() -> str:
    return secrets.token_urlsafe(24)


def duck(host: Host, token: str) -> requests.Response:
    return host.service.get("/update", params={"domains": host.fqdn, "token": token, "ip": "192.0.2.7"})


def query(host: Host, password: str) -> requests.Response:
    params = {"username": host.fqdn, "password": password, "myip": "192.0.2.7"}
    return host.service.get("/nic/update", params=params)


def basic(host: Host, path: str, user: str, password: str) -> requests.Response:
    return host.service.get(path, auth=(user, password), params={"hostname": host.fqdn, "myip": "192.0.2.7"})


def test_a_host_secret_at_each_door(host: Host) -> None:
    doors: list[Callable[[str], requests.Response]] = [
        lambda secret: basic(host, "/nic/update", host.fqdn, secret),
        lambda secret: basic(host, "/nic/delete", host.fqdn, secret),
        lambda secret: query(host, secret),
        lambda secret: duck(host, secret),
    ]
    with counts(host):
        for door in doors:
            for _ in range(TIMES):
                assert door(junk()).text in ("badauth", "KO")
            for _ in range(TIMES):
                assert door("the same again").text in ("badauth", "KO")
        for door in doors:
            for _ in range(3):
                assert door(host.secret).text.partition(" ")[0] in ("good", "nochg", "deleted", "OK")


def test_a_key_at_each_door(host: Host, key: tuple[str, str]) -> None:
    login, secret = key
    for _ in range(TIMES):
        refused(basic(host, "/nic/update", login, junk()), 401, "badauth")
        refused(basic(host, "/nic/update", "k-" + "0" * 8, junk()), 401, "badauth")
        assert duck(host, junk()).text == "KO"
    said(basic(host, "/nic/update", login, secret), 200, "good 192.0.2.7")
    assert duck(host, secret).text == "OK"


def test_a_token_at_each_door(guarded: Service, host: Host) -> None:
    doors: list[Callable[[str], requests.Response]] = [
        lambda token: guarded.get("/nic/update", token, params={"hostname": host.fqdn, "myip": "192.0.2.7"}),
        lambda token: guarded.get("/nic/hosts", token),
        lambda token: guarded.get("/api/users/me", token),
        lambda token: duck(host, token),
    ]
    for door in doors:
        for _ in range(TIMES):
            answer = door("ddns_" + junk())
            assert answer.status_code == 401 or answer.text == "KO"
    for door in doors:
        answer = door(host.token)
        assert answer.status_code == 200
        assert answer.text != "KO"


def test_names_without_end_from_one_address(guarded: Service, host: Host) -> None:
    for number in range(120):
        refused(basic(host, "/nic/update", f"n{number}.example.net", junk()), 401, "badauth")
    said(basic(host, "/nic/update", host.fqdn, host.secret), 200, "good 192.0.2.7")
    assert guarded.get("/api/users/me", host.token).status_code == 200


def test_an_enrolment_token(guarded: Service, host: Host) -> None:
    api = Api(guarded, host.token)
    token, secret = api.call("POST", f"/hosts/{host.fqdn}/enrolments", {}).json()["token"], secrets.token_urlsafe(32)

    def enrol(token: str, secret: str) -> int:
        return Api(guarded, token).call("POST", "/enrol", {"secret": secret}).status_code

    for _ in range(TIMES):
        assert enrol("ddnse_" + junk(), secret) == 401
    assert enrol(token, secret) == 200
    for _ in range(TIMES):
        assert enrol(token, secrets.token_urlsafe(32)) == 401
    assert enrol(token, secret) == 200


def test_verify_secret(guarded: Service, host: Host) -> None:
    api = Api(guarded, host.token)
    path = f"/hosts/{host.fqdn}/verify-secret"
    for _ in range(TIMES):
        assert api.call("POST", path, {"secret": junk()}).json() == {"valid": False}
    assert api.call("POST", path, {"secret": host.secret}).json() == {"valid": True}


def test_a_wrong_secret_that_becomes_the_right_one(guarded: Service, host: Host) -> None:
    api, secret = Api(guarded, host.token), secrets.token_urlsafe(32)
    token = api.call("POST", f"/hosts/{host.fqdn}/enrolments", {}).json()["token"]
    for _ in range(TIMES):
        refused(basic(host, "/nic/update", host.fqdn, secret), 401, "badauth")
    assert Api(guarded, token).call("POST", "/enrol", {"secret": secret}).status_code == 200
    said(basic(host, "/nic/update", host.fqdn, secret), 200, "good 192.0.2.7")
    new = host.fqdn.replace("h", "renamed", 1)
    for _ in range(TIMES):
        refused(basic(host, "/nic/update", new, secret), 401, "badauth")
    api.patch(f"/hosts/{host.fqdn}", {"fqdn": new})
    said(guarded.get("/nic/update", auth=(new, secret), params={"myip": "192.0.2.7"}), 200, "nochg 192.0.2.7")


def test_the_right_secret_in_a_flood_of_guesses(guarded: Service, host: Host) -> None:
    """Guesses and the right secret come at the same time, from the same address."""
    over = Event()

    def guess() -> set[tuple[int, str]]:
        with requests.Session() as http:
            seen: set[tuple[int, str]] = set()
            while not over.is_set():
                for name in (host.fqdn, f"{secrets.token_hex(4)}.example.net"):
                    answer = http.get(f"{guarded.url}/nic/update", auth=(name, junk()), timeout=15)
                    seen.add((answer.status_code, answer.text))
            return seen

    with ThreadPoolExecutor(4) as pool:
        guessing = [pool.submit(guess) for _ in range(4)]
        try:
            for number in range(1, 31):
                address = f"192.0.2.{number}"
                answer = guarded.get("/nic/update", auth=host.auth, params={"myip": address})
                said(answer, 200, f"{'nochg' if number == 1 else 'good'} {address}")
                assert guarded.get("/api/users/me", host.token).status_code == 200
        finally:
            over.set()
        assert {answer for done in guessing for answer in done.result()} == {(401, "badauth")}
