# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl certificate`, with a real authority and openssl."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clients.ddnsctl import Tool
from support.clients.rest_api import Api
from support.clients.signing import verified
from support.ports import free_port
from support.servers.pebble import Pebble, pebble
from support.servers.service import Service, dev

NAME = "www.dyn.example.org"


@pytest.fixture(scope="module")
def dns_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def authority(dns_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with pebble(tmp_path_factory.mktemp("pebble"), dns_port) as running:
        yield running


@pytest.fixture(scope="module")
def service(authority: Pebble, dns_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"acme_directory": authority.directory, "acme_ca_file": str(authority.front)}
    with dev(tmp_path_factory.mktemp("service"), dns_port, **settings) as running:
        for fqdn in (NAME, "plain.dyn.example.org"):
            Api(running, running.admin_token).post("/hosts", {"fqdn": fqdn, "wildcard": fqdn == NAME})
        yield running


@pytest.fixture
def tool(service: Service, tmp_path: Path) -> Tool:
    return Tool(service, tmp_path, "web")


def public_key(*command: str | Path) -> str:
    return subprocess.run(["openssl", *command], capture_output=True, text=True, check=True).stdout


def test_a_new_key_and_a_renewal(tool: Tool, authority: Pebble) -> None:
    key, chain = tool.folder / "keys" / "www.key", tool.folder / "www.pem"
    files = ("--key-file", str(key), "--chain-file", str(chain))
    tool.run("certificate", NAME, "--wildcard", *files)
    assert verified(chain.read_text(), authority.root(), tool.folder) == {NAME, f"*.{NAME}"}
    assert key.stat().st_mode & 0o777 == 0o600
    made = key.read_bytes()
    assert public_key("pkey", "-in", key, "-pubout") == public_key("x509", "-in", chain, "-noout", "-pubkey")
    before = chain.read_text()
    again = tool.run("certificate", "www", "--wildcard", "--key-file", str(key))
    assert again.startswith(before), "the same request"
    other = tool.run("certificate", NAME, "--key-file", str(key))
    assert verified(other, authority.root(), tool.folder) == {NAME}
    assert key.read_bytes() == made


def test_errors(tool: Tool) -> None:
    key = tool.folder / "new.key"
    assert "has no wildcard" in tool.run("certificate", "plain", "--wildcard", "--key-file", str(key), code=1)
    assert "nothing is not registered" in tool.run("certificate", "nothing", "--key-file", str(key), code=1)
    key.write_text("no key\n")
    assert "openssl req: " in tool.run("certificate", "plain", "--key-file", str(key), code=1)
    assert key.read_text() == "no key\n"
    without = tool.run("certificate", "plain", "--key-file", str(tool.folder / "a.key"), code=1, PATH=str(tool.folder))
    assert "openssl is not installed" in without
    assert not (tool.folder / "a.key").exists()
