# SPDX-License-Identifier: GPL-3.0-or-later
"""The `ddnsd` commands, run beside a running service."""

import asyncio
import json
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.message
import dns.query
import pytest
from support.ports import free_port, wait_until
from support.servers.faults import hung
from support.servers.service import Service, dev

from ddnsd.dns.errors import DnsError
from ddnsd.dns.primary_check import accepts_updates
from ddnsd.dns.tsig import TsigKey


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, store_settings: Callable[[], dict[str, str]]
) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("commands") / "service", **store_settings()) as running:
        yield running


def failing(service: Service, *args: str) -> str:
    """Standard error of a command that must fail, without a traceback."""
    result = service.cli(*args, check=False)
    assert result.returncode == 1, result.stdout
    assert "Traceback" not in result.stderr
    return result.stderr


def test_user_add_twice(service: Service) -> None:
    for _ in range(2):
        result = service.cli("user", "add", "alice")
        assert (result.stdout, result.stderr) == ("", "")
    assert "A user name" in failing(service, "user", "add", "two words")


def test_the_reason_of_a_suspension_stays_until_another_is_given(service: Service) -> None:
    service.cli("user", "add", "spammer")
    for command, options, reason in (
        ("suspend", ["--reason", "Spam"], "Spam"),
        ("suspend", ["--records", "remove"], "Spam"),
        ("disable", [], "Spam"),
        ("disable", ["--reason", "Phishing"], "Phishing"),
        ("suspend", ["--reason", ""], None),
    ):
        service.cli("user", command, "spammer", *options)
        assert service.get("/api/users/spammer", service.admin_token).json()["reason"] == reason
    assert service.request("DELETE", "/api/users/spammer", service.admin_token).status_code == 204


def test_token_add_prints_the_token_alone(service: Service) -> None:
    service.cli("user", "add", "alice")
    token = service.cli("token", "add", "alice", "--name", "ci").stdout
    assert token.startswith("ddns_")
    assert token.count("\n") == 1
    assert service.get("/nic/domains", token.strip()).status_code == 200
    assert "already" in failing(service, "token", "add", "alice", "--name", "ci")
    assert "There is no user" in failing(service, "token", "add", "nobody", "--name", "ci")


def test_limits_of_tokens(service: Service) -> None:
    service.cli("user", "add", "carol")

    def token(*options: str) -> str:
        name = f"t{len(options)}{options[-1]}"
        return service.cli("token", "add", "carol", "--name", name, *options).stdout.strip()

    reads, writes = token("--scope", "read"), token("--scope", "write")
    asked = {"fqdn": f"carol.{service.domain}", "ip": "192.0.2.1"}
    assert service.get("/nic/register", reads, params=asked).json()["message"] == "nxdomain"
    assert service.get("/nic/register", writes, params=asked).status_code == 200
    assert len(service.get("/nic/hosts", reads).json()["hosts"]) == 1
    elsewhere = token("--network", "198.51.100.0/24")
    assert service.get("/nic/hosts", elsewhere).status_code == 401
    here = token("--network", "127.0.0.0/8", "--expires", "1h")
    assert service.get("/nic/hosts", here).status_code == 200
    other = token("--host", "other-*")
    assert service.get("/nic/update", other, params={"hostname": asked["fqdn"], "myip": "192.0.2.9"}).status_code == 404
    assert service.cli("token", "add", "carol", "--name", "x", "--expires", "never", check=False).returncode == 2


def test_a_key_updates_its_group(service: Service) -> None:
    alice = service.user("keyholder")
    for name in ("ka", "kb"):
        service.register(name, alice, ip="192.0.2.1")
    hosts = [f"ka.{service.domain}", f"kb.{service.domain}"]
    login, secret = (
        service.cli("key", "add", "keyholder", "--host", hosts[0], "--host", hosts[1]).stdout.strip().split(":")
    )
    answer = service.get("/nic/update", auth=(login, secret), params={"myip": "192.0.2.5"})
    assert answer.text == "good 192.0.2.5\ngood 192.0.2.5"
    assert [service.dig(h) for h in hosts] == [["192.0.2.5"], ["192.0.2.5"]]
    assert "has no such host" in failing(service, "key", "add", "admin", "--host", hosts[0])


