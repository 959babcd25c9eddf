# SPDX-License-Identifier: GPL-3.0-or-later
"""§2, the rows about `hosts`, and what its fields mean."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.clients.dyndns import GIVEN, Host, counts, new_label, register, said
from support.ports import in_time
from support.servers.faults import hung
from support.servers.service import Service, dev

SIXTEEN: dict[str, type | tuple[type, ...]] = {
    "fqdn": str,
    "name": str,
    "domain": str,
    "wildcard": bool,
    "comment": (str, type(None)),
    "available": bool,
    "client_faults": int,
    "server_faults": int,
    "abuse_blocked": bool,
    "abuse": bool,
    "last_update_ipv4": (str, type(None)),
    "tls_update_ipv4": bool,
    "ipv4": (str, type(None)),
    "last_update_ipv6": (str, type(None)),
    "tls_update_ipv6": bool,
    "ipv6": (str, type(None)),
}


def hosts(service: Service, token: str, **params: str) -> list[dict[str, Any]]:
    answer = service.get("/nic/hosts", token, params=params)
    assert answer.status_code == 200, answer.text
    content = answer.json()
    assert set(content) == {"status", "hosts"}
    assert content["status"] == "ok"
    rows: list[dict[str, Any]] = content["hosts"]
    return rows


def test_hosts_have_the_sixteen_keys_of_the_sample(service: Service, alice: str, host: Host, lab: str) -> None:
    register(service, alice, lab, wildcard="true", comment="in the lab")
    for _ in range(2):
        for row in hosts(service, alice):
            assert list(row) == list(SIXTEEN)
            for key, kind in SIXTEEN.items():
                assert isinstance(row[key], kind), (key, row[key])


def test_hosts_are_the_callers_own_sorted_by_domain_and_name(
    service: Service, alice: str, host: Host, foreign: Host, lab: str, shared: str
) -> None:
    for domain in (lab, shared, lab):
        register(service, alice, domain)
    for name in ("b", "a-b", "a1", "a", "aa"):
        service.register(f"{name}-{new_label()}.{lab}", alice, ip=GIVEN)
    for _ in range(2):
        rows = hosts(service, alice)
        keys = [(row["domain"], row["name"]) for row in rows]
        assert keys == sorted(keys)
        names = {row["fqdn"] for row in rows}
        assert host.fqdn in names
        assert foreign.fqdn not in names


def test_hosts_of_one_domain(service: Service, alice: str, host: Host, lab: str) -> None:
    inside = register(service, alice, lab)
    for domain in (lab, lab.upper(), lab + "."):
        rows = hosts(service, alice, domain=domain)
        assert inside.fqdn in {row["fqdn"] for row in rows}
        assert {row["domain"] for row in rows} == {lab}
    assert {row["domain"] for row in hosts(service, alice, domain=service.domain)} == {service.domain}
    assert inside.fqdn in {row["fqdn"] for row in hosts(service, alice, domain="")}


def test_hosts_of_a_public_domain_are_still_only_the_callers(service: Service, host: Host, bob: str) -> None:
    mine = register(service, bob)
    names = {row["fqdn"] for row in hosts(service, bob, domain=service.domain)}
    assert mine.fqdn in names
    assert host.fqdn not in names


def test_hosts_of_an_unknown_and_of_an_invisible_domain_are_told_alike(service: Service, alice: str, den: str) -> None:
    answers = {
        (answer.status_code, answer.text)
        for domain in ("unknown.example.net", den, "unknown.example.net", den)
        for answer in [service.get("/nic/hosts", alice, params={"domain": domain})]
    }
    ((status, text),) = answers
    assert status == 400
    assert '"error"' in text
    assert service.get("/nic/hosts", alice, params={"domain": den}).json()["status"] == "error"


def test_last_update_and_addresses_follow_updates(host: Host) -> None:
    first = host.row()
    said(host.update(myip="2001:db8::3"), 200, "good 2001:db8::3")
    second = host.row()
    assert (second["ipv4"], second["ipv6"]) == (GIVEN, "2001:db8::3")
    assert second["last_update_ipv4"] == first["last_update_ipv4"]
    assert second["last_update_ipv6"] is not None
    said(host.update(myip="192.0.2.3"), 200, "good 192.0.2.3")
    third = host.row()
    assert third["last_update_ipv4"] > second["last_update_ipv4"]
    assert third["last_update_ipv6"] == second["last_update_ipv6"]
    assert third["ipv4"] == "192.0.2.3"


def test_tls_update_says_that_the_last_update_came_over_tls(proxied: Service) -> None:
    host = register(proxied, proxied.admin_token)
    assert (host.row()["tls_update_ipv4"], host.row()["tls_update_ipv6"]) == (False, False)
    over_tls = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https"}
    said(host.update(headers=over_tls, myip="192.0.2.4"), 200, "good 192.0.2.4")
    assert (host.row()["tls_update_ipv4"], host.row()["tls_update_ipv6"]) == (True, False)
    said(host.update(headers=over_tls, myip="2001:db8::4"), 200, "good 2001:db8::4")
    assert (host.row()["tls_update_ipv4"], host.row()["tls_update_ipv6"]) == (True, True)
    plain = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "http"}
    said(host.update(headers=plain, myip="192.0.2.5"), 200, "good 192.0.2.5")
    assert (host.row()["tls_update_ipv4"], host.row()["tls_update_ipv6"]) == (False, True)


def test_tls_is_not_believed_of_a_caller_who_is_no_proxy(host: Host) -> None:
    said(host.update(headers={"X-Forwarded-Proto": "https"}, myip="192.0.2.4"), 200, "good 192.0.2.4")
    assert host.row()["tls_update_ipv4"] is False


def test_client_faults_count_client_faults(host: Host) -> None:
    with counts(host, client=3):
        assert host.update(myip="zzz").text == "dnserr"
        for name, word in (("nodot", "notfqdn"), ("nobody.dyn.example.org", "nohost")):
            assert host.update(hostname=name).text == word


@contextmanager
def with_hosts(directory: Path, names: list[str]) -> Iterator[Service]:
    """A service of the administrator's with that many hosts, by way of `ddnsd export` and `import`."""
    with dev(directory) as first:
        assert register(first, first.admin_token).is_listed()
        content = json.loads(first.cli("export").stdout)
    (one,) = content["tables"]["hosts"]
    content["tables"]["hosts"] = [
        one | {"id": number, "name": name, "fqdn": f"{name}.{first.domain}", "secret_hash": f"{number:043}="}
        for number, name in enumerate(names, 1)
    ]
    (directory / "many.json").write_text(json.dumps(content))
    for file in directory.glob("*.db*"):
        file.unlink()
    first.cli("db", "upgrade")
    first.cli("import", str(directory / "many.json"))
    first.start()
    try:
        yield first
    finally:
        first.stop()


def test_10_000_hosts_are_listed_also_while_the_name_server_hangs(tmp_path: Path) -> None:
    names = [f"n{number:05}" for number in range(10_000)]
    with with_hosts(tmp_path, names) as service, hung(service.named_pid()), in_time():
        answer = service.get("/nic/hosts", service.admin_token)
        assert [row["name"] for row in answer.json()["hosts"]] == names
