# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders of certificates while something fails: the authority, a secondary, the service itself, or a node."""

import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import requests
from support.clients.rest_api import Api, problem
from support.clients.signing import csr, verified
from support.ports import free_port, wait_until
from support.servers.pebble import Pebble, pebble
from support.servers.service import FILE, Service, beside, dev

BINDING = ("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W")
NAME = "vm.dyn.example.org"
OTHER = "other.dyn.example.org"


@contextmanager
def issuing(folder: Path, binding: tuple[str, str] | None = None, **settings: str) -> Iterator[tuple[Service, Pebble]]:
    """A service with an authority, and the host `NAME`."""
    port, ca = free_port(), folder / "pebble"
    ca.mkdir()
    with pebble(ca, port, binding=binding) as authority:
        given = {"acme_directory": authority.directory, "acme_ca_file": str(authority.front), **settings}
        with dev(folder / "service", port, **given) as service:
            Api(service, service.admin_token).post("/hosts", {"fqdn": NAME})
            yield service, authority


@contextmanager
def silent_secondary() -> Iterator[str]:
    """The address of a name server that never answers: orders wait for it with their values in DNS."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{silent.getsockname()[1]}"


def order(service: Service, fqdn: str = NAME, text: str | None = None) -> requests.Response:
    url = f"{service.url}/api/hosts/{fqdn}/certificate"
    headers = {"Authorization": f"Bearer {service.admin_token}"}
    return requests.post(url, json={"csr": text or csr(fqdn)}, headers=headers, timeout=55)


def texts(service: Service, fqdn: str = NAME) -> list[str]:
    return service.dig(f"_acme-challenge.{fqdn}", "TXT")


def test_a_crash_in_the_middle(tmp_path: Path) -> None:
    """The values that the crash leaves behind expire, and the next order succeeds."""
    with silent_secondary() as address, issuing(tmp_path, secondaries=address) as (service, _):
        with ThreadPoolExecutor(1) as pool:
            lost = pool.submit(order, service)
            wait_until(lambda: texts(service) != [], 20, "the value in DNS")
            service.kill()
            assert isinstance(lost.exception(30), requests.ConnectionError)
        del service.settings["DDNSD_SECONDARIES"]
        service.start()
        wait_until(lambda: len(texts(service)) == 1, 20, "the value is still there")

        answers = []

        def issued() -> bool:
            answers.append(order(service))
            return answers[-1].status_code == 200

        wait_until(issued, 40, "another order")
        assert {answer.status_code for answer in answers} <= {200, 409}
        with closing(sqlite3.connect(service.dir / FILE)) as database, database:
            database.execute("UPDATE acme_challenges SET expires = 0")
        wait_until(lambda: texts(service) == [], 30, "the value removed")


def test_a_stop_in_the_middle(tmp_path: Path) -> None:
    """The caller gets an answer, and nothing stays in DNS or under way."""
    with silent_secondary() as address, issuing(tmp_path, secondaries=address) as (service, _):
        with ThreadPoolExecutor(1) as pool:
            stopped = pool.submit(order, service)
            wait_until(lambda: texts(service) != [], 20, "the value in DNS")
            service.stop()
            assert "is being stopped" in problem(stopped.result(), 503, "urn:ddns:authority")["detail"]
        del service.settings["DDNSD_SECONDARIES"]
        service.start()
        assert order(service).status_code == 200
        wait_until(lambda: texts(service) == [], 20, "no value left")


def test_a_secondary_that_is_behind_is_named(tmp_path: Path) -> None:
    with silent_secondary() as address, issuing(tmp_path, secondaries=address) as (service, authority):
        answer = order(service)
        assert verified(answer.text, authority.root(), tmp_path) == {NAME}
        (event,) = Api(service, service.admin_token).items("/events", action="certificate.issued")
        assert f"behind after 20 s: {address}" in event["detail"]


@pytest.mark.long
def test_an_authority_that_hangs(tmp_path: Path) -> None:
    """The call is answered in time, and nobody else waits."""
    with issuing(tmp_path) as (service, authority):
        assert order(service).status_code == 200
        authority.process.send_signal(signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(12) as pool:
                names = [f"h{n}.dyn.example.org" for n in range(11)]
                for name in names:
                    Api(service, service.admin_token).post("/hosts", {"fqdn": name})
                waiting = [pool.submit(order, service, name) for name in names]
                while not all(one.done() for one in waiting):
                    assert service.get("/healthz").text == "ok"
                    assert service.get("/api/hosts", service.admin_token).status_code == 200
                    time.sleep(0.5)
            details = {problem(one.result(), 503, "urn:ddns:authority")["detail"] for one in waiting}
        finally:
            authority.process.send_signal(signal.SIGCONT)
        assert all(detail.startswith("No certificate was issued: ") for detail in details), details
        assert service.get("/readyz").status_code == 200
        wait_until(lambda: order(service).status_code == 200, 40, "a certificate from the same authority")


def test_no_authority_there(tmp_path: Path) -> None:
    with dev(tmp_path, acme_directory=f"https://127.0.0.1:{free_port()}/dir") as service:
        Api(service, service.admin_token).post("/hosts", {"fqdn": NAME})
        assert "cannot be reached" in problem(order(service), 503, "urn:ddns:authority")["detail"]
        assert texts(service) == []


def test_without_a_setting_there_are_no_certificates(tmp_path: Path) -> None:
    with dev(tmp_path) as service:
        Api(service, service.admin_token).post("/hosts", {"fqdn": NAME})
        detail = problem(order(service), 503, "urn:ddns:authority")["detail"]
        assert detail == "This service issues no certificates."


def test_account_binding_and_a_full_budget_of_the_domain(tmp_path: Path) -> None:
    kid, key = BINDING
    settings = {"acme_eab_kid": kid, "acme_eab_key": key, "acme_domain_budget": "1"}
    with issuing(tmp_path, BINDING, **settings) as (service, _):
        assert order(service).status_code == 200
        Api(service, service.admin_token).post("/hosts", {"fqdn": OTHER})
        refused = problem(order(service, OTHER), 429, "urn:ddns:quota")
        assert "The limit is 1 certificates in dyn.example.org within a week" in refused["detail"]
        service.stop()
        (service.dir / "acme_account.key").unlink()
        wrong = {"DDNSD_ACME_EAB_KEY": "d3Jvbmc", "DDNSD_ACME_DOMAIN_BUDGET": "0"}
        service.settings.update(wrong)
        service.start()
        detail = problem(order(service, OTHER), 503, "urn:ddns:authority")["detail"]
        assert "the authority answers" in detail
        assert key not in service.log.read_text()


def test_an_account_key_that_others_can_read(tmp_path: Path) -> None:
    with issuing(tmp_path) as (service, _):
        key = service.dir / "acme_account.key"
        key.write_text("x")
        key.chmod(0o644)
        assert "chmod 600" in problem(order(service), 503, "urn:ddns:authority")["detail"]
        key.chmod(0o600)
        assert "no account key" in problem(order(service), 503, "urn:ddns:authority")["detail"]
        key.unlink()
        assert order(service).status_code == 200


def test_one_order_on_two_nodes(tmp_path: Path, new_database: Callable[[], str]) -> None:
    """Another node refuses another request, and waits for the result of the same one."""
    url, text = new_database(), csr(NAME)
    with silent_secondary() as address, issuing(tmp_path, secondaries=address, database_url=url) as (first, authority):
        given = {"acme_directory": authority.directory, "acme_ca_file": str(authority.front)}
        with beside(first, tmp_path / "second", url, None, **given) as second, ThreadPoolExecutor(2) as pool:
            (second.dir / "admin.token").write_text(first.admin_token)
            one = pool.submit(order, first, NAME, text)
            wait_until(lambda: texts(first) != [], 20, "the value in DNS")
            problem(order(second), 409, "urn:ddns:authority")
            same = pool.submit(order, second, NAME, text)
            assert one.result().status_code == same.result().status_code == 200
            assert one.result().text == same.result().text


@pytest.mark.long
def test_housekeeping_keeps_the_newest_certificate(tmp_path: Path) -> None:
    with issuing(tmp_path) as (service, _):
        api = Api(service, service.admin_token)
        api.post("/hosts", {"fqdn": OTHER})
        newest = [order(service).text for _ in range(2)][-1]
        assert order(service, OTHER).status_code == 200
        api.call("DELETE", f"/hosts/{OTHER}")
        with closing(sqlite3.connect(service.dir / FILE)) as database, database:
            database.execute("UPDATE certificates SET started = started - 9 * 86400000000")
            database.execute("UPDATE hosts SET created = created - 9 * 86400000000")
        assert "old orders of certificates: 2 removed" in service.cli("housekeeping").stdout
        assert api.call("GET", f"/hosts/{NAME}/certificate").text == newest
        assert "old orders" not in service.cli("housekeeping").stdout
        wait_until(
            lambda: "ddnsd_host_certificates 1.0" in service.get("/metrics").text, 90, "the number of certificates"
        )
        assert "ddnsd_host_certificates_first_end_timestamp_seconds" in service.get("/metrics").text
        assert 'ddnsd_host_certificates_ending{days="7"} 0.0' in service.get("/metrics").text
