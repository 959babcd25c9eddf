# SPDX-License-Identifier: GPL-3.0-or-later
"""§1, the rows about what an operator or an owner does not want: agents, blocks, flags, denied addresses."""

import pytest
from support.clients import raw_http
from support.clients.dyndns import GIVEN, Host, counts, is_listed, refused, register, said, ttl
from support.clients.rest_api import Api
from support.ports import wait_until
from support.servers.service import Service

ONE, TWO = "1.1.1.1", "1.1.1.2"
NEW = "192.0.2.55"


@pytest.fixture
def watched(strict: Service) -> Host:
    """A host of the strict service, at a public address."""
    return register(strict, strict.admin_token, ip=ONE)


# ---- row: user agents


@pytest.mark.parametrize("agent", ["BadBot/1.0", "Evil-Updater"])
def test_agent_on_the_deny_list_is_badagent(watched: Host, agent: str) -> None:
    with counts(watched, client=2):
        for _ in range(2):
            refused(watched.update(headers={"User-Agent": agent}, myip=TWO), 200, "badagent")
            assert watched.addresses() == [ONE]
    said(watched.update(headers={"User-Agent": "GoodBot/1.0"}, myip=TWO), 200, f"good {TWO}")


def test_agent_on_the_deny_list_sees_403_with_bearer(strict: Service, watched: Host) -> None:
    for _ in range(2):
        answer = strict.get(
            "/nic/update",
            watched.token,
            headers={"User-Agent": "BadBot/1.0"},
            params={"hostname": watched.fqdn, "myip": TWO},
        )
        refused(answer, 403, "badagent")
    assert watched.addresses() == [ONE]


def test_missing_agent_is_badagent_where_policy_asks_for_one(strict: Service, watched: Host) -> None:
    octets = raw_http.request(
        f"/nic/update?myip={TWO}", headers={"Authorization": raw_http.basic(*watched.auth)}, agent=None
    )
    empty = raw_http.request(
        f"/nic/update?myip={TWO}", headers={"Authorization": raw_http.basic(*watched.auth)}, agent=""
    )
    with counts(watched, client=4):
        for _ in range(2):
            refused(raw_http.exchange(octets, strict.http_port), 200, "badagent")
            refused(raw_http.exchange(empty, strict.http_port), 200, "badagent")
    assert watched.addresses() == [ONE]


def test_missing_agent_is_fine_otherwise(service: Service, host: Host) -> None:
    octets = raw_http.request(
        f"/nic/update?myip={NEW}", headers={"Authorization": raw_http.basic(*host.auth)}, agent=None
    )
    for word in ("good", "nochg"):
        said(raw_http.exchange(octets, service.http_port), 200, f"{word} {NEW}")


def test_badauth_comes_before_badagent(strict: Service, watched: Host) -> None:
    for _ in range(2):
        answer = strict.get("/nic/update", auth=(watched.fqdn, "wrong"), headers={"User-Agent": "BadBot/1.0"})
        refused(answer, 401, "badauth")


# ---- row: blocked for abuse


def test_a_blocked_host_is_abuse_and_counts_as_nothing(service: Service, blocked: Host) -> None:
    with counts(blocked):
        for _ in range(2):
            refused(blocked.update(myip=NEW), 200, "abuse")
            refused(blocked.update(myip=GIVEN), 200, "abuse")
            refused(blocked.update(offline="YES"), 200, "abuse")
            refused(blocked.update(myip="zzz"), 200, "abuse")
            refused(blocked.bearer(myip=NEW), 403, "abuse")
            refused(blocked.delete(myip="0.0.0.0"), 200, "abuse")
            refused(blocked.update(headers={"User-Agent": "Python-urllib/3.11"}, myip=NEW), 403, "abuse")
            duck = service.get("/update", params={"domains": blocked.fqdn, "token": blocked.secret, "ip": NEW})
            refused(duck, 200, "KO")
    assert blocked.addresses() == blocked.addresses("any") == []
    assert blocked.row()["abuse_blocked"] is True


def test_a_blocked_name_among_several_is_judged_by_itself(blocked: Host, host: Host) -> None:
    for word in ("good", "nochg"):
        said(host.bearer(hostname=f"{blocked.fqdn},{host.fqdn}", myip=NEW), 200, f"abuse\n{word} {NEW}")
    assert (blocked.addresses(), host.addresses()) == ([], [NEW])


def test_an_unblocked_host_works_again(service: Service, host: Host) -> None:
    service.cli("host", "block", host.fqdn)
    wait_until(lambda: host.update(myip=NEW).text == "abuse", 10, "blocked")
    service.cli("host", "unblock", host.fqdn)
    wait_until(lambda: host.update(myip=NEW).text != "abuse", 10, "unblocked")
    said(host.update(myip=NEW), 200, f"nochg {NEW}")
    assert host.addresses() == [NEW]
    assert host.row()["abuse_blocked"] is False
    assert service.get("/nic/unregister", host.token, params={"fqdn": host.fqdn}).status_code == 200


# ---- row: host or domain not available


def test_a_host_that_is_not_available_is_nohost_and_counts_as_nothing(service: Service, host: Host) -> None:
    service.cli("host", "set", host.fqdn, "--unavailable")
    wait_until(lambda: host.update(myip=GIVEN).text == "nohost", 10, "not available")
    with counts(host):
        for _ in range(2):
            refused(host.update(myip=NEW), 200, "nohost")
            refused(host.bearer(myip=NEW), 404, "nohost")
    assert host.row()["available"] is False
    assert NEW not in host.addresses()
    service.cli("host", "set", host.fqdn, "--available")
    wait_until(lambda: host.update(myip=NEW).text == f"good {NEW}", 10, "available again")
    assert host.row()["available"] is True
    assert host.addresses() == [NEW]


