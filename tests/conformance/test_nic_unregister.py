# SPDX-License-Identifier: GPL-3.0-or-later
"""§2, the rows about `unregister` and `generate_secret`."""

import requests
from support.clients.dyndns import GIVEN, Host, counts, is_listed, new_label, one_message, refused, register, said
from support.ports import in_time, wait_until
from support.servers.faults import hung
from support.servers.service import Service

NEW = "192.0.2.21"


def unregister(host: Host, token: str | None = None, **params: str) -> requests.Response:
    return host.service.get("/nic/unregister", token or host.token, params=params or {"fqdn": host.fqdn})


def renew(host: Host, token: str | None = None, **params: str) -> requests.Response:
    return host.service.get("/nic/generate_secret", token or host.token, params=params or {"fqdn": host.fqdn})


def is_nohost(answer: requests.Response) -> None:
    assert answer.status_code == 404, answer.text
    assert answer.json() == {"status": "error", "message": "nohost"}


# ---- unregister


def test_unregister_answers_five_keys_and_the_record_is_gone(service: Service, alice: str) -> None:
    for comment in ("host for testing purposes", None):
        host = register(service, alice, **({"comment": comment} if comment else {}))
        answer = unregister(host)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("application/json")
        assert answer.json() == {
            "status": "ok",
            "message": "Host unregistered.",
            "host": {
                "fqdn": host.fqdn,
                "name": host.name,
                "domain": host.domain,
                "wildcard": False,
                "comment": comment,
            },
        }
        assert host.addresses() == []
        assert not host.is_listed()


def test_unregister_with_name_and_domain_in_any_case(service: Service, alice: str) -> None:
    for fold in (str.lower, str.upper):
        host = register(service, alice)
        assert unregister(host, name=fold(host.name), domain=fold(host.domain)).status_code == 200
        other = register(service, alice)
        assert unregister(other, fqdn=fold(other.fqdn) + ".").status_code == 200
        assert host.addresses() == other.addresses() == []


def test_unregister_removes_wildcard_and_related_records_in_one_update(service: Service, alice: str) -> None:
    host = register(service, alice, wildcard="true")
    said(host.update(myip="192.0.2.21,2001:db8::21"), 200, "good 192.0.2.21,2001:db8::21")
    service.cli("related", "add", host.fqdn, "nas", "::99")
    wait_until(lambda: service.dig(f"nas.{host.fqdn}", "AAAA") == ["2001:db8::99"], 10, "the related record")
    with one_message(service):
        answer = unregister(host)
    assert answer.json()["host"]["wildcard"] is True
    assert host.addresses() == host.addresses("any") == host.addresses("nas") == []
    assert service.cli("reconcile", "--check", check=False).returncode == 0


def test_unregister_missing_parameters(service: Service, host: Host) -> None:
    for params, missing in (({"x": "1"}, "name"), ({"domain": host.domain}, "name"), ({"name": host.name}, "domain")):
        for call in ("unregister", "generate_secret"):
            answer = service.get(f"/nic/{call}", host.token, params=params)
            assert answer.status_code == 400
            assert answer.json() == {"status": "error", "message": f"Missing parameter: {missing}"}
    assert host.addresses() == [GIVEN]


def test_unregister_unknown_or_again_is_nohost(host: Host) -> None:
    for name in ("nobody.dyn.example.org", "nobody.example.net", f"*.{host.fqdn}", f"a.{host.fqdn}"):
        for _ in range(2):
            is_nohost(unregister(host, fqdn=name))
    assert unregister(host).status_code == 200
    for _ in range(2):
        is_nohost(unregister(host))
    is_nohost(unregister(host, name=host.name, domain=host.domain))


def test_unregister_of_somebody_elses_is_nohost_and_moves_no_counter(host: Host, bob: str) -> None:
    with counts(host):
        for _ in range(2):
            is_nohost(unregister(host, bob))
            is_nohost(unregister(host, bob, name=host.name, domain=host.domain))
    assert host.addresses() == [GIVEN]
    said(host.update(myip=GIVEN), 200, f"nochg {GIVEN}")


