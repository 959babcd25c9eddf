# SPDX-License-Identifier: GPL-3.0-or-later
"""The token of the environment reaches no server that only a file names: declarations, plans, journals, inventories."""

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support import programs
from support.ansible.playbooks import Ansible

from ddnsctl.sync import journal

TOKEN = "ddns_token_of_a_pipeline"
BIN = Path(sys.executable).parent


@dataclass
class Listener:
    """A server that answers like an empty service, and remembers who came with which token."""

    url: str = ""
    tokens: list[str] = field(default_factory=list)

    def got_token_later(self) -> None:
        """The first question, about what the server is, came without the token. The others had it."""
        assert self.tokens[0] == ""
        assert set(self.tokens[1:]) <= {"", f"Bearer {TOKEN}"}
        assert f"Bearer {TOKEN}" in self.tokens


@contextmanager
def listening() -> Iterator[Listener]:
    """A listener on loopback."""
    listener = Listener()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listener.tokens.append(self.headers.get("Authorization", ""))
            about: dict[str, object] = {
                "service": "ddnsd",
                "version": "0",
                "features": [],
                "name": "alice",
                "items": [],
                "next": None,
            }
            body = json.dumps(about).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        listener.url = f"http://127.0.0.1:{server.server_port}"
        yield listener
        server.shutdown()
        thread.join()


@pytest.fixture
def file_server() -> Iterator[Listener]:
    """The one that files name."""
    with listening() as listener:
        yield listener


@pytest.fixture
def own_server() -> Iterator[Listener]:
    """The one that the person means."""
    with listening() as listener:
        yield listener


