# SPDX-License-Identifier: GPL-3.0-or-later
"""§1, "Who" and the rows about credentials."""

import base64

import pytest
import requests
from support.clients import raw_http
from support.clients.dyndns import GIVEN, Host, counts, refused, register, said
from support.ports import in_time
from support.servers.faults import locked
from support.servers.service import Service

NEW = "192.0.2.88"
Key = tuple[str, str, Host, Host]


def with_header(service: Service, value: str | bytes, **params: str) -> requests.Response:
    return service.get("/nic/update", headers={"Authorization": value}, params=params)


def is_challenge(answer: requests.Response | raw_http.Answer) -> None:
    refused(answer, 401, "badauth")
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert headers["www-authenticate"].startswith('Basic realm="')


# ---- a browser that has stored the credentials


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("path", ["/nic/update", "/v3/update", "/dyndns/update", "//update", "/update", "/nic/delete"])
def test_a_page_of_another_site_cannot_use_them(host: Host, path: str, method: str, site: str) -> None:
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    with counts(host):
        answer = host.service.request(method, path, auth=host.auth, headers=headers, params={"myip": NEW})
        refused(answer, 403, "badauth")
        assert "WWW-Authenticate" not in answer.headers
    assert host.addresses() == [GIVEN]


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_the_address_bar_and_pages_of_the_service_can(host: Host, site: str) -> None:
    said(host.update(myip=NEW, headers={"Sec-Fetch-Site": site}), 200, f"good {NEW}")


def test_a_token_is_never_stored_by_a_browser(service: Service, host: Host) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    params = {"hostname": host.fqdn, "myip": NEW}
    said(service.get("/nic/update", host.token, headers=headers, params=params), 200, f"good {NEW}")


# ---- who may call


def test_basic_with_name_and_secret_updates_that_host(host: Host) -> None:
    for word in ("good", "nochg"):
        said(host.update(hostname=host.fqdn, myip=NEW), 200, f"{word} {NEW}")
        assert host.addresses() == [NEW]


def test_bearer_updates_any_host_that_the_caller_may_write(host: Host) -> None:
    for word in ("good", "nochg"):
        said(host.bearer(myip=NEW), 200, f"{word} {NEW}")
        assert host.addresses() == [NEW]


def test_bearer_of_somebody_else_is_nohost(service: Service, host: Host, bob: str) -> None:
    for _ in range(2):
        refused(service.get("/nic/update", bob, params={"hostname": host.fqdn, "myip": NEW}), 404, "nohost")
        assert host.addresses() == [GIVEN]


def test_key_updates_each_of_its_hosts(service: Service, key: Key) -> None:
    login, secret, one, two = key
    assert login.startswith("k-")
    for host, address in ((one, "192.0.2.101"), (two, "192.0.2.102")):
        for word in ("good", "nochg"):
            answer = service.get("/nic/update", auth=(login, secret), params={"hostname": host.fqdn, "myip": address})
            said(answer, 200, f"{word} {address}")
        assert host.addresses() == [address]


def test_key_with_both_names_updates_both_in_one_request(service: Service, key: Key) -> None:
    login, secret, one, two = key
    names = f"{two.fqdn},{one.fqdn}"
    for word in ("good", "nochg"):
        answer = service.get("/nic/update", auth=(login, secret), params={"hostname": names, "myip": "192.0.2.103"})
        said(answer, 200, f"{word} 192.0.2.103\n{word} 192.0.2.103")
    assert one.addresses() == two.addresses() == ["192.0.2.103"]


def test_key_does_not_update_another_host(service: Service, key: Key, host: Host) -> None:
    for _ in range(2):
        answer = service.get("/nic/update", auth=key[:2], params={"hostname": host.fqdn, "myip": NEW})
        refused(answer, 200, "nohost")
        assert host.addresses() == [GIVEN]


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "bAsIc"])
def test_scheme_basic_in_any_case(service: Service, host: Host, scheme: str) -> None:
    value = f"{scheme} {raw_http.basic(*host.auth).removeprefix('Basic ')}"
    for word in ("good", "nochg"):
        said(with_header(service, value, myip=NEW), 200, f"{word} {NEW}")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_scheme_bearer_in_any_case(service: Service, host: Host, scheme: str) -> None:
    for word in ("good", "nochg"):
        said(with_header(service, f"{scheme} {host.token}", hostname=host.fqdn, myip=NEW), 200, f"{word} {NEW}")


