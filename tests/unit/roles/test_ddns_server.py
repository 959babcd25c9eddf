# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's variables: what is documented is what there is, and what the service is told."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from parts.ansible import Ansible

from ddnsd import settings
from ddnsd.faces.http import Dispatcher, Message, Reply, Request, text_reply

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


def test_the_page_is_what_the_generator_prints() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "scripts" / "role-docs", "ddns_server"], capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs" / "roles" / "ddns_server.md").read_text() == printed


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
            "hosts": machine, "gather_facts": False,
            "vars_files": [f"{ROLE}/{part}/main.yml" for part in ("defaults", "vars")],
            "tasks": [{
                "ansible.builtin.template": {"src": f"{ROLE}/templates/ddnsd.toml.j2", "dest": f"{tmp_path}/{n}.toml"},
                "vars": variables,
            }],
        }
        for n, (_, machine, variables, _) in enumerate(cases)
    ]  # fmt: skip
    (tmp_path / "play.yml").write_text(json.dumps(plays))
    hosts = ROOT / "examples" / "inventory" / inventory
    Ansible(tmp_path).run("ansible-playbook", "play.yml", "-i", str(hosts), "-e", json.dumps(here))
    for n, (_, _, _, followed) in enumerate(cases):
        monkeypatch.setenv("DDNSD_CONFIG", f"{tmp_path}/{n}.toml")
        assert [str(endpoint) for endpoint in settings.load().followers] == followed


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
    await Dispatcher(dict.fromkeys(INNER, handle), ())(scope, receive, send)
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
