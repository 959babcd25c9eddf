# SPDX-License-Identifier: GPL-3.0-or-later
"""Infrastructure Manager 2.0: its EGI connector adds, moves and deletes names; only its address differs.

On domains, hosts and register it reads `status`, on update and unregister the HTTP status alone.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.clients.programs import DENIED, Host, Outcome, becomes, hung_name_server
from support.clients.signing import csr, verified
from support.ports import free_port
from support.servers.pebble import Pebble, pebble
from support.servers.service import Service, dev

DRIVER = Path(__file__).parent / "drivers" / "infrastructure_manager.py"

Manager = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def token(service: Service, secrets: list[str]) -> str:
    secrets.append(service.user("im"))
    return secrets[-1]


@pytest.fixture
def manager(run_python_client: Callable[..., Outcome], service: Service, token: str) -> Manager:
    """Runs calls one after the other: `manager(("add", name, domain, ip), …)`; `{"result", "log"}` of each."""

    def called(*calls: tuple[str, ...], token: str | None = token) -> list[dict[str, Any]]:
        task = {"url": service.url, "calls": calls} | ({"token": token} if token else {})
        done = run_python_client(DRIVER, stdin=json.dumps(task))
        assert done.code == 0, done.text
        return [json.loads(line) for line in done.text.splitlines()]

    return called


def results(outcomes: list[dict[str, Any]]) -> list[bool]:
    return [outcome["result"] for outcome in outcomes]


def hosts(service: Service, token: str) -> dict[str, dict[str, Any]]:
    """What the service has registered for the manager's user, by first label."""
    listed = service.get("/nic/hosts", token, params={"domain": service.domain}).json()["hosts"]
    return {host["name"]: host for host in listed}


def test_adds_moves_and_deletes(manager: Manager, service: Service, token: str) -> None:
    where = ("mover", service.domain)
    for address in ("192.0.2.1", "192.0.2.2"):
        (done,) = manager(("add", *where, address))
        assert done["result"] is True
        assert "already has the IP" not in done["log"]
        assert service.dig("mover.dyn.example.org") == [address]

        (again,) = manager(("add", *where, address))
        assert again["result"] is True
        assert f"DNS entry mover.dyn.example.org already has the IP {address}" in again["log"]
        assert service.dig("mover.dyn.example.org") == [address]
    assert hosts(service, token)["mover"]["comment"] == "IM created DNS entry"

    assert results(manager(("del", *where, "192.0.2.2"), ("del", *where, "192.0.2.2"))) == [True, True]
    assert service.dig("mover.dyn.example.org") == []
    assert "mover" not in hosts(service, token)


def test_final_dot(manager: Manager, service: Service) -> None:
    assert results(manager(("add", "dotted", f"{service.domain}.", "192.0.2.3"))) == [True]
    assert service.dig("dotted.dyn.example.org") == ["192.0.2.3"]
    assert results(manager(("del", "dotted", f"{service.domain}.", "192.0.2.3"))) == [True]
    assert service.dig("dotted.dyn.example.org") == []


def test_wildcard(manager: Manager, service: Service, token: str) -> None:
    """`*` in a domain that is not one of ours means: that domain's first label, with everything below it."""
    where = ("*", f"cluster.{service.domain}")
    for address in ("192.0.2.4", "192.0.2.4", "192.0.2.5"):
        assert results(manager(("add", *where, address))) == [True]
        for name in ("cluster", "app.cluster", "deep.app.cluster"):
            assert service.dig(f"{name}.{service.domain}") == [address]
    assert hosts(service, token)["cluster"]["wildcard"] is True

    assert results(manager(("del", *where, "192.0.2.5"))) == [True]
    for name in ("cluster", "app.cluster"):
        assert service.dig(f"{name}.{service.domain}") == []


def test_ipv6_alone(manager: Manager, service: Service) -> None:
    """It registers without an address, so the manager's own IPv4 address must not stay behind."""
    for _ in range(2):
        assert results(manager(("add", "six", service.domain, "2001:db8::6"))) == [True]
        assert service.dig("six.dyn.example.org", "AAAA") == ["2001:db8::6"]
        assert service.dig("six.dyn.example.org") == []