def test_an_unregistered_host_is_unknown_to_its_updater(service: Service, alice: str) -> None:
    host = register(service, alice)
    said(host.update(myip=NEW), 200, f"good {NEW}")
    assert unregister(host).status_code == 200
    for _ in range(2):
        refused(host.update(myip=NEW), 401, "badauth")
        refused(host.bearer(myip=NEW), 404, "nohost")
        assert host.addresses() == []


def test_a_name_may_be_registered_again_with_a_new_secret(service: Service, host: Host, bob: str) -> None:
    assert unregister(host).status_code == 200
    again = Host(service, host.fqdn, service.register(host.fqdn, bob, ip=NEW), bob)
    assert again.secret != host.secret
    assert again.addresses() == [NEW]
    for _ in range(2):
        refused(host.update(myip=GIVEN), 401, "badauth")
        said(again.update(myip=NEW), 200, f"nochg {NEW}")
    is_nohost(unregister(again, host.token))


def test_unregister_of_a_blocked_host_is_abuse_and_registering_it_anew_lifts_no_block(blocked: Host, bob: str) -> None:
    service = blocked.service
    for _ in range(2):
        answer = unregister(blocked)
        assert (answer.status_code, answer.json()) == (403, {"status": "error", "message": "abuse"})
        for token in (blocked.token, bob):
            again = service.get("/nic/register", token, params={"fqdn": blocked.fqdn, "ip": NEW})
            assert again.status_code == 400
        refused(blocked.update(myip=NEW), 200, "abuse")
        assert blocked.addresses() == []
    assert blocked.row()["abuse_blocked"] is True


def test_unregister_while_the_name_server_hangs_leaves_no_record_in_the_end(fragile: Service) -> None:
    host = register(fragile, fragile.admin_token)
    with hung(fragile.named_pid()), in_time():
        status = unregister(host).status_code
    if status == 200:
        wait_until(lambda: host.addresses() == [], 30, "record gone")
    else:
        assert status in (502, 503)
        wait_until(lambda: unregister(host).status_code in (200, 404), 30, "unregistered in the end")
        wait_until(lambda: host.addresses() == [], 30, "record gone")
    assert not is_listed(fragile, fragile.admin_token, host.fqdn)


# ---- generate_secret


def test_generate_secret_replaces_the_secret_at_once(service: Service, host: Host) -> None:
    secrets = [host.secret]
    for number in range(5):
        answer = renew(host)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"].startswith("application/json")
        assert set(answer.json()) == {"status", "secret"}
        assert answer.json()["status"] == "ok"
        old, new = Host(service, host.fqdn, secrets[-1], host.token), answer.json()["secret"]
        refused(old.update(myip=NEW), 401, "badauth")
        fresh = Host(service, host.fqdn, new, host.token)
        said(fresh.update(myip=f"192.0.2.{100 + number}"), 200, f"good 192.0.2.{100 + number}")
        refused(old.update(myip=NEW), 401, "badauth")
        secrets.append(new)
    assert len(set(secrets)) == 6
    assert host.addresses() == ["192.0.2.104"]


def test_generate_secret_takes_name_and_domain(service: Service, host: Host) -> None:
    answer = renew(host, name=host.name.upper(), domain=host.domain)
    fresh = Host(service, host.fqdn, answer.json()["secret"], host.token)
    for word in ("good", "nochg"):
        said(fresh.update(myip=NEW), 200, f"{word} {NEW}")


def test_generate_secret_for_unknown_or_somebody_elses_is_nohost_and_changes_nothing(host: Host, bob: str) -> None:
    with counts(host):
        for _ in range(2):
            is_nohost(renew(host, bob))
            is_nohost(renew(host, fqdn=f"{new_label()}.dyn.example.org"))
            is_nohost(renew(host, fqdn="nobody.example.net"))
    said(host.update(myip=NEW), 200, f"good {NEW}")
