# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's variables: what is documented is what there is, and what the service is told."""

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.ansible.playbooks import Ansible

from ddnsd import settings
from ddnsd.dns.endpoint import Endpoint
from ddnsd.web.asgi import Dispatcher, Message, Reply, Request, text_reply
from ddnsd.web.client_address import Origins

ROOT = Path(__file__).parents[3]
ROLE = ROOT / "roles" / "ddns_server"


def load(file: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROLE / file).read_text())
    return loaded


OPTIONS = load("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
DEFAULTS = load("defaults/main.yml")


def test_every_default_is_specified_and_the_other_way_round() -> None:
    assert list(OPTIONS) == list(DEFAULTS)


def test_the_specified_defaults_are_those_that_hold() -> None:
    computed = {name for name, value in DEFAULTS.items() if "{{" in str(value)}
    assert {name: option.get("default") for name, option in OPTIONS.items() if name not in computed} == {
        name: value for name, value in DEFAULTS.items() if name not in computed
    }
    assert not [name for name in computed if "default" in OPTIONS[name]]


def test_every_variable_is_read_by_a_task_or_a_template() -> None:
    files = [file for part in ("tasks", "templates", "handlers", "vars") for file in (ROLE / part).iterdir()]
    text = "\n".join(file.read_text() for file in [*files, ROLE / "defaults" / "main.yml"])
    unread = [name for name in OPTIONS if len(re.findall(rf"\b{name}\b", text)) < 2]
    assert unread == []


@pytest.mark.parametrize("kind", ["bool", "int"])
def test_every_typed_variable_is_converted_where_it_is_read(kind: str) -> None:
    """A value of `-e` or of an INI inventory is a string: "false" would be true, or an error with ansible-core 2.19."""
    parts = ("tasks", "templates", "handlers", "vars", "defaults")
    text = "\n".join(file.read_text() for part in parts for file in (ROLE / part).iterdir())
    text = re.sub(r"^\w+:|msg: .*", "", text, flags=re.M)
    names = [name for name, option in OPTIONS.items() if option.get("type") == kind]
    assert names
    assert [m[0] for m in re.finditer(rf"\b({'|'.join(names)})\b(?!=)(?! \| {kind}\b).*", text)] == []


LOCAL = "postgresql://ddnsd@/ddnsd?host=/var/run/postgresql"
THERE = "postgresql://ddnsd:one@db.example.org/ddnsd"
STORES: list[tuple[str, dict[str, str], bool]] = [
    ("", {"ddns_server_database": "postgresql"}, False),
    ("sqlite:////var/lib/ddnsd/ddnsd.db", {}, False),
    ("sqlite:////var/lib/ddnsd/ddnsd.db", {"ddns_server_database": "postgresql"}, True),
    ("sqlite:////var/lib/ddnsd/ddnsd.db", {"ddns_server_database_url": THERE}, True),
    ("sqlite:////var/lib/ddnsd/ddnsd.db", {"ddns_server_database_url": "sqlite:////srv/ddnsd.db"}, True),
    (LOCAL, {"ddns_server_database": "postgresql"}, False),
    (LOCAL, {}, True),
    (LOCAL, {"ddns_server_database_url": THERE}, True),
    (THERE, {"ddns_server_database_url": "postgresql://other:two@db.example.org/ddnsd?sslmode=require"}, False),
    (THERE, {"ddns_server_database_url": "postgresql://ddnsd:one@db.example.org/other"}, True),
    (THERE, {"ddns_server_database_url": "postgresql://ddnsd:one@db2.example.org/ddnsd"}, True),
]


def test_another_database_than_before_is_known_by_its_place(tmp_path: Path) -> None:
    variables = [
        {"ddns_server_former": {"content": base64.b64encode(former.encode()).decode()}, **given}
        for former, given, _ in STORES
    ]
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars_files": [f"{ROLE}/{part}/main.yml" for part in ("defaults", "vars")],
        "tasks": [
            {"ansible.builtin.debug": {"msg": "{{ ddns_server_store_changes | bool }}"}, "vars": given}
            for given in variables
        ],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    done = Ansible(tmp_path).run("ansible-playbook", "play.yml", "-i", "localhost,")
    results = [json.loads(line)["result"]["msg"] for line in done.stdout.splitlines() if line.startswith('{"task"')]
    assert results == [changes for _, _, changes in STORES]


def machines(**groups: list[str]) -> dict[str, Any]:
    """An inventory with these groups below `ddns_server`."""
    hosts = sorted({host for members in groups.values() for host in members})
    addresses = {host: {"ansible_host": f"192.0.2.{n}"} for n, host in enumerate(hosts, 1)}
    children = {group: {"hosts": dict.fromkeys(members)} for group, members in groups.items() if group != "rest"}
    return {"ddns_server": {"hosts": addresses, "children": children}}


@pytest.mark.parametrize(
    ("inventory", "variables", "refused"),
    [
        ("one-machine.yml", {}, None),
        ("fleet.yml", {"ddns_server_tls": "self_signed"}, None),  # the example has no files
        (machines(ddns_primaries=["a"], ddns_secondaries=["b", "c"]), {}, None),
        (machines(rest=["a"], ddns_secondaries=["b"]), {}, "no machine in ddns_primaries"),
        (machines(ddns_nodes=["a", "b"]), {"ddns_server_database": "postgresql"}, "no machine in ddns_primaries"),
        (machines(ddns_primaries=["a", "b"]), {}, "its own empty database"),
        (machines(ddns_primaries=["a"], ddns_secondaries=["a", "b"]), {}, "a is a secondary, and the primary as well"),
        (
            machines(ddns_primaries=["a"], ddns_secondaries=["b"], ddns_nodes=["a", "b"]),
            {"ddns_server_database": "postgresql"},
            "b is a secondary, and a node of the service as well",
        ),
        (
            {"ddns_nodes": {"hosts": {"b": None, "c": None}}} | machines(ddns_primaries=["a"]),
            {"ddns_server_database": "postgresql"},
            "b, c: in ddns_nodes, but not in ddns_server",
        ),
    ],
)
def test_groups_that_would_make_a_second_primary_are_refused(
    tmp_path: Path, inventory: str | dict[str, Any], variables: dict[str, str], refused: str | None
) -> None:
    """The tasks that come before all others, on every machine; `variables` are of the inventory."""
    if isinstance(inventory, str):
        hosts = ROOT / "examples" / "inventory" / inventory
    else:
        hosts = tmp_path / "hosts.yml"
        hosts.write_text(yaml.safe_dump(inventory))
    check = {"ansible.builtin.include_role": {"name": "fedcloud.ddns.ddns_server", "tasks_from": "check"}}
    play = {"hosts": "all", "connection": "local", "gather_facts": False, "tasks": [check]}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
    here |= {"ddns_server_bind_dir": str(tmp_path), "ddns_server_sqlite_file": str(tmp_path / "none.db"), **variables}
    done = Ansible(tmp_path).run("ansible-playbook", "play.yml", "-i", str(hosts), "-e", json.dumps(here), check=False)
    told = done.stdout + done.stderr
    if refused is None:
        assert done.returncode == 0, told
    else:
        assert done.returncode != 0
        assert refused in " ".join(told.split())


def test_the_playbook_checks_all_machines_before_it_changes_the_first() -> None:
    first = yaml.safe_load((ROOT / "playbooks" / "server.yml").read_text())[0]
    assert first["any_errors_fatal"] is True
    assert [task["ansible.builtin.include_role"]["tasks_from"] for task in first["tasks"]] == ["check"]


def test_the_page_is_what_the_generator_prints() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "scripts" / "role-docs", "ddns_server"], capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs" / "roles" / "ddns_server.md").read_text() == printed