def test_host_names_in_any_case_and_with_a_trailing_dot(service: Service, host: Host) -> None:
    address = 10
    for name in (host.fqdn.upper(), host.fqdn + ".", host.fqdn.title() + "."):
        for auth, params in (((name, host.secret), {}), (host.auth, {"hostname": name})):
            address += 1
            params = {"myip": f"192.0.2.{address}"} | params
            for word in ("good", "nochg"):
                said(service.get("/nic/update", auth=auth, params=params), 200, f"{word} 192.0.2.{address}")
        said(host.bearer(hostname=name, myip=f"192.0.2.{address}"), 200, f"nochg 192.0.2.{address}")


def test_a_token_to_read_does_not_update(service: Service, host: Host, reader: str) -> None:
    for _ in range(2):
        answer = service.get("/nic/update", reader, params={"hostname": host.fqdn, "myip": NEW})
        refused(answer, 404, "nohost")
        assert host.addresses() == [GIVEN]


def test_a_token_for_one_host_updates_no_other(service: Service, host: Host, alice: str) -> None:
    other = register(service, alice)
    added = service.cli("token", "add", "alice", "--name", f"only {host.name}", "--scope", "write", "--host", host.fqdn)
    token = added.stdout.strip()
    for word in ("good", "nochg"):
        said(service.get("/nic/update", token, params={"hostname": host.fqdn, "myip": NEW}), 200, f"{word} {NEW}")
        answer = service.get("/nic/update", token, params={"hostname": other.fqdn, "myip": NEW})
        refused(answer, 404, "nohost")
    assert other.addresses() == [GIVEN]


def test_account_credentials_are_refused(service: Service, host: Host) -> None:
    for _ in range(2):
        answer = service.get("/nic/update", auth=("alice", host.token), params={"hostname": host.fqdn, "myip": NEW})
        refused(answer, 200, "notfqdn")
        assert host.addresses() == [GIVEN]


# ---- credentials in the query


def test_credentials_in_the_query_are_refused_by_default(service: Service, host: Host) -> None:
    for _ in range(2):
        params = {"username": host.fqdn, "password": host.secret, "myip": NEW}
        is_challenge(service.get("/nic/update", params=params))
        is_challenge(service.request("POST", "/nic/update", data=params))
    assert host.addresses() == [GIVEN]


def test_credentials_in_the_query_where_the_domain_allows_it(service: Service, alice: str, picky: str) -> None:
    host = register(service, alice, picky, ip="1.1.1.1")
    params = {"username": host.fqdn, "password": host.secret, "myip": "1.1.1.2"}
    for word in ("good", "nochg"):
        said(service.get("/nic/update", params=params), 200, f"{word} 1.1.1.2")
        is_challenge(service.get("/nic/update", params=params | {"password": "wrong", "myip": "1.1.1.3"}))
        assert host.addresses() == ["1.1.1.2"]
    for word in ("good", "nochg"):
        said(service.request("POST", "/nic/update", data=params | {"myip": "1.1.1.4"}), 200, f"{word} 1.1.1.4")


def test_credentials_in_the_query_where_the_operator_allows_it_everywhere(proxied: Service) -> None:
    host = register(proxied, proxied.admin_token)
    params = {"username": host.fqdn, "password": host.secret, "myip": NEW}
    for word in ("good", "nochg"):
        said(proxied.get("/nic/update", params=params), 200, f"{word} {NEW}")
        is_challenge(proxied.get("/nic/update", params=params | {"password": "wrong"}))


# ---- row: no credentials, malformed, or another scheme

MALFORMED = [
    None,
    "",
    "Basic",
    "Basic ",
    "Basic !!!!",
    "Basic " + base64.b64encode(b"no colon").decode(),
    "Basic " + base64.b64encode(b":").decode(),
    "Basic " + base64.b64encode(b":secret").decode(),
    "Basic " + base64.b64encode(b"\xff\xfe\xfd:\xff").decode(),
    "Basic " + base64.b64encode(b"\0.\0:\0").decode(),
    "Basic YWJj=ZGVm",
    "Bearer",
    "Bearer ",
    "Bearer a b",
    "Digest username=x",
    "Negotiate YIIB",
    "Token ddns_0000",
    "ddns_0000",
    ":",
    " ",
]