def test_domain_add_makes_the_zone_answer(service: Service) -> None:
    bob = service.user("bob")
    service.cli("domain", "add", "lab.example.org", "--owner", "bob", "--private", "--ttl", "120")
    assert service.dig("lab.example.org", "SOA")
    service.register("vm.lab.example.org", bob, ip="192.0.2.33")
    assert service.dig("vm.lab.example.org") == ["192.0.2.33"]
    assert "already exists" in failing(service, "domain", "add", "lab.example.org", "--owner", "bob")
    assert "at least one dot" in failing(service, "domain", "add", "lab", "--owner", "bob")
    assert "There is no user" in failing(service, "domain", "add", "x.example.org", "--owner", "nobody")


def test_domain_add_says_what_is_wrong_with_a_primary(service: Service, tmp_path: Path) -> None:
    key_text = (service.dir / "bind" / "keys" / f"{service.domain}.key").read_text()
    good, unknown, wrong = (tmp_path / name for name in ("good.key", "unknown.key", "wrong.key"))
    good.write_text(key_text)
    unknown.write_text(key_text.replace(service.domain, "unknown.example"))
    wrong.write_text(TsigKey(_key_name(key_text), secret="A" * 43 + "=").to_text())
    primary = f"127.0.0.1:{service.dns_port}"

    def why(zone: str, key: Path, at: str = primary) -> str:
        return failing(service, "domain", "add", zone, "--owner", "admin", "--primary", at, "--key-file", str(key))

    assert "NOTAUTH" in why("elsewhere.example.net", good)
    assert "BADKEY" in why("sub.elsewhere.example", unknown)
    assert "BADSIG" in why("sub.elsewhere.example", wrong)
    assert "127.0.0.1" in why("sub.elsewhere.example", good, f"127.0.0.1:{free_port()}")
    service.cli("domain", "add", "other.example.org", "--owner", "admin")
    other = service.dir / "bind" / "keys" / "other.example.org.key"
    service.cli("domain", "add", "third.example.org", "--owner", "admin")
    # a key may change its own zone alone
    assert "REFUSED" in accepted(service, "third.example.org", TsigKey.from_text(other.read_text()))


def accepted(service: Service, zone: str, key: TsigKey) -> str:
    """What `domain add` would say of this zone and key."""
    try:
        asyncio.run(accepts_updates(zone, f"127.0.0.1:{service.dns_port}", key))
    except DnsError as error:
        return str(error)
    return ""


def _key_name(text: str) -> str:
    return text.split('"')[1]


def test_blocked_and_unblocked(service: Service) -> None:
    secret = service.register("abuser", ip="192.0.2.66")
    fqdn = f"abuser.{service.domain}"
    service.cli("host", "block", fqdn)
    wait_until(lambda: service.dig(fqdn) == [], 20, "records gone")
    answer = service.get("/nic/update", auth=(fqdn, secret), params={"myip": "192.0.2.67"})
    assert answer.text == "abuse"
    assert service.get("/nic/unregister", service.admin_token, params={"fqdn": fqdn}).status_code == 403
    service.cli("host", "unblock", fqdn)
    wait_until(lambda: service.dig(fqdn) == ["192.0.2.66"], 20, "records back")
    assert "There is no host" in failing(service, "host", "block", "nobody.example.org")


def test_a_new_ttl_reaches_the_zone(service: Service) -> None:
    import dns.message
    import dns.query

    service.register("slow", ip="192.0.2.1")
    service.cli("host", "set", f"slow.{service.domain}", "--ttl", "3600")

    def seconds() -> int:
        query = dns.message.make_query(f"slow.{service.domain}", "A")
        return dns.query.udp(query, "127.0.0.1", port=service.dns_port, timeout=3).answer[0].ttl

    wait_until(lambda: seconds() == 3600, 20, "the TTL")


