# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, enrolment: a token that works once turns into a secret that the machine has made."""

import asyncio
import base64
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from sqlalchemy import Connection, select, update
from support.clients.dyndns import GIVEN, Host, new_label, register
from support.clients.rest_api import Api, new_name, problem
from support.servers.service import Service, dev

from ddnsd.db import schema
from ddnsd.operations import store_access

WEEK = 7 * 86_400
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


def new_secret() -> str:
    """As a machine makes it: 32 random octets."""
    return secrets.token_urlsafe(32)


def begin(api: Api, fqdn: str, **fields: Any) -> str:
    """A new enrolment token."""
    answer = api.call("POST", f"/hosts/{fqdn}/enrolments", fields)
    assert answer.status_code == 201, answer.text
    content = answer.json()
    assert set(content) == {"token", "fqdn", "expires"}
    assert content["fqdn"] == fqdn
    assert content["token"].startswith("ddnse_")
    assert len(content["token"]) >= 32
    token: str = content["token"]
    return token


def enrol(service: Service, token: str, secret: object) -> requests.Response:
    return Api(service, token).call("POST", "/enrol", {"secret": secret})


def enrolled(answer: requests.Response, fqdn: str) -> None:
    assert (answer.status_code, answer.text) == (200, f'{{"fqdn": "{fqdn}"}}')


def refused(answer: requests.Response) -> None:
    content = problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer realm=")
    assert "ddnse_" in content["detail"]


def status(host: Host, secret: str) -> int:
    """What an update with this secret is answered."""
    code: int = host.service.get("/nic/update", auth=(host.fqdn, secret), params={"myip": GIVEN}).status_code
    return code


def let_expire(service: Service, fqdn: str) -> None:
    """Its time has come: what else takes a minute at least."""
    url = service.settings.get("DDNSD_DATABASE_URL") or f"sqlite:///{service.dir}/ddnsd.db"
    of_host = select(schema.hosts.c.id).where(schema.hosts.c.fqdn == fqdn).scalar_subquery()

    def work(connection: Connection) -> int:
        past = update(schema.enrolments).where(schema.enrolments.c.host_id == of_host).values(expires=1)
        return connection.execute(past).rowcount

    assert asyncio.run(store_access.with_store(url, work)) == 1


# ---- what works


def test_a_token_turns_into_the_secret_that_the_machine_made(service: Service, api: Api, host: Host) -> None:
    token, secret = begin(api, host.fqdn), new_secret()
    assert status(host, host.secret) == 200  # until it is used, nothing has changed
    for _ in range(2):
        enrolled(enrol(service, token, secret), host.fqdn)
        assert (status(host, secret), status(host, host.secret)) == (200, 401)
    assert host.addresses() == [GIVEN]


def test_it_is_good_for_one_secret(service: Service, api: Api, host: Host) -> None:
    token, secret = begin(api, host.fqdn), new_secret()
    enrolled(enrol(service, token, secret), host.fqdn)
    for _ in range(2):
        refused(enrol(service, token, new_secret()))
        refused(enrol(service, token, token[:43].ljust(43, "x")))
    assert status(host, secret) == 200
    enrolled(enrol(service, token, secret), host.fqdn)


@pytest.mark.parametrize("lifetime", [None, 60, 60.0, WEEK])
def test_lifetimes(api: Api, host: Host, lifetime: float | None) -> None:
    fields = {} if lifetime is None else {"lifetime": lifetime}
    for _ in range(2):
        begin(api, host.fqdn, **fields)
    events = [e for e in api.items("/events", object=host.fqdn) if e["action"] == "host.enrolment"]
    assert [e["detail"] for e in events] == [f"for {int(lifetime or 3600)} s"] * 2


@pytest.mark.parametrize("lifetime", [0, 59, -60, WEEK + 1, "3600", None, True, 60.5, 10**30])
def test_lifetimes_that_are_not_acceptable(service: Service, api: Api, host: Host, lifetime: object) -> None:
    former = begin(api, host.fqdn)
    for _ in range(2):
        problem(api.call("POST", f"/hosts/{host.fqdn}/enrolments", {"lifetime": lifetime}), 422, fields={"lifetime"})
    enrolled(enrol(service, former, new_secret()), host.fqdn)


@pytest.mark.parametrize(
    "secret",
    ["", "x" * 42, "x" * 44, "x" * 42 + "=", "x" * 42 + "/", "x" * 42 + "\n", "ü" * 43, 5, None, "x" * 43 + "\n"],
)
def test_secrets_that_are_not_acceptable(service: Service, api: Api, host: Host, secret: object) -> None:
    token = begin(api, host.fqdn)
    for _ in range(2):
        answer = enrol(service, token, secret)
        problem(answer, 422, fields={"secret"})
        assert not isinstance(secret, str) or len(secret) < 10 or secret not in answer.text
    assert status(host, host.secret) == 200
    enrolled(enrol(service, token, new_secret()), host.fqdn)