@pytest.mark.parametrize("value", MALFORMED, ids=repr)
def test_no_or_malformed_or_other_credentials_are_challenged(service: Service, value: str | None) -> None:
    headers = {} if value is None else {"Authorization": value}
    for _ in range(2):
        for path in ("/nic/update?myip=192.0.2.99", "/nic/delete?myip=0.0.0.0"):
            is_challenge(raw_http.exchange(raw_http.request(path, headers=headers), service.http_port))


def test_no_credentials_count_as_nothing(service: Service, host: Host) -> None:
    with counts(host):
        for value in (None, *MALFORMED[2:6]):
            headers = {} if value is None else {"Authorization": value}
            octets = raw_http.request(f"/nic/update?hostname={host.fqdn}&myip={NEW}", headers=headers)
            assert raw_http.exchange(octets, service.http_port).status == 401
    assert host.addresses() == [GIVEN]


def test_a_client_that_waits_for_the_challenge_succeeds(service: Service, host: Host) -> None:
    is_challenge(service.get("/nic/update", params={"hostname": host.fqdn, "myip": NEW}))
    with counts(host):
        for word in ("good", "nochg"):
            said(host.update(myip=NEW), 200, f"{word} {NEW}")


# ---- row: unknown host or key, or wrong secret


def test_wrong_secret_is_badauth_and_counts_for_nobody(service: Service, host: Host) -> None:
    with counts(host):
        for secret in ("wrong", "", host.secret + "x", host.secret[:-1], host.secret.swapcase()):
            refused(service.get("/nic/update", auth=(host.fqdn, secret), params={"myip": NEW}), 401, "badauth")
    assert host.addresses() == [GIVEN]


def test_the_secret_of_another_host_is_badauth(service: Service, host: Host, foreign: Host) -> None:
    for _ in range(2):
        answer = service.get("/nic/update", auth=(host.fqdn, foreign.secret), params={"myip": NEW})
        refused(answer, 401, "badauth")
    assert host.addresses() == [GIVEN]


def test_unknown_host_unknown_key_and_wrong_secret_are_told_alike(service: Service, host: Host, key: Key) -> None:
    def answer(user: str) -> tuple[int, str, dict[str, str]]:
        reply = service.get("/nic/update", auth=(user, "wrong"), params={"myip": NEW})
        return reply.status_code, reply.text, {k: v for k, v in reply.headers.items() if k.lower() != "date"}

    known = answer(host.fqdn)
    assert known[:2] == (401, "badauth")
    users = ("nobody.dyn.example.org", "nobody.example.net", key[0], "k-" + "0" * (len(key[0]) - 2))
    for user in users:
        assert answer(user) == known
        assert answer(user) == known


def test_a_bad_token_is_badauth(service: Service, host: Host) -> None:
    for token in ("ddns_" + "0" * 43, "wrong", host.token + "x", host.secret, "eyJhbGciOiJub25lIn0.e30."):
        for _ in range(2):
            is_challenge(service.get("/nic/update", token, params={"hostname": host.fqdn, "myip": NEW}))
    assert host.addresses() == [GIVEN]


def test_failed_sign_ins_do_not_touch_a_locked_database(proxied: Service) -> None:
    host = register(proxied, proxied.admin_token)
    assert host.update(myip=GIVEN).status_code == 200
    with locked(proxied), in_time():
        for number in range(10):
            refused(proxied.get("/nic/update", auth=(host.fqdn, f"wrong{number}")), 401, "badauth")
            refused(proxied.get("/nic/update", auth=(f"n{number}.example.net", "wrong")), 401, "badauth")


# ---- row: user name without a dot


def test_user_name_without_a_dot_is_notfqdn(service: Service) -> None:
    for user in ("nodot", "admin", "alice", "localhost", "x" * 300):
        for _ in range(2):
            refused(service.get("/nic/update", auth=(user, "secret"), params={"myip": NEW}), 200, "notfqdn")
            refused(service.get("/nic/delete", auth=(user, "secret"), params={"myip": "0.0.0.0"}), 200, "notfqdn")