def test_related_names_follow_the_prefix(service: Service) -> None:
    secret = service.register("router", ip="2001:db8:1::1")
    fqdn = f"router.{service.domain}"
    service.cli("related", "add", fqdn, "nas", "::7")
    wait_until(lambda: service.dig(f"nas.{fqdn}", "AAAA") == ["2001:db8:1::7"], 20, "the related name")
    answer = service.get("/nic/update", auth=(fqdn, secret), params={"myip": "203.0.113.5,2001:db8:2::/64"})
    assert answer.text == "good 203.0.113.5,2001:db8:2::"
    assert service.dig(f"nas.{fqdn}", "AAAA") == ["2001:db8:2::7"]
    assert service.dig(fqdn, "AAAA") == ["2001:db8:2::1"]
    for _ in range(2):  # the second time nothing changes
        service.cli("related", "add", fqdn, "nas", "::8")
        wait_until(lambda: service.dig(f"nas.{fqdn}", "AAAA") == ["2001:db8:2::8"], 20, "the other interface id")
    assert "not an interface id" in failing(service, "related", "add", fqdn, "x", "zzz")
    assert service.get("/nic/unregister", service.admin_token, params={"fqdn": fqdn}).status_code == 200
    assert service.dig(f"nas.{fqdn}", "AAAA") == []


def test_related_names_are_none_that_nobody_may_have(service: Service) -> None:
    fqdn = f"gateway.{service.domain}"
    service.register("gateway", ip="2001:db8:1::1")
    service.settings["DDNSD_PUBLIC_URL"] = f"https://portal.{fqdn}:8443"
    denied = {"kind": "name", "value": "bad-*"}
    assert service.request("POST", "/api/deny", service.admin_token, json=denied).status_code == 201
    service.add_record("theirs.gateway", "A", "192.0.2.1")
    try:
        for label, reason in (
            ("portal", "This name is reserved."),
            ("bad-nas", "The operator of this service does not allow this name."),
            ("theirs", "The name cannot be used: the name is in the zone and is not ours."),
            ("-x", "begins and ends with a letter or a digit"),
            ("a.b", "not a single label"),
        ):
            assert reason in failing(service, "related", "add", "--", fqdn, label, "::7")
    finally:
        del service.settings["DDNSD_PUBLIC_URL"]
    service.cli("related", "add", fqdn, "portal", "::7")
    service.cli("domain", "set", service.domain, "--unavailable")
    assert "Error: There is no such domain." in failing(service, "related", "add", "--", fqdn, "late", "::7")
    service.cli("domain", "set", service.domain, "--available")
    wait_until(lambda: service.dig(f"portal.{fqdn}", "AAAA") == ["2001:db8:1::7"], 20, "a name that is not reserved")


def test_reconcile_reports_and_repairs(service: Service) -> None:
    service.register("drifted", ip="192.0.2.1")
    assert service.cli("reconcile", "--check").stdout == ""
    assert service.process is not None
    with hung(service.process.pid):  # it would repair at once
        service.add_record("drifted", "A", "192.0.2.222")
        service.add_record("operators-own", "A", "192.0.2.223")
        checked = service.cli("reconcile", "--check", check=False)
        assert checked.returncode == 2
        assert checked.stdout == f"drifted.{service.domain}: database 192.0.2.1; DNS 192.0.2.1, 192.0.2.222\n"
        assert service.cli("reconcile").returncode == 0
    assert service.dig(f"drifted.{service.domain}") == ["192.0.2.1"]
    assert service.dig(f"operators-own.{service.domain}") == ["192.0.2.223"]
    assert service.cli("reconcile", "--check").stdout == ""


def test_doctor_and_settings(service: Service) -> None:
    healthy = service.cli("doctor", check=False)
    assert healthy.returncode == 0, healthy.stdout
    shown = service.cli("settings").stdout
    assert f"DDNSD_DIR = {service.dir}  (environment)" in shown
    service.settings["DDNSD_TTTL"] = "1"
    try:
        assert "DDNSD_TTTL: no such setting" in failing(service, "settings")
    finally:
        del service.settings["DDNSD_TTTL"]


def test_settings_hide_the_database_password(service: Service) -> None:
    before = service.settings.get("DDNSD_DATABASE_URL")
    service.settings["DDNSD_DATABASE_URL"] = "postgresql://u:canary-password@127.0.0.1/x"
    try:
        assert "canary-password" not in service.cli("settings").stdout
        assert "canary-password" not in failing(service, "user", "add", "x")
    finally:
        service.settings.pop("DDNSD_DATABASE_URL")
        if before:
            service.settings["DDNSD_DATABASE_URL"] = before