def test_a_host_of_a_domain_that_is_not_available_is_nohost(closed: Host) -> None:
    with counts(closed):
        for _ in range(2):
            refused(closed.update(myip=NEW), 200, "nohost")
            refused(closed.bearer(myip=NEW), 404, "nohost")
    assert closed.row()["available"] is False
    assert NEW not in closed.addresses()


# ---- row: an address on the operator's deny list


@pytest.mark.parametrize("denied", ["9.9.9.9", "2620:fe::9", f"{TWO},2620:fe::9", "::ffff:9.9.9.9"])
def test_a_denied_address_blocks_the_host_and_removes_its_records(strict: Service, denied: str) -> None:
    host = register(strict, strict.admin_token, ip=ONE, wildcard="true")
    assert host.addresses() == host.addresses("any") == [ONE]
    with counts(host, client=1):
        refused(host.update(myip=denied), 200, "abuse")
    wait_until(lambda: host.addresses() == host.addresses("any") == [], 20, "records removed")
    assert host.row()["abuse_blocked"] is True
    assert Api(strict, strict.admin_token).get(f"/hosts/{host.fqdn}")["block_reason"] == "address on the deny list"
    for _ in range(2):
        refused(host.update(myip=ONE), 200, "abuse")
        refused(host.bearer(myip=TWO), 403, "abuse")
    assert host.addresses() == []


def test_a_denied_address_cannot_be_registered(strict: Service) -> None:
    for _ in range(2):
        answer = strict.get(
            "/nic/register", strict.admin_token, params={"fqdn": "denied.dyn.example.org", "ip": "9.9.9.9"}
        )
        assert answer.status_code == 400
        assert answer.json()["status"] == "error"
        assert strict.dig("denied.dyn.example.org") == []
        assert not is_listed(strict, strict.admin_token, "denied.dyn.example.org")


# ---- row: nochg is judged by rate


def test_too_many_unchanged_updates_an_hour_flag_the_host(strict: Service, watched: Host) -> None:
    allowed = int(strict.settings["DDNSD_NOCHG_PER_HOUR"])
    for _ in range(allowed):
        said(watched.update(myip=ONE), 200, f"nochg {ONE}")
    assert watched.row()["abuse"] is False
    wait_until(lambda: watched.update(myip=ONE).text == "abuse", 20, "flagged")
    row = watched.row()
    assert (row["abuse"], row["abuse_blocked"]) == (True, False)
    with counts(watched):
        for _ in range(2):
            refused(watched.update(myip=TWO), 200, "abuse")
            refused(watched.bearer(myip=TWO), 403, "abuse")
    assert watched.addresses() == [ONE]


def test_changed_updates_do_not_flag_the_host(strict: Service, watched: Host) -> None:
    for number in range(2 * int(strict.settings["DDNSD_NOCHG_PER_HOUR"])):
        said(watched.update(myip=f"1.1.2.{number}"), 200, f"good 1.1.2.{number}")
    assert watched.row()["abuse"] is False


def test_unchanged_updates_never_flag_under_dev_unless_rules_are_on(proxied: Service) -> None:
    host = register(proxied, proxied.admin_token)
    for _ in range(12):
        said(host.update(myip=GIVEN), 200, f"nochg {GIVEN}")
    assert host.row()["abuse"] is False


# ---- private addresses and TTL, by the operator


def test_private_addresses_where_the_operator_says_otherwise(watched: Host) -> None:
    for address in ("10.1.2.3", "100.64.1.1", "192.0.2.1", "fd00::1", "2001:db8::1"):
        for _ in range(2):
            refused(watched.update(myip=address), 200, "dnserr")
    for word in ("good", "nochg"):
        said(watched.update(myip=f"{TWO},2606:4700::2"), 200, f"{word} {TWO},2606:4700::2")
    assert watched.addresses() == [TWO, "2606:4700::2"]


def test_ttl_is_60_unless_somebody_says_otherwise(service: Service, host: Host) -> None:
    assert ttl(service, host.fqdn) == 60
    said(host.update(myip=f"{NEW},2001:db8::55"), 200, f"good {NEW},2001:db8::55")
    assert (ttl(service, host.fqdn), ttl(service, host.fqdn, "AAAA")) == (60, 60)


def test_ttl_is_the_domains_or_the_hosts_where_it_is_set(service: Service, alice: str, picky: str) -> None:
    host = register(service, alice, picky, ip=ONE, wildcard="true")
    assert (ttl(service, host.fqdn), ttl(service, f"any.{host.fqdn}")) == (600, 600)
    service.cli("host", "set", host.fqdn, "--ttl", "30")
    wait_until(lambda: ttl(service, host.fqdn) == 30, 10, "the host's TTL")
    said(host.update(myip=TWO), 200, f"good {TWO}")
    assert (ttl(service, host.fqdn), ttl(service, f"any.{host.fqdn}")) == (30, 30)


def test_ttl_is_the_operators_where_it_is_set(strict: Service, watched: Host) -> None:
    assert ttl(strict, watched.fqdn) == 300
    said(watched.update(myip=TWO), 200, f"good {TWO}")
    assert ttl(strict, watched.fqdn) == 300
