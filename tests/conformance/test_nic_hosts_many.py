# SPDX-License-Identifier: GPL-3.0-or-later
"""§2, lists that are longer than a read of the database, on both databases."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support.clients.dyndns import new_label
from support.ports import wait_until
from support.servers.service import Service

STEADY = 3000
LISTS = 4


@pytest.fixture(scope="module")
def owner(service: Service) -> str:
    """A token of a user with many hosts."""
    return service.user(f"owner-{new_label()}")


@pytest.fixture(scope="module")
def steady(service: Service, owner: str) -> list[str]:
    """The names of the hosts that exist all the time, sorted."""
    names = [f"m{number:05}.{service.domain}" for number in range(STEADY)]
    changes = [{"action": "create", "fqdn": name, "set": {"ipv4": "192.0.2.7", "comment": "x" * 100}} for name in names]
    answer = service.request("POST", "/api/changes", owner, json={"atomic": True, "changes": changes})
    assert answer.status_code == 200, answer.text
    return names


@contextmanager
def coming_and_going(service: Service, token: str) -> Iterator[set[str]]:
    """Hosts between the others are registered and unregistered; gives the names that are used."""
    used = {f"m{number:05}-x.{service.domain}" for number in range(0, STEADY, STEADY // 10)}
    ended = threading.Event()
    errors: list[str] = []

    def call(*actions: str) -> None:
        changes = [{"action": action, "fqdn": name} for name in sorted(used) for action in actions]
        answer = own.request("POST", "/api/changes", token, json={"atomic": True, "changes": changes})
        errors.extend([answer.text] if answer.status_code != 200 else [])

    own = Service(service.dir, service.http_port, service.dns_port)

    def churn() -> None:
        while not ended.is_set():
            call("create")
            call("delete")

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        yield used
    finally:
        ended.set()
        thread.join()
    assert errors == []


def test_a_list_is_complete_while_hosts_come_and_go(service: Service, owner: str, steady: list[str]) -> None:
    with coming_and_going(service, owner) as others:
        for _ in range(LISTS):
            answer = service.get("/nic/hosts", owner)
            assert answer.status_code == 200
            assert answer.headers["content-length"] == str(len(answer.content))
            rows = answer.json()["hosts"]
            names = [row["fqdn"] for row in rows]
            assert [name for name in names if name not in others] == steady
            assert len(names) == len(set(names))
            labels = [row["name"] for row in rows if row["fqdn"] not in others]
            assert labels == sorted(labels)
    assert [row["fqdn"] for row in service.get("/nic/hosts", owner).json()["hosts"]] == steady


def test_a_list_of_one_domain_and_of_a_token_with_patterns(service: Service, owner: str, steady: list[str]) -> None:
    rows = service.get("/nic/hosts", owner, params={"domain": service.domain}).json()["hosts"]
    assert [row["fqdn"] for row in rows] == steady
    body = {"name": new_label(), "scopes": ["read"], "hosts": [f"m0299?.{service.domain}"]}
    limited = service.request("POST", "/api/tokens", owner, json=body).json()["token"]
    rows = service.get("/nic/hosts", limited).json()["hosts"]
    assert [row["fqdn"] for row in rows] == steady[2990:]


def temporary_files(service: Service) -> list[str]:
    """The open files without a name of the service's process."""
    assert service.process is not None
    found = []
    for file in Path(f"/proc/{service.process.pid}/fd").iterdir():
        try:
            found.append(str(file.readlink()))
        except FileNotFoundError:
            continue
    return [target for target in found if "/#" in target and target.endswith("(deleted)")]


def begin_list(service: Service, token: str) -> socket.socket:
    """Send the request from a socket that takes little at once."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", service.http_port))
    request = f"GET /nic/hosts HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n"
    connection.sendall(request.encode())
    return connection


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(
    service: Service, owner: str, steady: list[str]
) -> None:
    for octets in (0, 1, 10_000):
        with closing(begin_list(service, owner)) as connection:
            if octets:
                assert connection.recv(octets).startswith(b"HTTP/1.1 200 OK"[:octets])
    wait_until(lambda: not temporary_files(service), what="no temporary file is open")
    rows = json.loads(service.get("/nic/hosts", owner).content)["hosts"]
    assert [row["fqdn"] for row in rows] == steady


def test_head_is_refused(service: Service, owner: str) -> None:
    answer = service.request("HEAD", "/nic/hosts", owner)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert temporary_files(service) == []
