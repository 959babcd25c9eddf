# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of the server role without a machine: what is refused, and what a later play makes up for."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Connection
from support import programs
from support.ansible.playbooks import Ansible
from support.certificates import certificate

from ddnsd.db.migrate import NEWEST
from ddnsd.db.sqlite import engine_of
from ddnsd.dns.tsig import TsigKey
from ddnsd.registry import accounts, domains

ROLE = Path(__file__).parents[3] / "roles" / "ddns_server"
RELEASE = programs.FOLDER.parent
"""An environment with the service, as a release is."""


@dataclass
class Case:
    """What Ansible printed for one case."""

    lines: list[str] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        return any(line.startswith('{"task": "failed"') for line in self.lines)

    @property
    def told(self) -> str:
        """All output in one line."""
        return " ".join("\n".join(self.lines).replace("\\n", " ").split())

    @property
    def results(self) -> list[dict[str, Any]]:
        return [json.loads(line)["result"] for line in self.lines if line.startswith('{"task"')]


Given = dict[str, Any]


def parts(folder: Path, name: str, cases: list[Given], *options: str, path: Path | None = None) -> list[Case]:
    """Run one file of the role's tasks here, once with each of these variables."""
    here = {
        "ddns_server_bind_dir": str(folder / "bind"),
        "ddns_server_sqlite_file": str(folder / "none.db"),
        "ddns_server_command": str(folder / "ddnsd"),
    }
    tasks = []
    for variables in cases:
        include = {"name": "fedcloud.ddns.ddns_server", "tasks_from": name}
        tasks += [
            {"name": "next case", "ansible.builtin.debug": {}},
            {
                "block": [{"ansible.builtin.include_role": include, "vars": here | variables}],
                "rescue": [{"name": "failed", "ansible.builtin.debug": {}}],
            },
        ]
    play = {"hosts": "all", "connection": "local", "gather_facts": False, "tasks": tasks}
    (folder / "play.yml").write_text(json.dumps([play]))
    ansible = Ansible(folder, settings={"PATH": f"{path}:{os.environ['PATH']}"} if path else {})
    python = f"ansible_python_interpreter={sys.executable}"
    done = ansible.run("ansible-playbook", "play.yml", "-i", "localhost,", "-e", python, *options)
    found: list[Case] = []
    for line in done.stdout.splitlines():
        if line.startswith('{"task": "next case"'):
            found.append(Case())
        elif found:
            found[-1].lines.append(line)
    assert len(found) == len(cases)
    return found