@pytest.fixture
def folder(tmp_path: Path, file_server: Listener) -> Path:
    """A declaration, a saved plan, a journal and an inventory that name the server of a file."""
    declared = {"version": 1, "server": file_server.url, "stack": "s", "hosts": {"a.example.org": {}}}
    (tmp_path / "web.yml").write_text(json.dumps(declared))
    change = {"action": "create", "kind": "host", "name": "a.example.org", "before": {}, "after": {}}
    plan = {
        "url": file_server.url,
        "format": 1,
        "server": "ddnsd",
        "stack": "s",
        "made": "",
        "changes": [change],
        "drift": [],
        "notes": [],
        "unchanged": 0,
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    (tmp_path / ".ddnsctl").mkdir()
    (tmp_path / ".ddnsctl" / "journal-1.jsonl").write_text(json.dumps({"journal": journal.FORMAT, "plan": plan}) + "\n")
    (tmp_path / "hosts.ddns.yml").write_text(f"plugin: fedcloud.ddns.ddns\napi_url: {file_server.url}\n")
    (tmp_path / "token").write_text(TOKEN)
    return tmp_path


def ddnsctl(folder: Path, *arguments: str, **env: str) -> tuple[int, str]:
    """Exit code, and what was printed."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DDNS")}
    path = f"{BIN}:{os.environ['PATH']}"
    result = programs.invoke(["ddnsctl", *arguments], inherited | {"PATH": path} | env, "", folder)
    return result.returncode, result.stdout + result.stderr


DOORS = [
    ("plan", "web.yml"),
    ("apply", "web.yml", "-y"),
    ("apply", "plan.json", "-y"),
    ("apply", "--resume", "-y"),
    ("destroy", "web.yml", "-y"),
    ("rotate", "a.example.org", "-f", "web.yml", "-y"),
]


@pytest.mark.parametrize("variable", ["DDNS_TOKEN", "DDNS_TOKEN_FILE", "DDNS_TOKEN_COMMAND"])
@pytest.mark.parametrize("door", DOORS, ids=" ".join)
def test_a_token_of_the_environment_goes_to_no_server_that_only_a_file_names(
    folder: Path, file_server: Listener, door: tuple[str, ...], variable: str
) -> None:
    env = {variable: {"DDNS_TOKEN": TOKEN, "DDNS_TOKEN_FILE": "token"}.get(variable, "cat token")}
    code, said = ddnsctl(folder, *door, **env)
    assert code == 1
    assert f"the token in {variable} is sent only to a server that you name; nothing was sent" in said
    assert f"set DDNS_SERVER={file_server.url}, or use --server" in said
    assert file_server.tokens == []


@pytest.mark.parametrize("door", DOORS, ids=" ".join)
def test_a_variable_that_differs_from_the_file_is_an_error(
    folder: Path, file_server: Listener, own_server: Listener, door: tuple[str, ...]
) -> None:
    code, said = ddnsctl(folder, *door, "--token-file", "token", DDNS_SERVER=own_server.url)
    assert code == 1
    assert f"DDNS_SERVER is {own_server.url}, but " in said
    assert f" names {file_server.url}; nothing was sent" in said
    assert file_server.tokens + own_server.tokens == []


def test_the_option_overrules_the_file_and_the_plan_names_it(
    folder: Path, file_server: Listener, own_server: Listener
) -> None:
    options = ("plan", "web.yml", "--server", own_server.url)
    for environment in ({}, {"DDNS_SERVER": file_server.url}):
        code, said = ddnsctl(folder, *options, DDNS_TOKEN=TOKEN, **environment)
        assert (code, said.splitlines()[0].partition(" ")[0]) == (2, own_server.url)
        assert f"--server overrides it: {own_server.url}" in said
        assert f"Server: {own_server.url}" in ddnsctl(folder, *options, "--format=markdown", DDNS_TOKEN=TOKEN)[1]
    assert file_server.tokens == []
    own_server.got_token_later()


def test_servers_that_agree_and_a_token_of_an_option(folder: Path, file_server: Listener) -> None:
    agrees = file_server.url.replace("http", "HTTP") + "/"
    assert ddnsctl(folder, "plan", "web.yml", DDNS_TOKEN=TOKEN, DDNS_SERVER=agrees)[0] == 2
    assert ddnsctl(folder, "plan", "web.yml", "--token-file", "token")[0] == 2
    assert ddnsctl(folder, "apply", "plan.json", "--server", agrees, DDNS_TOKEN=TOKEN)[0] == 1  # no terminal to ask at
    file_server.got_token_later()


def test_a_command_prints_the_token(folder: Path, file_server: Listener) -> None:
    assert ddnsctl(folder, "plan", "web.yml", "--token-command", "cat token")[0] == 2
    assert ddnsctl(folder, "plan", "web.yml", DDNS_TOKEN_COMMAND="cat token", DDNS_SERVER=file_server.url)[0] == 2
    file_server.got_token_later()


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("false", "--token-command: the command failed with exit code 1"),
        ("true", "--token-command: the command printed no token"),
        ("/nowhere/program", "--token-command: the command cannot be run: "),
        ("cat 'token", "--token-command: the command cannot be run: No closing quotation"),
        (" ", "--token-command: the command cannot be run: "),
        ("printf '\\377'", "--token-command: the command printed something that is not text"),
        ("echo two words", "the token must be one word of ASCII characters"),
    ],
)
def test_a_command_that_gives_no_token(folder: Path, file_server: Listener, command: str, problem: str) -> None:
    code, said = ddnsctl(folder, "plan", "web.yml", "--token-command", command)
    assert code == 1
    assert problem in said
    assert file_server.tokens == []


def test_two_options_for_the_token(folder: Path, file_server: Listener) -> None:
    code, said = ddnsctl(folder, "plan", "web.yml", "--token-file", "token", "--token-command", "cat token")
    assert (code, "use one of them" in said) == (1, True)
    assert file_server.tokens == []


def refused(file_server: Listener, said: str) -> None:
    text = " ".join(said.replace("\\n", " ").split())
    assert "the token in DDNS_TOKEN is sent only to a server that you name; nothing was sent" in text
    assert file_server.tokens == []


@pytest.mark.parametrize("in_process", [True, False], ids=["process", "module"])
def test_the_module_does_alike(folder: Path, file_server: Listener, own_server: Listener, in_process: bool) -> None:
    ansible, way = Ansible(folder), {"ddns_in_process": in_process}
    ansible.settings = {"DDNS_TOKEN": TOKEN}
    lookup = "{{ lookup('ansible.builtin.env', 'DDNS_TOKEN') }}"
    for more in ({}, {"api_token": lookup}):
        refused(file_server, ansible.task("ddns_sync", way, src="web.yml", fails=True, **more)["msg"])
    ansible.settings["DDNS_SERVER"] = own_server.url
    differs = ansible.task("ddns_sync", way, src="web.yml", fails=True)["msg"]
    assert f"DDNS_SERVER is {own_server.url}, but the declaration names {file_server.url}" in differs
    assert file_server.tokens + own_server.tokens == []
    (planned,) = ansible.play(
        [{"name": "t", "fedcloud.ddns.ddns_sync": {"src": "web.yml", "api_url": own_server.url}, "check_mode": True}],
        way,
    )
    assert f"api_url overrides it: {own_server.url}" in str(planned["warnings"])
    assert planned["diff"]["before_header"] == f"registered at {own_server.url}"
    assert file_server.tokens == []
    own_server.got_token_later()
    ansible.settings = {}
    given = {"src": "web.yml", "api_token": TOKEN}
    (planned,) = ansible.play([{"name": "t", "fedcloud.ddns.ddns_sync": given, "check_mode": True}], way)
    assert planned["changed"]


def test_the_inventory_does_alike(folder: Path, file_server: Listener, own_server: Listener) -> None:
    ansible = Ansible(folder)
    listed = ("ansible-inventory", "-i", "hosts.ddns.yml", "--list")
    ansible.settings = {"DDNS_TOKEN": TOKEN}
    refused(file_server, ansible.run(*listed, check=False).stderr)
    ansible.settings["DDNS_SERVER"] = own_server.url
    assert "nothing was sent" in " ".join(ansible.run(*listed, check=False).stderr.split())
    assert file_server.tokens + own_server.tokens == []
    ansible.settings["DDNS_SERVER"] = file_server.url + "/"
    ansible.run(*listed)
    file_server.got_token_later()
