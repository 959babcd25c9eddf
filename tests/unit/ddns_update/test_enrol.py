# SPDX-License-Identifier: GPL-3.0-or-later
"""Enrolment: a one-time token becomes a secret that the machine has made, whatever is lost on the way."""

import os
import re
from pathlib import Path

import pytest
from support.clients.dyndns import register
from support.clients.updater import HOST, IPV4, IPV6, Machine, Ran
from support.ports import free_port
from support.servers.http_stub import Asked, Said, Web
from support.servers.service import dev

TOKEN = "ddnse_one-time-token"


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    return file


def enrol(machine: Machine, server: str, token: Path, host: str = HOST) -> Ran:
    ran = machine.run("enrol", host, "--server", server, "--token-file", str(token))
    assert TOKEN not in ran.out + ran.err
    assert not secret(machine) or secret(machine) not in ran.out + ran.err
    return ran


def secret(machine: Machine, host: str = HOST) -> str:
    file = machine.folder / "secrets" / host
    return file.read_text().strip() if file.exists() else ""


def test_a_token_becomes_a_secret(machine: Machine, server: Web, token: Path) -> None:
    kept = []

    def answer(asked: Asked) -> Said:
        kept.append(secret(machine))
        return 200, f'{{"fqdn": "{HOST}"}}'

    server.answer = answer
    assert enrol(machine, server.url, token) == Ran(0, f"{HOST}: enrolled\n", "")
    (asked,) = server.taken()
    assert (asked.method, asked.path) == ("POST", "/api/enrol")
    assert asked.headers["authorization"] == f"Bearer {TOKEN}"
    assert asked.json == {"secret": secret(machine)}
    assert kept == [secret(machine)], "the secret is kept before it is sent"
    assert re.fullmatch("[A-Za-z0-9_-]{43}", secret(machine))
    assert (machine.folder / "secrets" / HOST).stat().st_mode & 0o777 == 0o600
    assert not token.exists()

    assert enrol(machine, server.url, token) == Ran(0, f"{HOST}: already enrolled\n", "")
    assert server.taken() == []


def test_a_lost_answer_is_asked_for_again_with_the_same_secret(machine: Machine, server: Web, token: Path) -> None:
    server.says((502, "Bad gateway"), (200, f'{{"fqdn": "{HOST}"}}'))
    ran = enrol(machine, server.url, token)
    assert (ran.status, ran.out) == (1, f"{HOST}: failed: HTTP 502: `Bad gateway`\n")
    assert token.exists()
    assert enrol(machine, server.url, token).status == 0
    first, second = server.taken()
    assert first.json == second.json


def test_a_server_that_is_down(machine: Machine, token: Path) -> None:
    ran = enrol(machine, f"http://127.0.0.1:{free_port()}", token)
    assert (ran.status, ": failed: cannot reach " in ran.out) == (1, True)
    assert token.exists()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_token_that_is_refused(machine: Machine, server: Web, token: Path, status: int) -> None:
    server.says((status, f'{{"title": "no {TOKEN}"}}'))
    ran = enrol(machine, server.url, token)
    assert (ran.status, ran.out) == (
        3,
        f'{HOST}: refused: HTTP {status}: `{{"title": "no ***"}}`; ask for a new token\n',
    )


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_sign_in_page_does_not_refuse_a_token(machine: Machine, server: Web, token: Path, status: int) -> None:
    server.says((status, "<html>Sign in</html>"), (200, f'{{"fqdn": "{HOST}"}}'))
    ran = enrol(machine, server.url, token)
    assert (ran.status, ran.out) == (1, f"{HOST}: failed: HTTP {status}: `<html>Sign in</html>`\n")
    assert enrol(machine, server.url, token).status == 0


def test_a_full_disk_is_tried_again(
    machine: Machine, server: Web, token: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device", "secret")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        ran = enrol(machine, server.url, token)
    assert (ran.status, ran.err) == (1, "ddns-update: secret: No space left on device\n")
    assert server.asked == []
    server.says((200, f'{{"fqdn": "{HOST}"}}'))
    assert enrol(machine, server.url, token).status == 0


def test_a_token_for_somebody_else(machine: Machine, server: Web, token: Path) -> None:
    server.says('{"fqdn": "other.example.org"}')
    ran = enrol(machine, server.url, token)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == f"ddns-update: {HOST}: the token was for other.example.org, which now has this secret\n"


@pytest.mark.parametrize(
    ("host", "server", "reason"),
    [
        ("../etc/passwd", "http://d.example", "is not a full host name"),
        ("localhost", "http://d.example", "is not a full host name"),
        (HOST, "d.example", "server: must be http://HOST or https://HOST"),
    ],
)
def test_what_it_cannot_enrol(machine: Machine, token: Path, host: str, server: str, reason: str) -> None:
    ran = machine.run("enrol", host, "--server", server, "--token-file", str(token))
    assert (ran.status, reason in ran.err) == (2, True)
    assert secret(machine) == ""


def test_neither_token_nor_secret(machine: Machine, server: Web, tmp_path: Path) -> None:
    ran = enrol(machine, server.url, tmp_path / "nothing")
    assert (ran.status, ": there is no token, and " in ran.err) == (2, True)
    assert server.asked == []


def test_with_the_service(machine: Machine, tmp_path: Path, token: Path) -> None:
    with dev(tmp_path / "ddnsd") as service:
        host = register(service, service.admin_token)
        path = f"/api/hosts/{host.fqdn}/enrolments"
        made = service.request("POST", path, service.admin_token, json={"lifetime": 60})
        token.write_text(made.json()["token"])
        assert enrol(machine, service.url, token, host.fqdn).out == f"{host.fqdn}: enrolled\n"

        machine.config.write_text(f"[{host.fqdn}]\nserver = {service.url}\nsecret = {host.fqdn}\n")
        assert machine.run().status == 0
        assert host.addresses() == [IPV4, IPV6]
        assert host.update().text == "badauth", "the old secret is dead"

        token.write_text(made.json()["token"])
        assert enrol(machine, service.url, token, host.fqdn).status == 0, "the same token with the same secret"
        token.write_text(made.json()["token"])
        (machine.folder / "secrets" / host.fqdn).unlink()
        assert enrol(machine, service.url, token, host.fqdn).status == 3