PRIMARIES = ("hidden.example.org", "ddns.example.org")
FOLLOWED = ["192.0.2.54:53", "198.51.100.54:53"]
CASES: list[tuple[str, str, dict[str, Any], list[str]]] = [
    ("fleet.yml", "web1.example.org", {}, FOLLOWED),
    ("fleet.yml", "hidden.example.org", {}, FOLLOWED),
    ("fleet.yml", "web1.example.org", {"ddns_server_secondaries": ["2001:db8::54"]}, ["[2001:db8::54]:53"]),
    (
        "fleet.yml",
        "web1.example.org",
        {"ddns_server_settings": {"secondaries": ["192.0.2.99:5353"]}},
        ["192.0.2.99:5353"],
    ),
    ("fleet.yml", "web1.example.org", {"ddns_server_settings": {"secondaries": []}}, []),
    ("one-machine.yml", "ddns.example.org", {}, []),
]


@pytest.mark.parametrize("inventory", ["fleet.yml", "one-machine.yml"])
def test_the_service_is_told_of_the_secondaries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inventory: str
) -> None:
    """One play for each case, all in one run."""
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    cases = [case for case in CASES if case[0] == inventory]
    plays = [
        {
            "hosts": machine,
            "gather_facts": False,
            "vars_files": [f"{ROLE}/{part}/main.yml" for part in ("defaults", "vars")],
            "tasks": [
                {
                    "ansible.builtin.template": {
                        "src": f"{ROLE}/templates/ddnsd.toml.j2",
                        "dest": f"{tmp_path}/{n}.toml",
                    },
                    "vars": variables,
                }
            ],
        }
        for n, (_, machine, variables, _) in enumerate(cases)
    ]
    (tmp_path / "play.yml").write_text(json.dumps(plays))
    hosts = ROOT / "examples" / "inventory" / inventory
    Ansible(tmp_path).run("ansible-playbook", "play.yml", "-i", str(hosts), "-e", json.dumps(here))
    for n, (_, machine, _, followed) in enumerate(cases):
        monkeypatch.setenv("DDNSD_CONFIG", f"{tmp_path}/{n}.toml")
        loaded = settings.load()
        assert [str(endpoint) for endpoint in loaded.followers] == followed
        channels = {Endpoint.from_text(loaded.primary): Endpoint("127.0.0.1", 8953)}
        assert loaded.tls_front == ("" if machine == "hidden.example.org" else "127.0.0.1:443"), "it has no front"
        assert loaded.backup_report == Path("/var/lib/ddnsd-backup/report.json")
        assert loaded.channels == (channels if machine in PRIMARIES else {}), "only the primary's own machine reads it"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"ddns_server_database_ca": "/controller/ca.pem"}, "/etc/ddnsd/database-authority.pem"),
        ({"ddns_server_settings": {"database_ca": "/etc/ssl/own.pem"}}, "/etc/ssl/own.pem"),
    ],
)
def test_the_service_is_told_of_the_authority_of_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, Any], expected: str | None
) -> None:
    template = {"src": f"{ROLE}/templates/ddnsd.toml.j2", "dest": f"{tmp_path}/ddnsd.toml"}
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars_files": [f"{ROLE}/{part}/main.yml" for part in ("defaults", "vars")],
        "tasks": [{"ansible.builtin.template": template, "vars": variables}],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    here = f"ansible_python_interpreter={sys.executable}"
    Ansible(tmp_path).run("ansible-playbook", "play.yml", "-i", "localhost,", "-e", here)
    monkeypatch.setenv("DDNSD_CONFIG", f"{tmp_path}/ddnsd.toml")
    assert settings.load().database_ca == (Path(expected) if expected else None)