def program(file: Path, text: str) -> None:
    """A shell script in place of a program."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def expect(cases: list[Case], refused: list[str | None]) -> None:
    """Check that each case was refused with this text; None for those that were not."""
    for case, text in zip(cases, refused, strict=True):
        assert case.refused is (text is not None), case.told
        assert text is None or text in case.told


# ---- what is refused


VARIABLES: list[tuple[Given, str | None]] = [
    ({"ddns_server_settings": {"ttl": 30, "secondaries": [], "statistics": []}}, None),
    ({"ddns_server_settings": {"public_url": "https://x.example"}}, "has public_url, which the role sets itself"),
    ({"ddns_server_settings": {"database_url": "sqlite:///x", "dir": "/x"}}, "has database_url, dir, which"),
    ({"ddns_server_backup_dir": "/home/backups"}, "ddns_server_backup_dir is /home/backups"),
    ({"ddns_server_backup_dir": "backups"}, "ddns_server_backup_dir is backups"),
    ({"ddns_server_backup_dir": "/home/backups", "ddns_server_backup": "false"}, None),
    ({"ddns_server_backup_schedule": "dayly"}, "dayly"),
]


def test_variables_are_checked(tmp_path: Path) -> None:
    expect(parts(tmp_path, "check", [given for given, _ in VARIABLES]), [refused for _, refused in VARIABLES])


SETTINGS: list[tuple[Given, str | None]] = [
    ({}, None),
    ({"ddns_server_settings": {"nochg_per_hour": 60, "oidc_providers": [], "private_addresses": False}}, None),
    ({"ddns_server_settings": {"nochg_per_hours": 60}}, "DDNSD_NOCHG_PER_HOURS: no such setting"),
    ({"ddns_server_settings": {"ttl": -1}}, "DDNSD_TTL: "),
    ({"ddns_server_oidc_secrets": {"idp": "canary"}}, "there is no provider idp"),
    ({"ddns_server_database_url": "postgresql://u:canary@h:x/ddnsd"}, "write the database URL as"),
    ({"ddns_server_name_servers": ["not a name"]}, "DDNSD_NAME_SERVERS"),
    ({"ddns_server_database": "postgresql", "ddns_server_database_ca": "/controller/ca.pem"}, None),
    ({"ddns_server_settings": {"admin_second_factor": True}}, None),
]


def test_settings_are_checked_by_the_release(tmp_path: Path) -> None:
    here: Given = {"ddns_server_release": str(RELEASE), "ddns_server_complete": {"stat": {"exists": True}}}
    cases = parts(tmp_path, "check_settings", [here | given for given, _ in SETTINGS], "-vv")
    expect(cases, [refused for _, refused in SETTINGS])
    assert not [case for case in cases if "canary" in case.told]


def test_settings_are_checked_before_files_are_written() -> None:
    (block,) = (
        [inner["name"] for inner in task["block"]]
        for task in yaml.safe_load((ROLE / "tasks/main.yml").read_text())
        if task["name"] == "Install the server"
    )
    assert block.index("Install a release, and check the settings with it") < block.index("Configure BIND")
    release = yaml.safe_load((ROLE / "tasks/release.yml").read_text())
    assert release[-1]["ansible.builtin.import_tasks"] == "check_settings.yml"


def test_a_certificate_and_a_key_must_fit(tmp_path: Path) -> None:
    pairs = {}
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        pairs[name] = certificate(tmp_path / name)
    key = tmp_path / "key.pem"
    key.write_text(pairs["one"][1].read_text().partition("-----BEGIN CERTIFICATE")[0])
    locked = tmp_path / "locked.pem"
    command = ["openssl", "pkey", "-in", str(key), "-aes256", "-passout", "pass:x", "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True)
    one, other = pairs["one"][0], pairs["other"][0]
    rows: list[tuple[Path, Path, str | None]] = [
        (one, key, None),
        (other, key, "the key does not belong to the certificate"),
        (one, locked, "needs a pass phrase"),
        (key, one, None),  # the order of the files does not matter
        (one, one, "not a certificate and its key in PEM"),
    ]
    given: list[Given] = [
        {"ddns_server_tls_certificate": str(chain), "ddns_server_tls_key": str(private)} for chain, private, _ in rows
    ]
    cases = parts(tmp_path, "check_certificate", given, "-vvv")
    expect(cases, [refused for *_, refused in rows])
    secret = key.read_text().splitlines()[1]
    assert not [case for case in cases if secret in case.told]


ONE_HOST, NO_HOST = ('[{"hosts": 1}, {"hosts": 0}]', '[{"hosts": 0}]')
SECONDARY = {"ddns_server_secondary": True, "ddns_server_primary": False, "ddns_server_node": False}


ROLES: list[tuple[list[str], str, Given, str | None]] = [
    (["keys.conf"], f"echo '{ONE_HOST}'", {}, None),
    (["keys.conf"], f"echo '{ONE_HOST}'", SECONDARY, "was a primary, and has 1 hosts"),
    (["keys.conf"], f"echo '{NO_HOST}'", SECONDARY, None),
    (["keys.conf"], "echo '[]'", SECONDARY, None),
    (["keys.conf"], "exit 1", SECONDARY, "a database that cannot be read now"),
    (["keys.conf"], "exit 1", {**SECONDARY, "ddns_server_role_change": "true"}, None),
    (["zones/catalog.ddnsd.invalid.zone"], "exit 1", SECONDARY, None),
    (["zones/catalog.ddnsd.invalid.zone"], "exit 1", {}, "was a secondary"),
    (["zones/catalog.ddnsd.invalid.zone"], "exit 1", {"ddns_server_role_change": "true"}, None),
    (["zones/catalog.ddnsd.invalid.zone"], "exit 1", {"ddns_server_restore": "a.tar.gz"}, None),
    (["zones/catalog.ddnsd.invalid.zone", "keys.conf"], "exit 1", {}, None),
]


def test_a_machine_that_changes_its_role_loses_no_hosts(tmp_path: Path) -> None:
    given = []
    for n, (files, listed, variables, _) in enumerate(ROLES):
        machine = tmp_path / str(n)
        for file in files:
            (machine / file).parent.mkdir(parents=True, exist_ok=True)
            (machine / file).touch()
        program(machine / "ddnsd", listed)
        given.append({"ddns_server_bind_dir": str(machine), "ddns_server_command": f"{machine}/ddnsd", **variables})
    expect(parts(tmp_path, "check_role", given), [refused for *_, refused in ROLES])


# ---- the database


def users(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as database:
        return [name for (name,) in database.execute("SELECT name FROM users ORDER BY name")]


@pytest.mark.long
def test_the_database_moves_there_and_back(tmp_path: Path) -> None:
    one, other = tmp_path / "one.db", tmp_path / "other.db"
    program(tmp_path / "ddnsd", f'exec {programs.FOLDER}/ddnsd "$@"')
    env = {"DDNSD_DATABASE_URL": f"sqlite:///{one}"}
    for words in (["db", "upgrade"], ["user", "add", "alice"]):
        assert programs.run(["ddnsd", *words], env).returncode == 0

    def move(source: Path, *targets: Path) -> list[Case]:
        here = {"ddns_server_authority": str(tmp_path / "none.pem"), "ddns_server_former_url": f"sqlite:///{source}"}
        urls = [{"ddns_server_database_url": f"sqlite:///{target}"} for target in targets]
        return parts(tmp_path, "migrate", [here | url for url in urls])

    expect(move(one, other, other), [None, None])  # a play that failed afterwards is repeated
    assert users(other) == ["alice"]
    assert programs.run(["ddnsd", "user", "add", "bob"], {"DDNSD_DATABASE_URL": f"sqlite:///{other}"}).returncode == 0
    expect(move(other, one), [None])
    assert users(one) == ["alice", "bob"]
    with closing(sqlite3.connect(one)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(NEWEST,)]
    expect(move(one, Path("/proc/none/x.db")), ["The hosts were not moved from sqlite:///"])
    assert programs.run(["ddnsd", "user", "add", "carol"], {"DDNSD_DATABASE_URL": f"sqlite:///{one}"}).returncode == 0


def test_only_one_way_to_the_hosts(tmp_path: Path) -> None:
    both: Given = {"ddns_server_database_migrate": "true", "ddns_server_database_moved": "true"}
    expect(parts(tmp_path, "check_database", [both]), ["Use only one of"])


# ---- what a later play makes up for


def test_another_python_is_another_release(tmp_path: Path) -> None:
    versions = ("3.11", "3.11", "3.13")
    tasks = [
        {
            "ansible.builtin.debug": {"msg": "{{ ddns_server_release }}"},
            "vars": {"ddns_server_python_version": {"stdout": version}, "ddns_server_packed": {"stdout": "0"}},
        }
        for version in versions
    ]
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars_files": [f"{ROLE}/{part}/main.yml" for part in ("defaults", "vars")],
        "vars": {"ansible_facts": {"distribution_release": "bookworm"}},
        "tasks": tasks,
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    done = Ansible(tmp_path).run("ansible-playbook", "play.yml", "-i", "localhost,")
    first, same, other = (
        json.loads(line)["result"]["msg"] for line in done.stdout.splitlines() if line.startswith('{"task"')
    )
    assert first == same != other
    assert first.startswith("/opt/ddnsd/releases/")


def test_a_later_play_finds_what_is_older_than_its_files(tmp_path: Path) -> None:
    """`systemctl` says when each unit began; the files are of other moments."""
    moments = {"old": 1_000_000_000, "middle": 1_000_000_100, "new": 1_000_000_200}
    for name, moment in moments.items():
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (moment, moment))
    began = "Sun 2001-09-09 01:48:20.500000 UTC"  # half a second after `middle`
    program(
        tmp_path / "bin" / "systemctl",
        f'case "$*" in *NeedDaemonReload*) echo no; echo yes ;; *stopped*) echo ;; *) echo "{began}" ;; esac',
    )
    reads = [
        {"unit": unit, "since": "X", "state": state, "files": [str(tmp_path / file) for file in files]}
        for unit, state, files in (
            ("same", "restarted", ("old", "middle")),
            ("older", "restarted", ("old", "new")),
            ("front", "reloaded", ("no-file", "new")),
            ("stopped", "restarted", ("new",)),
        )
    ]
    here = {"ddns_server_reads": reads, "ddns_server_node": False}
    (case,) = parts(tmp_path, "running", [here], "--check", path=tmp_path / "bin")
    assert not case.refused, case.told
    found = next(result["stdout_lines"] for result in case.results if "stdout_lines" in result)
    assert found == ["restarted older", "reloaded front", "reload systemd"]


def test_each_unit_has_the_files_that_the_role_writes() -> None:
    """A file for which a handler restarts or reloads a unit is one that a later play looks at."""
    text = (ROLE / "vars" / "main.yml").read_text()
    known = yaml.safe_load(text)
    looked_at = json.dumps([value for name, value in known.items() if name.startswith("ddns_server_reads_of")])
    for file in ("bind.yml", "service.yml"):
        for task in yaml.safe_load((ROLE / "tasks" / file).read_text()):
            for inner in [task, *task.get("block", [])]:
                module = next((inner[name] for name in inner if name.startswith("ansible.builtin.")), None)
                path = module.get("dest") if isinstance(module, dict) else None
                if path and "notify" in inner and "{{ item }}" not in path:
                    assert path in looked_at or str(Path(path).parent) in looked_at, (file, path)


# ---- the probe


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ns1", "10.0.0.1", "100.64.0.1", "192.168.1.1", "198.51.100.1", "fe80::1%eth0", "fd00::1"], "192.0.2.1"),
        (["ns1.example.org", "10.0.0.1", "9.9.9.9", "8.8.8.8"], "9.9.9.9"),
        (["", "2001:4860:4860:0:0:0:0:8888"], "2001:4860:4860::8888"),
        ([], "192.0.2.1"),
    ],
)
def test_the_probe_has_a_public_address_if_there_is_one(words: list[str], expected: str) -> None:
    done = subprocess.run(
        [sys.executable, ROLE / "files" / "public_address.py", *words], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{expected}\n"


# ---- keys of DHCP servers


DHCP_DOMAINS = ("office.example.org", "2.0.192.in-addr.arpa")


def dhcp_service(folder: Path) -> Path:
    """The command of a service with two domains."""
    (folder / "factor").write_text(f"{'5a' * 32}\n")
    program(
        folder / "ddnsd",
        f"export DDNSD_DATABASE_URL=sqlite:///{folder}/store.db DDNSD_SECOND_FACTOR_KEY={folder}/factor\n"
        f'DDNSD_UPDATE_LISTEN=0.0.0.0:5301 exec {programs.FOLDER}/ddnsd "$@"',
    )
    subprocess.run([folder / "ddnsd", "db", "upgrade"], check=True, capture_output=True)

    def furnish(connection: Connection) -> None:
        alice = accounts.new_user(connection, "alice")
        for name in DHCP_DOMAINS:
            domains.add_domain(connection, name, alice, TsigKey.generate("key"), "192.0.2.53:53", public=False)

    with engine_of(folder / "store.db").begin() as connection:
        furnish(connection)
    return folder / "ddnsd"


def dhcp_keys(command: Path) -> list[str]:
    """The names of the keys that there are."""
    listed = subprocess.run([command, "dhcp-key", "list"], check=True, capture_output=True, text=True).stdout
    return [line.split("\t")[0] for line in listed.splitlines()]


@pytest.mark.long
def test_keys_of_dhcp_servers_are_written_once(tmp_path: Path) -> None:
    command, out = dhcp_service(tmp_path), tmp_path / "with a space"
    out.mkdir()
    (out / "taken").write_text("kept")
    kea = {"name": "Office", "domains": list(DHCP_DOMAINS), "for": "kea", "server": "192.0.2.9", "file": f"{out}/kea"}
    plain = {"name": "plain", "domains": ["Office.example.org."], "file": f"{out}/plain"}
    gone = {"name": "gone", "state": "absent", "file": f"{out}/gone"}
    wrong = [
        {**plain, "name": "other", "file": f"{out}/taken"},
        {**plain, "name": "other", "file": f"{out}/missing/file"},
        {**plain, "name": "other", "domains": ["unknown.example.org"], "file": f"{out}/unknown"},
        {**kea, "domains": [DHCP_DOMAINS[0]]},
    ]
    given: list[Given] = [{"ddns_server_dhcp_keys": keys} for keys in ([kea, plain, gone], *([one] for one in wrong))]
    checked = parts(tmp_path, "dhcp_keys", given[:1], "--check", "--diff", "-vvv")
    assert (checked[0].refused, dhcp_keys(command), sorted(out.iterdir())) == (False, [], [out / "taken"])
    assert [result["changed"] for result in checked[0].results if "results" in result].count(True) == 1
    cases = parts(tmp_path, "dhcp_keys", given, "--diff", "-vvv")
    refused = [None, f"{out}/taken exists: name another file", "mktemp", "There is no domain unknown.example.org"]
    expect(cases, [*refused, f"is for {DHCP_DOMAINS[1]}, {DHCP_DOMAINS[0]}. The domains of a key cannot be changed"])
    assert sorted(out.iterdir()) == [out / name for name in ("kea", "plain", "taken")]
    assert dhcp_keys(command) == ["office", "plain"]
    config = json.loads((out / "kea").read_text())["DhcpDdns"]
    server = {"ip-address": "192.0.2.9", "port": 5301}
    assert config["forward-ddns"]["ddns-domains"][0]["dns-servers"] == [server]
    secrets = [config["tsig-keys"][0]["secret"], (out / "plain").read_text().strip().split(":")[2]]
    assert [stat.S_IMODE((out / name).stat().st_mode) for name in ("kea", "plain")] == [0o600, 0o600]
    assert not [case for case in (*checked, *cases) for secret in secrets if secret in case.told]
    before = (out / "kea").read_text()
    absent = {"ddns_server_dhcp_keys": [{**kea, "state": "absent"}, plain]}
    again, removed, last = parts(tmp_path, "dhcp_keys", [given[0], absent, absent], "--diff", "-vvv")
    changes = [[r["changed"] for r in case.results].count(True) for case in (again, removed, last)]
    assert changes == [0, 2, 0]
    assert before.count(secrets[0]) == 1
    assert (dhcp_keys(command), sorted(out.iterdir())) == (["plain"], [out / "plain", out / "taken"])


def test_keys_of_dhcp_servers_are_checked(tmp_path: Path) -> None:
    key = {"name": "office", "domains": ["office.example.org"], "file": "/root/kea.conf"}
    port = {"ddns_server_update_listen": ["0.0.0.0:5301"]}
    text = "ddns_server_dhcp_keys needs ddns_server_update_listen, and has each name once"
    rows: list[tuple[Given, str | None]] = [
        ({**port, "ddns_server_dhcp_keys": [key, {"name": "old", "state": "absent"}]}, None),
        ({"ddns_server_dhcp_keys": [{"name": "old", "state": "absent"}]}, None),
        ({"ddns_server_dhcp_keys": [key]}, text),
        ({**port, "ddns_server_dhcp_keys": [key, {**key, "name": "OFFICE"}]}, text),
        ({**port, "ddns_server_dhcp_keys": [{**key, "file": "kea.conf"}]}, text),
        ({**port, "ddns_server_dhcp_keys": [{"name": "office", "file": "/root/x"}]}, text),
        ({**port, "ddns_server_dhcp_keys": [{"name": "office", "domains": ["office.example.org"]}]}, text),
        ({**port, "ddns_server_dhcp_keys": [{**key, "server": "192.0.2.1"}]}, text),
    ]
    expect(parts(tmp_path, "check_listeners", [given for given, _ in rows]), [refused for _, refused in rows])