def test_both_families(manager: Manager, service: Service) -> None:
    calls = (("add", "dual", service.domain, "192.0.2.7"), ("add", "dual", service.domain, "2001:db8::7"))
    for _ in range(2):
        assert results(manager(*calls)) == [True, True]
        assert service.dig("dual.dyn.example.org") == ["192.0.2.7"]
        assert service.dig("dual.dyn.example.org", "AAAA") == ["2001:db8::7"]
    assert results(manager(("del", "dual", service.domain, "192.0.2.7"))) == [True]
    assert service.dig("dual.dyn.example.org") + service.dig("dual.dyn.example.org", "AAAA") == []


def test_host_secret_instead_of_a_token(manager: Manager, host: Host) -> None:
    label, _, domain = host.fqdn.partition(".")
    for address in ("192.0.2.8", "192.0.2.8", "2001:db8::8"):
        assert results(manager(("add", f"dydns:{host.secret}@{label}", domain, address), token=None)) == [True]
    assert (host.a, host.aaaa) == (["192.0.2.8"], ["2001:db8::8"])

    (refused,) = manager(("add", f"dydns:wrong@{label}", domain, "192.0.2.9"), token=None)
    assert refused["result"] is False
    assert refused["log"].splitlines()[-1].endswith(f"Error updating DNS entry {host.fqdn}: badauth")
    assert (host.a, host.aaaa) == (["192.0.2.8"], ["2001:db8::8"])


def test_wrong_token(manager: Manager, service: Service) -> None:
    for operation in ("add", "del"):
        (refused,) = manager((operation, "intruder", service.domain, "192.0.2.10"), token="ddns_wrong")
        assert refused["result"] is False
        _, _, answer = refused["log"].partition("Error getting domains: ")
        assert json.loads(answer) == {"status": "error", "message": "badauth"}
    assert service.dig("intruder.dyn.example.org") == []


def test_unknown_domain(manager: Manager) -> None:
    (refused,) = manager(("add", "www", "unknown.example.net", "192.0.2.11"))
    assert refused["result"] is False
    assert "Domain unknown.example.net not found in DyDNS service" in refused["log"]


def test_name_of_somebody_else(manager: Manager, host: Host) -> None:
    label, _, domain = host.fqdn.partition(".")
    (refused,) = manager(("add", label, domain, "192.0.2.12"))
    assert refused["result"] is False
    assert f"Error registering DNS entry {host.fqdn}" in refused["log"]
    assert results(manager(("del", label, domain, "192.0.2.12"))) == [True], "unknown to this user: nothing to delete"
    assert host.a == ["192.0.2.250"]


@pytest.mark.parametrize(("address", "word"), [(DENIED, "abuse"), ("169.254.0.1", "dnserr")])
def test_error_words_come_with_their_status(manager: Manager, service: Service, address: str, word: str) -> None:
    """It reads the status of an update alone, so an error with 200 would be taken for success."""
    (refused,) = manager(("add", f"bad-{word}", service.domain, address))
    assert refused["result"] is False
    assert f"Error updating DNS entry bad-{word}.{service.domain}: {word}" in refused["log"]
    assert address not in service.dig(f"bad-{word}.{service.domain}")


def test_blocked_name_cannot_be_deleted(manager: Manager, service: Service, token: str) -> None:
    assert results(manager(("add", "blocked", service.domain, DENIED))) == [False]
    (kept,) = manager(("del", "blocked", service.domain, DENIED))
    assert kept["result"] is False
    assert "Error deleting DNS entry blocked.dyn.example.org" in kept["log"]
    assert "blocked" in hosts(service, token)
    assert results(manager(("add", "blocked", service.domain, "192.0.2.13"))) == [False]
    assert service.dig("blocked.dyn.example.org") == []


def test_hung_name_server_at_registration(manager: Manager, service: Service, token: str) -> None:
    with hung_name_server(service):
        (unheard,) = manager(("add", "late", service.domain, "192.0.2.14"))
    assert unheard["result"] is False
    assert "Error registering DNS entry late.dyn.example.org" in unheard["log"]
    assert "Read timed out" not in unheard["log"]
    assert "late" not in hosts(service, token)
    assert service.dig(service.domain, "SOA"), "it answers again"
    for _ in range(2):
        (done,) = manager(("add", "late", service.domain, "192.0.2.14"))
        assert done["result"] is True, done["log"]
        assert service.dig("late.dyn.example.org") == ["192.0.2.14"]


def test_hung_name_server_at_an_update(manager: Manager, service: Service) -> None:
    assert results(manager(("add", "later", service.domain, "192.0.2.15"))) == [True]
    with hung_name_server(service):
        (unheard,) = manager(("add", "later", service.domain, "192.0.2.16"))
    assert unheard["result"] is False
    assert "Error updating DNS entry later.dyn.example.org: 911" in unheard["log"]
    becomes(Host(service, "later.dyn.example.org", ""), "192.0.2.16")
    assert results(manager(("add", "later", service.domain, "192.0.2.16"))) == [True]


