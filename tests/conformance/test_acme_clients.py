# SPDX-License-Identifier: GPL-3.0-or-later
"""§7, `/acme/present`, `/acme/cleanup` (lego's httpreq), `/acme-dns/update` and `/acme-dns/register`."""

import base64
import hashlib
import json
import secrets
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from sqlalchemy import select, update
from support.clients.dyndns import Host, register
from support.clients.rest_api import Api
from support.ports import wait_until
from support.servers.faults import in_store
from support.servers.service import Service

from ddnsd.db.schema import acme_challenges, hosts

Key = tuple[str, str, Host, Host]


def new_value() -> str:
    """A value as ACME clients compute it."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


def httpreq(host: Host, action: str, content: object, auth: tuple[str, str] | None = None) -> requests.Response:
    return host.service.request("POST", f"/acme/{action}", json=content, auth=auth or host.auth)


def by_name(host: Host, value: str) -> dict[str, str]:
    return {"fqdn": f"_acme-challenge.{host.fqdn}.", "value": value}


def acme_dns(host: Host, value: str, name: str = "", secret: str = "", **more: str) -> requests.Response:
    headers = {"X-Api-User": name or host.fqdn, "X-Api-Key": secret or host.secret}
    content = {"subdomain": host.fqdn, "txt": value} | more
    return host.service.request("POST", "/acme-dns/update", data=json.dumps(content), headers=headers)


def values_of(host: Host) -> set[str]:
    """The values in DNS."""
    return {text.strip('"') for text in host.service.dig(f"_acme-challenge.{host.fqdn}", "TXT")}


def done(answer: requests.Response) -> None:
    assert (answer.status_code, answer.text) == (200, "OK")


# ---- httpreq


def test_values_come_and_go_beside_each_other(host: Host) -> None:
    one, two = new_value(), new_value()
    for _ in range(2):
        done(httpreq(host, "present", by_name(host, one)))
        assert values_of(host) == {one}
    done(httpreq(host, "present", by_name(host, two)))
    assert values_of(host) == {one, two}
    for _ in range(2):
        done(httpreq(host, "cleanup", by_name(host, one)))
        assert values_of(host) == {two}
    done(httpreq(host, "cleanup", by_name(host, two)))
    assert values_of(host) == set()


@pytest.mark.parametrize("wildcard", ["", "*."])
def test_raw_mode_hashes_the_key_authorization(host: Host, wildcard: str) -> None:
    authorization = f"{new_value()}.{new_value()}"
    content = {"domain": f"{wildcard}{host.fqdn}", "token": "t", "keyAuth": authorization}
    done(httpreq(host, "present", content))
    digest = hashlib.sha256(authorization.encode()).digest()
    assert values_of(host) == {base64.urlsafe_b64encode(digest).rstrip(b"=").decode()}
    done(httpreq(host, "cleanup", content))
    assert values_of(host) == set()


def test_a_key_has_its_hosts(key: Key) -> None:
    login, secret, one, two = key
    value = new_value()
    for host in (one, two):
        done(httpreq(host, "present", by_name(host, value), (login, secret)))
        assert value in values_of(host)


def test_a_token_has_what_it_may_update(service: Service, host: Host) -> None:
    value = new_value()
    headers = {"Authorization": f"Bearer {host.token}"}
    done(service.request("POST", "/acme/present", json=by_name(host, value), headers=headers))
    assert values_of(host) == {value}


def test_records_of_the_owner_stay(service: Service, host: Host) -> None:
    api, own, new = Api(service, host.token), new_value(), new_value()
    api.call("PUT", f"/hosts/{host.fqdn}/records/_acme-challenge/TXT", {"values": [own], "ttl": 300})
    for value in (own, new):
        done(httpreq(host, "present", by_name(host, value)))
    assert values_of(host) == {own, new}
    for value in (own, new):
        done(httpreq(host, "cleanup", by_name(host, value)))
    assert values_of(host) == {own}


def test_values_at_the_same_moment(host: Host) -> None:
    given = [new_value() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for answer in pool.map(lambda value: httpreq(host, "present", by_name(host, value)), given):
            done(answer)
        assert values_of(host) == set(given)
        for answer in pool.map(lambda value: httpreq(host, "cleanup", by_name(host, value)), given):
            done(answer)
    assert values_of(host) == set()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "the body is not a JSON object"),
        ({}, "fqdn is missing"),
        ({"fqdn": 7, "value": "x"}, "fqdn is missing"),
        ({"fqdn": "a.dyn.example.org"}, "value is missing"),
        ({"keyAuth": "x"}, "domain is missing"),
    ],
)
def test_other_bodies_are_refused(host: Host, content: object, reason: str) -> None:
    answer = httpreq(host, "present", content)
    assert (answer.status_code, answer.text) == (400, reason)


@pytest.mark.parametrize("value", ["a b", '"', "ä", "x" * 256, "a;b", "a\n"])
def test_other_values_are_refused(host: Host, value: str) -> None:
    answer = httpreq(host, "present", by_name(host, value))
    assert answer.status_code == 422
    assert "letters, digits, hyphens" in answer.text
    assert values_of(host) == set()


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_pages_of_other_sites_get_nowhere(host: Host, media_type: str) -> None:
    body = json.dumps(by_name(host, new_value()))
    headers = {"Content-Type": media_type}
    answer = host.service.request("POST", "/acme/present", data=body, auth=host.auth, headers=headers)
    assert answer.status_code == 400
    assert values_of(host) == set()


def test_nobody_else(host: Host) -> None:
    other = register(host.service, host.token)
    content = by_name(host, new_value())
    for auth, status in (((host.fqdn, "wrong"), 401), (other.auth, 404), (("k-nothing", "x"), 401)):
        for action in ("present", "cleanup"):
            assert httpreq(host, action, content, auth).status_code == status
    answer = host.service.request("POST", "/acme/present", json=content)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Basic realm="Dynamic DNS"')
    assert values_of(host) == set()


def test_a_blocked_host(host: Host, service: Service) -> None:
    value = new_value()
    done(httpreq(host, "present", by_name(host, value)))
    service.cli("host", "block", host.fqdn)
    for action in ("present", "cleanup"):
        assert httpreq(host, action, by_name(host, value)).status_code == 403
    service.cli("host", "unblock", host.fqdn)
    done(httpreq(host, "cleanup", by_name(host, value)))
    assert values_of(host) == set()


def test_a_denied_agent(strict: Service) -> None:
    host = register(strict, strict.admin_token, ip="1.1.1.1")
    for agent in ("BadBot/1.0", ""):
        headers = {"User-Agent": agent}
        answer = strict.request("POST", "/acme/present", json=by_name(host, "x"), auth=host.auth, headers=headers)
        assert (answer.status_code, answer.text) == (403, "the operator denies this program")


# ---- what a client leaves behind


def make_ended(host: Host) -> None:
    """Let the values of the host end now."""
    ours = select(hosts.c.id).where(hosts.c.fqdn == host.fqdn).scalar_subquery()
    ended = update(acme_challenges).where(acme_challenges.c.host_id == ours).values(expires=1)
    in_store(host.service, lambda c: c.execute(ended))


def test_values_end(service: Service, host: Host) -> None:
    blocked, other = register(service, host.token), register(service, host.token)
    own, left = new_value(), new_value()
    Api(service, host.token).call("PUT", f"/hosts/{host.fqdn}/records/_acme-challenge/TXT", {"values": [own]})
    for one in (host, blocked, other):
        done(httpreq(one, "present", by_name(one, left)))
    service.cli("host", "block", blocked.fqdn)
    make_ended(blocked)
    make_ended(host)
    wait_until(lambda: values_of(host) == {own}, 30, "the value ends, and that of the owner stays")
    assert values_of(other) == {left}
    service.cli("host", "unblock", blocked.fqdn)
    make_ended(blocked)
    wait_until(lambda: values_of(blocked) == set(), 30, "it is removed later")


def test_a_removed_host_leaves_nothing(service: Service, host: Host) -> None:
    done(httpreq(host, "present", by_name(host, new_value())))
    Api(service, host.token).delete(f"/hosts/{host.fqdn}")
    assert values_of(host) == set()
    stranger = acme_challenges.c.host_id.not_in(select(hosts.c.id))
    assert in_store(service, lambda c: c.execute(select(acme_challenges).where(stranger)).all()) == []


# ---- acme-dns


def test_the_last_two_values_stay(host: Host) -> None:
    given = [new_value() for _ in range(3)]
    for number, value in enumerate(given):
        for _ in range(2):
            answer = acme_dns(host, value)
            assert (answer.status_code, answer.json()) == (200, {"txt": value})
        assert values_of(host) == set(given[max(number - 1, 0) : number + 1])


def test_the_name_of_the_caller_is_enough(host: Host) -> None:
    for subdomain in ("", "d420c923-bbd7-4056-ab64-c3ca54c9b3cf"):
        value = new_value()
        assert acme_dns(host, value, subdomain=subdomain).json() == {"txt": value}
        assert value in values_of(host)


def test_a_key_names_the_host(key: Key) -> None:
    login, secret, one, _ = key
    value = new_value()
    assert acme_dns(one, value, login, secret).status_code == 200
    assert value in values_of(one)
    assert acme_dns(one, value, login, secret, subdomain="x").status_code == 404


def test_errors_are_json(host: Host) -> None:
    other = register(host.service, host.token)
    assert acme_dns(host, "x", secret="wrong").json() == {"error": "forbidden"}
    assert acme_dns(host, "x", secret="wrong").status_code == 401
    assert acme_dns(host, "x", other.fqdn, other.secret).status_code == 404
    assert acme_dns(host, "a b").status_code == 422
    answer = host.service.request("POST", "/acme-dns/update", data="{")
    assert (answer.status_code, answer.json()) == (400, {"error": "the body is not JSON"})
    answer = host.service.request("POST", "/acme-dns/register", json={})
    assert answer.status_code == 403
    assert "error" in answer.json()
    assert values_of(host) == set()


def test_curl_without_a_media_type(host: Host) -> None:
    """As acme.sh sends it."""
    value = new_value()
    content = json.dumps({"subdomain": host.fqdn, "txt": value})
    headers = [f"X-Api-User: {host.fqdn}", f"X-Api-Key: {host.secret}"]
    command = ["curl", "-sS", *(part for header in headers for part in ("-H", header)), "-d", content]
    answer = subprocess.check_output([*command, f"{host.service.url}/acme-dns/update"])
    assert json.loads(answer) == {"txt": value}
    assert values_of(host) == {value}
