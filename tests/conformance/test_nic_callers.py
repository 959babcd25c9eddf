# SPDX-License-Identifier: GPL-3.0-or-later
"""§2, opening sentences and the first row: who may call, by which method, and that answers are JSON."""

import time

import pytest
import requests
from support.clients import raw_http
from support.clients.dyndns import GIVEN, Host, new_label, register
from support.servers.service import Service

CALLS = ["domains", "register", "hosts", "unregister", "generate_secret"]


def is_badauth(answer: requests.Response | raw_http.Answer) -> None:
    assert answer.status_code == 401
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert headers["content-type"].startswith("application/json")
    assert headers["www-authenticate"].startswith("Bearer")
    assert '"badauth"' in answer.text
    assert '"status"' in answer.text


@pytest.mark.parametrize("call", CALLS)
def test_no_token_or_a_bad_one_is_badauth(
    service: Service, host: Host, key: tuple[str, str, Host, Host], call: str
) -> None:
    target = f"/nic/{call}?fqdn={host.fqdn}"
    credentials = [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer ddns_" + "0" * 43,
        f"Bearer {host.token}x",
        f"Bearer {host.secret}",
        f"Bearer {key[1]}",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.",
        raw_http.basic(*host.auth),
        raw_http.basic(*key[:2]),
        raw_http.basic("alice", host.token),
        f"Token {host.token}",
    ]
    for value in credentials:
        headers = {} if value is None else {"Authorization": value}
        is_badauth(raw_http.exchange(raw_http.request(target, headers=headers), service.http_port))
        is_badauth(raw_http.exchange(raw_http.request(target, headers=headers, method="POST"), service.http_port))
    assert host.addresses() == [GIVEN]
    assert host.update(myip=GIVEN).text == f"nochg {GIVEN}"


@pytest.mark.parametrize("call", CALLS)
def test_tokens_in_query_or_cookie_do_not_count(service: Service, host: Host, call: str) -> None:
    for _ in range(2):
        for name in ("token", "access_token", "password"):
            is_badauth(service.get(f"/nic/{call}", params={"fqdn": host.fqdn, name: host.token}))
        is_badauth(service.get(f"/nic/{call}", params={"fqdn": host.fqdn}, cookies={"session": host.token}))
    assert host.is_listed()


def test_an_expired_token_is_badauth(service: Service, alice: str) -> None:
    token = service.cli("token", "add", "alice", "--name", new_label(), "--expires", "1s").stdout.strip()
    time.sleep(1.2)
    for _ in range(2):
        is_badauth(service.get("/nic/domains", token))


def test_a_token_for_other_networks_is_badauth(service: Service, alice: str) -> None:
    def token(network: str) -> str:
        return service.cli("token", "add", "alice", "--name", new_label(), "--network", network).stdout.strip()

    away, here = token("203.0.113.0/24"), token("127.0.0.0/8")
    for _ in range(2):
        for call in CALLS:
            is_badauth(service.get(f"/nic/{call}", away, params={"fqdn": "x.dyn.example.org"}))
        assert service.get("/nic/domains", here).status_code == 200


def test_a_token_to_read_lists_and_changes_nothing(service: Service, host: Host, reader: str) -> None:
    token = reader
    assert service.get("/nic/domains", token).status_code == 200
    assert host.fqdn in service.get("/nic/hosts", token).text
    name = f"{new_label()}.dyn.example.org"
    for _ in range(2):
        assert 400 <= service.get("/nic/register", token, params={"fqdn": name, "ip": GIVEN}).status_code < 500
        assert 400 <= service.get("/nic/unregister", token, params={"fqdn": host.fqdn}).status_code < 500
        assert 400 <= service.get("/nic/generate_secret", token, params={"fqdn": host.fqdn}).status_code < 500
    assert service.dig(name) == []
    assert host.addresses() == [GIVEN]
    assert host.update(myip=GIVEN).text == f"nochg {GIVEN}"


def test_a_token_for_one_domain_reaches_no_other(service: Service, host: Host, lab: str, alice: str) -> None:
    inside = register(service, alice, lab)
    added = service.cli(
        "token", "add", "alice", "--name", new_label(), "--domain", lab, "--scope", "read", "--scope", "write"
    )
    token = added.stdout.strip()
    for _ in range(2):
        assert (
            service.get("/nic/register", token, params={"fqdn": f"x.{service.domain}", "ip": GIVEN}).status_code == 400
        )
        assert service.get("/nic/unregister", token, params={"fqdn": host.fqdn}).status_code == 404
        assert service.get("/nic/generate_secret", token, params={"fqdn": host.fqdn}).status_code == 404
    assert host.addresses() == [GIVEN]
    mine = register(service, token, lab)
    assert mine.addresses() == [GIVEN]
    assert service.get("/nic/unregister", token, params={"fqdn": inside.fqdn}).status_code == 200


def test_every_call_works_by_post_too(service: Service, alice: str) -> None:
    fqdn = f"{new_label()}.{service.domain}"

    def post(call: str, **params: str) -> dict[str, object]:
        shape = {"params": params} if len(params) > 1 else {"data": params}
        answer = service.request("POST", f"/nic/{call}", alice, **shape)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"].startswith("application/json")
        content: dict[str, object] = answer.json()
        assert content["status"] == "ok"
        return content

    assert set(post("domains")) == {"status", "private", "public"}
    assert post("register", fqdn=fqdn, ip=GIVEN)["message"] == "Host registered."
    assert fqdn in str(post("hosts", domain=service.domain)["hosts"])
    assert set(post("generate_secret", fqdn=fqdn)) == {"status", "secret"}
    assert post("unregister", fqdn=fqdn)["message"] == "Host unregistered."
    assert service.dig(fqdn) == []


def test_register_by_form(service: Service, alice: str) -> None:
    fqdn = f"{new_label()}.{service.domain}"
    form = {"fqdn": fqdn, "ip": GIVEN, "wildcard": "true", "comment": "by form"}
    answer = service.request("POST", "/nic/register", alice, data=form)
    assert answer.status_code == 200, answer.text
    host = answer.json()["host"]
    assert (host["wildcard"], host["comment"]) == (True, "by form")
    assert service.dig(f"any.{fqdn}") == [GIVEN]


@pytest.mark.parametrize("path", ["//nic/domains", "/nic//domains", "/nic/domains/"])
def test_repeated_slashes_collapse_here_too(service: Service, alice: str, path: str) -> None:
    headers = {"Authorization": f"Bearer {alice}"}
    answer = raw_http.exchange(raw_http.request(path, headers=headers), service.http_port)
    assert answer.status == 200
    assert answer.text == service.get("/nic/domains", alice).text