# ---- certificates


@pytest.fixture(scope="module")
def issuing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Pebble]]:
    """A service with an authority."""
    port = free_port()
    with pebble(tmp_path_factory.mktemp("pebble"), port) as authority:
        settings = {"acme_directory": authority.directory, "acme_ca_file": str(authority.front)}
        with dev(tmp_path_factory.mktemp("issuing"), port, **settings) as running:
            yield running, authority


@pytest.fixture
def certifier(
    run_python_client: Callable[..., Outcome], issuing: tuple[Service, Pebble], secrets: list[str]
) -> Manager:
    """As `manager`, at the service with an authority; the administrator's token is the default."""
    service, _ = issuing
    secrets.append(service.admin_token)

    def called(*calls: tuple[str, ...], token: str | None = service.admin_token) -> list[dict[str, Any]]:
        task = {"url": service.url, "calls": calls} | ({"token": token} if token else {})
        done = run_python_client(DRIVER, stdin=json.dumps(task))
        assert done.code == 0, done.text
        return [json.loads(line) for line in done.text.splitlines()]

    return called


def fits(outcome: dict[str, Any], authority: Pebble, folder: Path) -> set[str]:
    """The names of the certificate, which openssl has verified, and whose key is the manager's."""
    found = verified(outcome["chain"], authority.root(), folder)
    (folder / "key.pem").write_text(outcome["key"])
    commands: list[list[str | Path]] = [
        ["openssl", "pkey", "-in", folder / "key.pem", "-pubout"],
        ["openssl", "x509", "-in", folder / "chain.pem", "-noout", "-pubkey"],
    ]
    keys = [subprocess.run(one, capture_output=True, text=True, check=True).stdout for one in commands]
    assert keys[0] == keys[1]
    return found


def test_certificate_of_a_host_without_an_address(
    certifier: Manager, issuing: tuple[Service, Pebble], tmp_path: Path
) -> None:
    """The manager asks for it while the machine does not exist, and again whenever it has none."""
    service, authority = issuing
    service.request("POST", "/api/hosts", service.admin_token, json={"fqdn": f"vm.{service.domain}"})
    for _ in range(2):
        (done,) = certifier(("certify", "vm", f"{service.domain}.", ""))
        assert done["result"] is True, done["log"]
        assert done["name"] == f"vm.{service.domain}"
        assert fits(done, authority, tmp_path) == {f"vm.{service.domain}"}
    assert service.dig(f"vm.{service.domain}") == []


def test_wildcard_certificate(certifier: Manager, issuing: tuple[Service, Pebble], tmp_path: Path) -> None:
    service, authority = issuing
    where = ("*", f"cluster.{service.domain}")
    added, done = certifier(("add", *where, "192.0.2.4"), ("certify", *where, "192.0.2.4"))
    assert (added["result"], done["result"]) == (True, True), done["log"]
    assert fits(done, authority, tmp_path) == {f"cluster.{service.domain}", f"*.cluster.{service.domain}"}


def test_no_certificate_for_an_unknown_host(certifier: Manager, issuing: tuple[Service, Pebble]) -> None:
    service, _ = issuing
    (refused,) = certifier(("certify", "nobody", service.domain, "192.0.2.4"))
    assert refused["result"] is False
    assert "does not exist. Do not add TLS certificate" in refused["log"]


def test_the_secret_form_and_certificates(certifier: Manager, issuing: tuple[Service, Pebble], tmp_path: Path) -> None:
    """With `dydns:SECRET@host` the manager updates addresses, and asks for no certificate; the machine itself may."""
    service, authority = issuing
    secret = service.register("secretive")
    fqdn = f"secretive.{service.domain}"
    where = (f"dydns:{secret}@secretive", service.domain, "192.0.2.9")
    added, refused = certifier(("add", *where), ("certify", *where), token=None)
    assert added["result"] is True, added["log"]
    assert refused["result"] is False
    assert "No token provided" in refused["log"]
    answer = service.request("POST", f"/api/hosts/{fqdn}/certificate", json={"csr": csr(fqdn)}, auth=(fqdn, secret))
    assert answer.status_code == 200, answer.text
    assert verified(answer.text, authority.root(), tmp_path) == {fqdn}
    assert service.dig(fqdn) == ["192.0.2.9"]