def test_the_authority_is_installed_before_the_service_reads_it() -> None:
    tasks = yaml.safe_load((ROLE / "tasks/service.yml").read_text())
    names = [task["name"] for task in tasks]
    (copy,) = (task for task in tasks if task["name"] == "Copy the authority of the database")
    assert {copy["ansible.builtin.copy"][key] for key in ("owner", "group", "mode")} == {"root", "0644"}
    assert copy["ansible.builtin.copy"]["dest"] == "{{ ddns_server_authority }}"
    assert names.index(copy["name"]) < names.index("Configure the service") < names.index("Upgrade the database schema")
    assert names.index("Configure the service") < names.index("Remove the authority of the database")
    assert load("vars/main.yml")["ddns_server_authority"] == "/etc/ddnsd/database-authority.pem"


@pytest.mark.parametrize(
    ("content", "more", "refused"),
    [
        ("-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n", {}, None),
        ("-----BEGIN PRIVATE KEY-----\n", {}, "the certificate of PostgreSQL's authority"),
        (
            "-----BEGIN CERTIFICATE-----\n",
            {"ddns_server_settings": {"database_ca": "/etc/ssl/own.pem"}},
            "set only one of them",
        ),
        (None, {}, "ca.pem"),
    ],
)
def test_the_authority_is_checked_before_anything_changes(
    tmp_path: Path, content: str | None, more: dict[str, Any], refused: str | None
) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    check = {"ansible.builtin.include_role": {"name": "fedcloud.ddns.ddns_server", "tasks_from": "check"}}
    play = {"hosts": "all", "connection": "local", "gather_facts": False, "tasks": [check]}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    here = {"ansible_python_interpreter": sys.executable, "ddns_server_database_ca": str(tmp_path / "ca.pem")}
    here |= {"ddns_server_bind_dir": str(tmp_path), "ddns_server_sqlite_file": str(tmp_path / "none.db"), **more}
    done = Ansible(tmp_path).run(
        "ansible-playbook", "play.yml", "-i", "localhost,", "-e", json.dumps(here), check=False
    )
    assert (done.returncode == 0) is (refused is None), done.stdout + done.stderr
    assert refused is None or refused in " ".join((done.stdout + done.stderr).split())


def every_task(tasks: list[dict[str, Any]], conditions: str = "") -> Iterator[tuple[dict[str, Any], str]]:
    """All tasks with their conditions, those of blocks around them included."""
    for task in tasks:
        own = f"{conditions} {task.get('when', '')}"
        yield task, own
        for part in ("block", "rescue", "always"):
            yield from every_task(task.get(part, []), own)