@pytest.mark.parametrize("before", [None, 0o644])
def test_only_its_owner_can_read_an_export(service: Service, tmp_path: Path, before: int | None) -> None:
    file = tmp_path / "export.json"
    if before is not None:
        file.touch(before)
        file.chmod(before)
    former = os.umask(0)
    try:
        service.cli("export", str(file))
    finally:
        os.umask(former)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["format"] == 1
    refused = service.cli("export", str(tmp_path / "none" / "export.json"), check=False)
    assert (refused.returncode, "No such file or directory" in refused.stderr) == (1, True)
    assert "Traceback" not in refused.stderr


def test_only_its_owner_can_read_a_database_file(service: Service) -> None:
    if "DDNSD_DATABASE_URL" in service.settings:
        assert not list(service.dir.glob("ddnsd.db*"))
        return
    files = list(service.dir.glob("ddnsd.db*"))
    assert {file.name for file in files} >= {"ddnsd.db", "ddnsd.db-wal"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_the_name_server_hides_what_it_is(service: Service) -> None:
    for name in ("version.bind", "version.server", "hostname.bind", "id.server"):
        question = dns.message.make_query(name, "TXT", "CH")
        assert not dns.query.udp(question, "127.0.0.1", port=service.dns_port, timeout=5).answer


def test_export_and_import(service: Service, tmp_path: Path) -> None:
    secret = service.register("kept", ip="192.0.2.77")
    path = f"/api/hosts/kept.{service.domain}/enrolments"
    token = service.request("POST", path, service.admin_token, json={}).json()["token"]
    gone = service.user("gone")
    assert service.get("/nic/register", gone, params={"fqdn": f"hers.{service.domain}"}).status_code == 200
    for path in (f"/api/hosts/hers.{service.domain}", "/api/users/gone"):
        assert service.request("DELETE", path, service.admin_token).status_code == 204
    exported = tmp_path / "export.json"
    exported.write_text(service.cli("export").stdout)
    assert secret not in exported.read_text()
    assert token not in exported.read_text()
    other = Service(tmp_path / "other", 1, 1, settings={})
    other.dir.mkdir()
    assert "ddnsd db upgrade" in failing(other, "import", str(exported))
    other.cli("db", "upgrade")
    other.cli("import", str(exported))
    again = json.loads(other.cli("export").stdout)
    before = json.loads(exported.read_text())
    for table in ("users", "tokens", "domains", "keys", "related", "enrolments"):
        assert before["tables"][table] or table in ("keys", "related")
        assert again["tables"][table] == before["tables"][table]
    users = {user["id"] for user in again["tables"]["users"]}
    assert {event["owner_id"] for event in before["tables"]["events"]} > users
    assert {event["owner_id"] for event in again["tables"]["events"]} == users | {None}
    with sqlite3.connect(other.dir / "ddnsd.db") as database:
        waiting = database.execute("SELECT count(*) FROM hosts WHERE id IN (SELECT host_id FROM pending)").fetchone()
    assert waiting == (len(before["tables"]["hosts"]),)
    assert "not empty" in failing(other, "import", str(exported))
    (tmp_path / "broken.json").write_text("{}")
    assert "not an export" in failing(other, "import", str(tmp_path / "broken.json"))


def test_a_folder_has_one_dev(service: Service) -> None:
    assert "another ddnsd dev runs" in failing(service, "dev")


def test_serve_waits_for_the_schema(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/fresh.db"
    other = Service(tmp_path / "fresh", free_port(), 1, ("serve",), {"DDNSD_DATABASE_URL": url})
    other.start()
    try:
        ready = other.get("/readyz")
        assert (ready.status_code, ready.json()["store"]) == (503, "error")
        assert other.get("/nic/update", auth=("a.example.org", "x")).text == "911"
        assert "ddnsd db upgrade" in other.log.read_text()
        other.cli("db", "upgrade")
        wait_until(lambda: other.get("/readyz").status_code == 200, what="it serves")
        assert other.get("/nic/update", auth=("a.example.org", "x")).text == "badauth"
    finally:
        other.stop()


def test_a_schema_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    other = Service(tmp_path / "newer", free_port(), 1)
    other.dir.mkdir()
    assert "schema" in other.cli("db", "upgrade").stdout
    assert other.cli("db", "upgrade").stdout == ""
    with sqlite3.connect(other.dir / "ddnsd.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    for command in (["serve"], ["db", "upgrade"], ["user", "add", "alice"]):
        text = failing(other, *command)
        assert "9999" in text
        assert "install the version of ddnsd that created it" in text
