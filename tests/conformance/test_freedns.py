# SPDX-License-Identifier: GPL-3.0-or-later
"""§7, `/dynamic/update.php?TOKEN` and `/u/TOKEN/`: FreeDNS's forms. The token is the secret of a host or key."""

import pytest
from support.clients.dyndns import GIVEN, Host, counts
from support.clients.rest_api import Api
from support.servers.service import Service

V4, V6 = "192.0.2.11", "2001:db8::11"

BY_QUERY, BY_PATH = "/dynamic/update.php?{}&", "/u/{}/?"
UNCHANGED = {
    BY_QUERY: "ERROR: Address {ip} has not changed.",
    BY_PATH: "No IP change detected for {fqdn} with IP {ip}, skipping update",
}


def ask(service: Service, path: str, token: str, rest: str = "") -> tuple[int, str]:
    answer = service.request("GET", path.format(token) + rest)
    return answer.status_code, answer.text


@pytest.mark.parametrize("path", UNCHANGED)
def test_an_address_is_updated(service: Service, host: Host, path: str) -> None:
    assert ask(service, path, host.secret, f"address={V4}") == (200, f"Updated 1 host(s) {host.fqdn} to {V4}")
    assert host.addresses() == [V4]
    unchanged = UNCHANGED[path].format(fqdn=host.fqdn, ip=V4)
    assert ask(service, path, host.secret, f"address={V4}") == (200, unchanged)
    assert ask(service, path, host.secret, f"ip={V6}") == (200, f"Updated 1 host(s) {host.fqdn} to {V6}")
    assert host.addresses() == [V4, V6]


@pytest.mark.parametrize("path", [BY_QUERY, BY_PATH, "/dynamic//update.php?{}", "/u/{}", "//u//{}"])
def test_without_an_address_it_is_the_callers(service: Service, host: Host, path: str) -> None:
    assert ask(service, path, host.secret) == (200, f"Updated 1 host(s) {host.fqdn} to 127.0.0.1")
    assert host.addresses() == ["127.0.0.1"]


def test_the_token_of_a_key_updates_its_hosts(service: Service, alice: str, host: Host) -> None:
    api = Api(service, alice)
    other = api.host(ipv4=GIVEN)["fqdn"]
    secret = api.post("/keys", {"name": "freedns", "hosts": [host.fqdn, other]})["secret"]
    status, text = ask(service, BY_QUERY, secret, f"address={V4}")
    assert (status, sorted(text.splitlines())) == (
        200,
        sorted(f"Updated 1 host(s) {fqdn} to {V4}" for fqdn in (host.fqdn, other)),
    )
    assert service.dig(other) == host.addresses() == [V4]


@pytest.mark.parametrize("path", UNCHANGED)
def test_what_is_wrong_is_an_error_and_changes_nothing(
    service: Service, host: Host, blocked: Host, path: str, alice: str
) -> None:
    unknown = (200, "ERROR: Invalid update URL")
    assert ask(service, path, "wrong", f"address={V4}") == unknown
    assert ask(service, path, alice, f"address={V4}") == unknown  # a token of the API names no host
    assert ask(service, path, blocked.secret, f"address={V4}") == (200, "ERROR: abuse")
    with counts(host, client=1):
        assert ask(service, path, host.secret, "address=zzz") == (200, "ERROR: dnserr")
    assert host.addresses() == [GIVEN]


def test_other_paths_are_unknown(service: Service, host: Host) -> None:
    assert service.request("GET", "/dynamic/update.php").text.startswith("ERROR")
    for path in (f"/u/{host.secret}/x", f"/v/{host.secret}", f"/{host.secret}"):
        assert service.request("GET", path).status_code == 404
    assert host.secret not in service.log.read_text()