def test_a_check_starts_no_unit_that_only_a_real_run_writes() -> None:
    """An installation of an older release has not all units: systemd would not find them, and the check would fail."""
    units = load("vars/main.yml")["ddns_server_units"]
    found = set()
    for file in sorted((ROLE / "tasks").glob("*.yml")):
        for task, conditions in every_task(yaml.safe_load(file.read_text()) or []):
            manage = task.get("ansible.builtin.systemd_service") or task.get("ansible.builtin.service") or {}
            named = set(units) & {str(manage.get("name")), *(task.get("loop") or () if manage else ())}
            if not named:
                continue
            found |= named
            guards = ("ansible_check_mode", "ddns_server_units_pending", ".stat.exists")
            assert any(guard in conditions for guard in guards), (file.name, task["name"])
    assert found == set(units)


@pytest.mark.parametrize("part", ["handlers", "tasks"])
def test_a_check_restarts_nothing(part: str) -> None:
    for file in sorted((ROLE / part).glob("*.yml")):
        for task, conditions in every_task(yaml.safe_load(file.read_text()) or []):
            manage = task.get("ansible.builtin.systemd_service") or task.get("ansible.builtin.service") or {}
            if part == "handlers" or manage.get("state") in ("restarted", "reloaded"):
                assert "not ansible_check_mode" in conditions, (file.name, task["name"])


def test_systemd_never_gives_up_the_service_and_a_play_starts_it() -> None:
    service, socket = ((ROLE / "templates" / f"ddnsd.{kind}.j2").read_text() for kind in ("service", "socket"))
    head, _, body = service.partition("[Service]")
    assert "\nStartLimitIntervalSec=0\n" in head  # in [Unit]; elsewhere systemd ignores it
    assert "\nRestart=always\nRestartSec=5\n" in body
    assert "\nExecStartPre=-" in body  # a database that is away must not stop the start
    assert "\nTriggerLimitIntervalSec=0\n" in socket.partition("[Socket]")[2]
    (block,) = (
        task["block"]
        for task in yaml.safe_load((ROLE / "tasks/main.yml").read_text())
        if task["name"] == "Install the server"
    )
    files = [task.get("ansible.builtin.import_tasks") or task["name"] for task in block]
    assert files.index("Run the handlers") < files.index("running.yml") < files.index("verify.yml")
    *_, start = yaml.safe_load((ROLE / "tasks/running.yml").read_text())
    assert start["ansible.builtin.systemd_service"]["state"] == "started"
    assert start["loop"] == ["ddnsd.socket", "ddnsd.service"]


INNER = ("/metrics", "/readyz", "/healthz/dns")
PIECES = st.sampled_from(["/", "\\", "metrics", "readyz", "healthz", "dns", "x", ".", " ", "\n"])


async def found(path: str) -> bool:
    """Whether the service answers at that path, once it is decoded, with what it says of itself."""
    sent: list[Message] = []

    async def handle(_request: Request) -> Reply:
        return text_reply(200, "inner")

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {}

    scope = {"type": "http", "path": path, "method": "GET", "query_string": b"", "headers": []}
    await Dispatcher(dict.fromkeys(INNER, handle), Origins())(scope, receive, send)
    return bool(sent[0]["status"] == 200)


@given(path=st.lists(PIECES, max_size=8).map(lambda pieces: "/" + "".join(pieces)))
async def test_the_front_knows_every_spelling_of_what_is_for_monitoring_alone(path: str) -> None:
    hidden = re.search(load("vars/main.yml")["ddns_server_inner_paths"], path) is not None
    assert hidden or not await found(path)
    assert not hidden or path.endswith("\n") or await found(path)  # and nothing else is hidden


@pytest.mark.parametrize("path", [*INNER, "//metrics", "/\\/healthz//\\dns/", "/readyz//"])
async def test_spellings_that_clients_have(path: str) -> None:
    assert await found(path)
    assert re.search(load("vars/main.yml")["ddns_server_inner_paths"], path)


@pytest.mark.parametrize("template", ["nginx.conf.j2", "ddnsd.caddy.j2"])
def test_each_front_keeps_it_to_the_networks(template: str) -> None:
    text = (ROLE / "templates" / template).read_text()
    assert "ddns_server_inner_paths" in text
    assert "ddns_server_inner_networks" in text


@pytest.mark.parametrize(
    ("name", "is_reverse"),
    [
        ("2.0.192.in-addr.arpa", True),
        ("2.0.192.IN-ADDR.ARPA.", True),
        ("8.b.d.0.1.0.0.2.ip6.arpa", True),
        ("dyn.example.org", False),
        ("in-addr.arpa.example.org", False),
        ("xip6.arpa", False),
    ],
)
def test_the_probe_host_is_in_no_zone_of_reverse_lookups(name: str, is_reverse: bool) -> None:
    assert bool(re.search(load("vars/main.yml")["ddns_server_reverse"], name)) is is_reverse