def test_bodies_that_cannot_be_read(service: Service, api: Api, host: Host) -> None:
    caller = Api(service, begin(api, host.fqdn))
    for _ in range(2):
        for octets in (b"", b"{", b'{"secret": "\xff"}'):
            problem(caller.call("POST", "/enrol", data=octets, headers=JSON), 400)
        problem(caller.call("POST", "/enrol", data=b"{}", headers={"Content-Type": "text/plain"}), 415)
        problem(caller.call("POST", "/enrol", data=b" " * 70_000, headers=JSON), 413)
        problem(caller.call("POST", "/enrol", {}), 422, fields={"secret"})
        problem(caller.call("POST", "/enrol", {"secret": "x" * 43, "fqdn": "a.b"}), 422, fields={"fqdn"})
    assert status(host, host.secret) == 200


# ---- who may make one


def test_only_who_may_change_the_host_makes_a_token(service: Service, api: Api, foreign: Host, reader: str) -> None:
    for name in (foreign.fqdn, new_name(service), "x", "-.example.org"):
        for _ in range(2):
            problem(api.call("POST", f"/hosts/{name}/enrolments", {}), 404)
    mine = api.host()["fqdn"]
    problem(Api(service, reader).call("POST", f"/hosts/{mine}/enrolments", {}), 403)
    limited = api.post("/tokens", {"name": new_label(), "hosts": ["web-*"]})["token"]
    problem(Api(service, limited).call("POST", f"/hosts/{mine}/enrolments", {}), 404)
    assert status(foreign, foreign.secret) == 200


def test_an_administrator_makes_one_for_anybody(service: Service, host: Host) -> None:
    token, secret = begin(Api(service, service.admin_token), host.fqdn), new_secret()
    enrolled(enrol(service, token, secret), host.fqdn)
    assert status(host, secret) == 200


def test_names_are_folded(service: Service, api: Api, host: Host) -> None:
    answer = api.call("POST", f"/hosts/{host.fqdn.upper()}./enrolments", {})
    enrolled(enrol(service, answer.json()["token"], new_secret()), host.fqdn)


# ---- what a token is not good for


def test_unknown_tokens(service: Service, host: Host, alice: str) -> None:
    for token in ("ddnse_", "ddnse_" + "x" * 32, "ddnse_\xff", "x", alice, service.admin_token, host.secret):
        for _ in range(2):
            refused(enrol(service, token, new_secret()))


def test_other_credentials_are_none_here(service: Service, api: Api, host: Host) -> None:
    token = begin(api, host.fqdn)
    url, content = f"{service.url}/api/enrol", {"secret": new_secret()}
    for auth in (host.auth, (host.fqdn, token), (token, "")):
        problem(requests.post(url, json=content, auth=auth, timeout=15), 401)
    for query in (f"?token={token}", f"?access_token={token}"):
        problem(requests.post(url + query, json=content, timeout=15), 401)
    assert status(host, host.secret) == 200


def test_it_is_good_for_nothing_else(service: Service, api: Api, host: Host) -> None:
    token = begin(api, host.fqdn)
    mine = Api(service, token)
    for method, path in (("GET", f"/hosts/{host.fqdn}"), ("POST", f"/hosts/{host.fqdn}/secret"), ("GET", "/users/me")):
        problem(mine.call(method, path), 401)
    assert status(host, token) == 401
    assert service.get("/nic/update", token, params={"hostname": host.fqdn, "myip": GIVEN}).status_code == 401
    duck = service.get("/update", params={"domains": host.fqdn, "token": token, "ip": GIVEN})
    assert duck.text == "KO"


def test_a_token_leads_to_its_own_host(service: Service, api: Api, new_host: Any) -> None:
    one, two = new_host(), new_host()
    secret = new_secret()
    enrolled(enrol(service, begin(api, one.fqdn), secret), one.fqdn)
    assert (status(one, secret), status(two, secret), status(two, two.secret)) == (200, 401, 200)


def test_an_expired_token(service: Service, api: Api, host: Host) -> None:
    token = begin(api, host.fqdn)
    let_expire(service, host.fqdn)
    for _ in range(2):
        refused(enrol(service, token, new_secret()))
    assert status(host, host.secret) == 200
    token, secret = begin(api, host.fqdn), new_secret()
    enrolled(enrol(service, token, secret), host.fqdn)
    let_expire(service, host.fqdn)
    for _ in range(2):
        refused(enrol(service, token, secret))  # nor does it answer any longer what it did
    assert status(host, secret) == 200


