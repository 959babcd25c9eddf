# SPDX-License-Identifier: GPL-3.0-or-later
"""No secret in a log, none in clear in the database: every one is sent in every way, then every file is searched."""

import base64
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from support.clients import raw_http
from support.clients.dyndns import GIVEN, Host, new_label, register
from support.ports import wait_until
from support.servers.faults import hung
from support.servers.postgres import create_database, programs
from support.servers.service import Service, dev

ROUTES = (
    "/nic/update",
    "/v3/update",
    "/nic/delete",
    "/nic/hosts",
    "/nic/domains",
    "/nic/register",
    "/nic/unregister",
    "/nic/generate_secret",
    "/update",
    "/myip",
    "/nowhere",
    "/metrics",
    "/api/hosts",
    "/api/enrol",
)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def talkative(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that logs all that it can, and takes credentials in every way that there is."""
    settings = {"log_level": "debug", "query_credentials": "on", "rules": "on", "trusted_proxies": "127.0.0.0/8"}
    if request.param == "postgres":
        settings["database_url"] = create_database(request.getfixturevalue("postgres_server"), "secrets")
    with dev(tmp_path_factory.mktemp("talkative"), **settings) as running:
        yield running


def written(secret: str) -> set[bytes]:
    """The ways in which a log might show it: as it is, quoted, in a header, reversed in hexadecimal."""
    raw = secret.encode()
    return {raw, quote(secret, safe="").encode(), raw.hex().encode(), base64.b64encode(raw).rstrip(b"=")[:-1]}


def send_everywhere(service: Service, name: str, secret: str, source: str) -> None:
    """In every way that is accepted, and in some that are not; each call's failures come from a source of its own."""
    pair = raw_http.basic(name, secret)
    headers = [
        {"Authorization": pair},
        {"Authorization": f"Bearer {secret}"},
        {"Authorization": f"Digest {secret}"},
        {"Authorization": secret},
        {"Authorization": f"Basic {secret}"},
        {"Cookie": f"session={secret}"},
        {"X-Api-Key": secret},
        {"Proxy-Authorization": pair},
    ]
    queries = (
        f"username={name}&password={secret}",
        f"domains={name}&token={secret}",
        f"token={secret}",
        f"password={secret}",
        f"hostname={name}&access_token={secret}",
    )
    for route in ROUTES:
        for header in headers:
            target = route if route != "/update" else f"/update?hostname={name}"
            exchange(service, raw_http.request(target, headers=header | {"X-Forwarded-For": source}))
        for query in queries:
            exchange(service, raw_http.request(f"{route}?{query}", headers={"X-Forwarded-For": source}))
            form = {"Content-Type": "application/x-www-form-urlencoded", "X-Forwarded-For": source}
            exchange(service, raw_http.request(route, method="POST", headers=form, body=query.encode()))
    exchange(service, raw_http.request(f"/{secret}"))
    exchange(service, raw_http.request("/nic/update", method="PUT", headers={"Authorization": pair}))
    exchange(service, raw_http.request("/nic/update", headers={"Authorization": pair + "\x01"}))


def exchange(service: Service, octets: bytes) -> None:
    assert raw_http.exchange(octets, service.http_port).status < 500


def files(service: Service) -> Iterator[tuple[Path, bytes]]:
    for path in service.dir.rglob("*"):
        if path.is_file() and path.name != "admin.token":
            yield path, path.read_bytes()


def dump(service: Service) -> bytes:
    """The PostgreSQL database of the service as text, where it has one."""
    url = service.settings.get("DDNSD_DATABASE_URL")
    if url is None:
        return b""
    return subprocess.run([programs() / "pg_dump", "--inserts", url], check=True, capture_output=True).stdout


def test_no_secret_in_a_log_or_in_clear_in_the_database(talkative: Service) -> None:
    service = talkative
    canaries: dict[str, str] = {}
    dora = canaries["token"] = service.user("dora")
    host = register(service, dora)
    canaries["host secret"] = host.secret
    old = register(service, dora)
    canaries["replaced secret"] = old.secret
    answer = service.get("/nic/generate_secret", dora, params={"fqdn": old.fqdn})
    canaries["new secret"] = answer.json()["secret"]
    login, _, key_secret = service.cli("key", "add", "dora", "--host", old.fqdn).stdout.strip().partition(":")
    canaries["key secret"] = key_secret
    for kind in ("wrong password", "wrong token"):
        canaries[kind] = ("ddns_" if kind == "wrong token" else "") + secrets.token_urlsafe(24)

    names = {"key secret": login, "replaced secret": old.fqdn, "new secret": old.fqdn, "wrong password": new_label()}
    for number, (kind, secret) in enumerate(canaries.items()):
        send_everywhere(service, names.get(kind, host.fqdn), secret, f"198.51.100.{number}")

    fresh = Host(service, register(service, dora).fqdn, "", dora)  # the service still works
    assert fresh.is_listed()
    with hung(service.named_pid()):  # a fault of ours is logged in more words
        assert service.get("/nic/update", auth=(login, key_secret), params={"myip": "192.0.2.250"}).status_code == 503
    wait_until(lambda: old.addresses() == ["192.0.2.250"], 30, "converged")

    seen = list(files(service))
    assert service.log in [path for path, _ in seen]
    assert service.log.stat().st_size > 0
    seen.append((Path("database"), dump(service)))
    for kind, secret in canaries.items():
        for spelling in written(secret):
            found = [str(path) for path, content in seen if spelling in content]
            assert not found, f"{kind} stands in {found}"


def test_the_administrators_token_stands_in_its_file_alone(talkative: Service) -> None:
    token = talkative.admin_token
    file = talkative.dir / "admin.token"
    assert file.stat().st_mode & 0o777 == 0o600
    for _ in range(2):
        assert talkative.get("/nic/domains", token).status_code == 200
        assert talkative.get("/update", params={"domains": "x", "token": token}).text == "KO"
    assert [str(path) for path, content in files(talkative) if token.encode() in content] == []
    assert token.encode() not in dump(talkative)


def test_answers_never_echo_a_secret(talkative: Service) -> None:
    canary = secrets.token_urlsafe(24)
    host = register(talkative, talkative.admin_token)
    for route in ROUTES:
        for headers in ({"Authorization": f"Bearer {canary}"}, {"Authorization": raw_http.basic(host.fqdn, canary)}):
            octets = raw_http.request(f"{route}?username={host.fqdn}&password={canary}&token={canary}", headers=headers)
            answer = raw_http.exchange(octets, talkative.http_port)
            assert canary not in answer.text
            assert canary not in str(answer.headers)
    assert host.secret not in talkative.get("/nic/hosts", talkative.admin_token).text
    assert host.addresses() == [GIVEN]