def test_a_new_token_ends_the_former_one(service: Service, api: Api, host: Host) -> None:
    former, latter, secret = begin(api, host.fqdn), begin(api, host.fqdn), new_secret()
    for _ in range(2):
        refused(enrol(service, former, new_secret()))
    enrolled(enrol(service, latter, secret), host.fqdn)
    begin(api, host.fqdn)
    for _ in range(2):
        refused(enrol(service, latter, secret))
    assert status(host, secret) == 200


def test_a_new_secret_ends_a_token(service: Service, api: Api, host: Host) -> None:
    token = begin(api, host.fqdn)
    rotated = api.call("POST", f"/hosts/{host.fqdn}/secret").json()["secret"]
    for _ in range(2):
        refused(enrol(service, token, new_secret()))
    assert status(host, rotated) == 200
    token, secret = begin(api, host.fqdn), new_secret()
    enrolled(enrol(service, token, secret), host.fqdn)
    rotated = service.get("/nic/generate_secret", host.token, params={"fqdn": host.fqdn}).json()["secret"]
    for _ in range(2):
        refused(enrol(service, token, secret))  # that secret is void by now
    assert (status(host, rotated), status(host, secret)) == (200, 401)


def test_a_token_goes_with_its_host(service: Service, api: Api) -> None:
    made = api.host(ipv4=GIVEN)
    token = begin(api, made["fqdn"])
    new = new_name(service)
    api.patch(f"/hosts/{made['fqdn']}", {"fqdn": new})
    enrolled(enrol(service, token, new_secret()), new)
    token = begin(api, new)
    api.delete(f"/hosts/{new}")
    problem(api.call("POST", f"/hosts/{new}/enrolments", {}), 404)
    refused(enrol(service, token, new_secret()))
    again = api.host(fqdn=new)
    refused(enrol(service, token, new_secret()))
    assert status(Host(service, new, "", ""), again["secret"]) == 200


def test_a_token_ends_with_the_rights_of_who_made_it(service: Service) -> None:
    chief = Api(service, service.admin_token)
    name = new_label()
    theirs = Api(service, service.user(name))
    host = theirs.host()["fqdn"]
    token = begin(theirs, host)
    chief.patch(f"/users/{name}", {"active": False})
    refused(enrol(service, token, new_secret()))
    chief.patch(f"/users/{name}", {"active": True})
    enrolled(enrol(service, token, new_secret()), host)
    token = begin(theirs, host)
    other = new_label()
    service.user(other)
    chief.patch(f"/hosts/{host}", {"owner": other})
    for _ in range(2):
        refused(enrol(service, token, new_secret()))


# ---- two at once, many failures, what is told


def test_one_of_two_machines_gets_it(service: Service, api: Api, host: Host) -> None:
    for _ in range(5):
        token, machines = begin(api, host.fqdn), [new_secret() for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda secret, t=token: enrol(service, t, secret).status_code, machines))
        assert sorted(answers) == [200, 401, 401, 401, 401, 401]
        assert [status(host, secret) for secret in machines] == answers


def test_it_is_in_the_audit_trail_once(service: Service, api: Api, host: Host) -> None:
    token, secret = begin(api, host.fqdn), new_secret()
    for _ in range(2):
        enrolled(enrol(service, token, secret), host.fqdn)
        refused(enrol(service, token, new_secret()))
    told = [(e["actor"], e["action"], e["source"], e["detail"]) for e in api.items("/events", object=host.fqdn)]
    assert told[:2] == [
        (host.fqdn, "host.enrol", "127.0.0.1", None),
        ("alice", "host.enrolment", "127.0.0.1", "for 3600 s"),
    ]
    assert [action for _, action, _, _ in told].count("host.enrol") == 1


def test_neither_token_nor_secret_is_kept_in_clear(tmp_path: Any) -> None:
    with dev(tmp_path / "service", log_level="debug", rules="on") as service:
        chief = Api(service, service.admin_token)
        host = register(service, service.admin_token)
        token, secret, wrong = begin(chief, host.fqdn), new_secret(), new_secret()
        enrolled(enrol(service, token, secret), host.fqdn)
        for _ in range(2):
            refused(enrol(service, token, wrong))
            refused(enrol(service, f"ddnse_{wrong}", secret))
        problem(enrol(service, token, wrong + "x"), 422, fields={"secret"})
        exported = service.cli("export").stdout.encode()
        files = {path: path.read_bytes() for path in service.dir.rglob("*") if path.is_file()}
        for canary in (token, secret, wrong):
            spellings = (canary.encode(), canary.encode().hex().encode(), base64.b64encode(canary.encode())[:-4])
            for spelling in spellings:
                assert [str(path) for path, content in files.items() if spelling in content] == []
                assert spelling not in exported
