# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that get certificates from a service with a real authority: `ddnsctl`, the updater, the Ansible module."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from support.ansible.playbooks import Ansible, examples, four
from support.clients.ddnsctl import Tool
from support.clients.rest_api import Api
from support.clients.signing import Key, csr, signed, verified
from support.clients.updater import PROGRAM
from support.ports import free_port
from support.servers.egi import egi
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
    settings = {"acme_directory": authority.directory, "acme_ca_file": str(authority.front), "acme_host_budget": "0"}
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


def end_soon(chain: Path, key: Path, name: str) -> None:
    """Put a certificate in place that ends in five days."""
    now = time.time()
    request = csr(name, key=cast("Key", load_pem_private_key(key.read_bytes(), None)))
    chain.write_text(signed(request, since=now - 85 * 86_400, until=now + 5 * 86_400))


def test_the_updater_gets_a_certificate_and_renews_it(service: Service, authority: Pebble, tmp_path: Path) -> None:
    name = "vm.dyn.example.org"
    api = Api(service, service.admin_token)
    (tmp_path / "secret").write_text(api.post("/hosts", {"fqdn": name})["secret"])
    key, chain, reloads = tmp_path / "vm.key", tmp_path / "vm.pem", tmp_path / "reloads"
    options = {
        "server": service.url,
        "secret_file": tmp_path / "secret",
        "certificate_file": chain,
        "certificate_key": key,
        "certificate_reload": f"sh -c 'echo >>{reloads}'",
    }
    lines = [f"[{name}]", *(f"{option} = {value}" for option, value in options.items()), ""]
    (tmp_path / "conf").write_text("\n".join(lines))

    def run() -> str:
        files = f"--config {tmp_path}/conf --state {tmp_path}/state".split()
        env = os.environ | {"RUNTIME_DIRECTORY": str(tmp_path / "spare")}
        command = [sys.executable, "-B", str(PROGRAM), "certificate", *files]
        return subprocess.run(command, capture_output=True, text=True, env=env, check=True).stdout

    assert run().startswith(f"{name}: updated: certificate valid until ")
    assert verified(chain.read_text(), authority.root(), tmp_path) == {name}
    first = key.read_bytes()
    assert run().startswith(f"{name}: current: ")

    end_soon(chain, key, name)
    assert run().startswith(f"{name}: updated: ")
    assert verified(chain.read_text(), authority.root(), tmp_path) == {name}
    assert key.read_bytes() != first
    assert public_key("pkey", "-in", key, "-pubout") == public_key("x509", "-in", chain, "-noout", "-pubkey")
    assert reloads.read_text() == "\n\n"
    actors = [event["actor"] for event in api.items("/events", action="certificate.issued", object=name)]
    assert actors == [name, name]


def declare(tool: Tool, **host: object) -> None:
    """Declare one host with a certificate."""
    files = {"key": "tls/{name}.key", "file": "tls/{name}.pem"}
    tool.declare(a={"ipv4": "192.0.2.1", "certificate": files, **host})


def test_a_declared_certificate(tool: Tool, authority: Pebble) -> None:
    label, name = tool.name("a").partition(".")[0], tool.name("a")
    key, chain = tool.folder / "tls" / f"{label}.key", tool.folder / "tls" / f"{label}.pem"
    declare(tool)
    text = " ".join(tool.run("plan", "web.yml", code=2).split())
    assert f"+ certificate {name} no certificate names [{name}] file tls/{label}.pem key tls/{label}.key" in text
    assert not chain.exists()
    tool.run("apply", "--yes", "web.yml")
    assert verified(chain.read_text(), authority.root(), tool.folder) == {name}
    assert key.stat().st_mode & 0o777 == 0o600
    assert "No changes" in tool.run("plan", "web.yml")

    made = key.read_bytes()
    end_soon(chain, key, name)
    assert f"~ certificate {name} it ends on " in " ".join(tool.run("plan", "web.yml", "-o", "saved", code=2).split())
    tool.run("apply", "--yes", "saved")
    assert verified(chain.read_text(), authority.root(), tool.folder) == {name}
    assert key.read_bytes() == made
    before = chain.read_text()
    tool.run("apply", "--yes", "saved")
    assert chain.read_text() == before, "the saved plan orders nothing if the files are as planned"

    declare(tool, wildcard=True)
    assert f"its names are others names [{name}] → " in " ".join(tool.run("plan", "web.yml", code=2).split())
    tool.run("apply", "--yes", "web.yml")
    assert verified(chain.read_text(), authority.root(), tool.folder) == {name, f"*.{name}"}
    assert "No changes" in tool.run("plan", "--only", name, "web.yml")
    tool.run("destroy", "--yes", "web.yml")
    assert chain.exists()


def test_a_declared_certificate_that_fails(tool: Tool, authority: Pebble) -> None:
    name = tool.name("a")
    records = {"CAA": ['0 issue ";"']}
    declare(tool, records=records)
    said = tool.run("apply", "--yes", "web.yml", code=4)
    assert "CAA records" in said
    assert "1 of 2 changes failed" in said
    assert f"create certificate {name}: " in said
    Api(tool.service, tool.service.admin_token).call("DELETE", f"/hosts/{name}/records/@/CAA")
    tool.run("apply", "--resume", "--yes")
    assert verified((tool.folder / "tls" / f"{name.partition('.')[0]}.pem").read_text(), authority.root(), tool.folder)
    (tool.folder / "tls" / f"{name.partition('.')[0]}.key").write_text("no key\n")
    assert "openssl pkey: " in tool.run("plan", "web.yml", code=1)
    tool.run("destroy", "--yes", "web.yml")


def test_a_service_without_certificates(tool: Tool, ddnsd: Service) -> None:
    declare(tool)
    off = {"DDNS_SERVER": ddnsd.url, "DDNS_TOKEN": ddnsd.admin_token}
    assert "issues no certificates" in tool.run("plan", "web.yml", code=1, **off)
    with egi() as running:
        of_egi = {"DDNS_SERVER": running.url, "DDNS_TOKEN": "token-of-alice"}
        assert "EGI Dynamic DNS issues no certificates" in tool.run("plan", "web.yml", code=1, **of_egi)


@pytest.fixture
def ansible(service: Service, tmp_path: Path) -> Ansible:
    return Ansible(tmp_path / "ansible", service.url, service.admin_token)


@pytest.mark.parametrize("in_process", [True, False])
def test_the_module_in_check_mode_and_without(
    ansible: Ansible, authority: Pebble, in_process: bool, tmp_path: Path
) -> None:
    text = json.dumps(examples("ddns_certificate")).replace("/etc/ddns", str(tmp_path / "files"))
    way = {"vars": {"ddns_in_process": in_process}}
    checked, done, checked_again, again = ansible.play([way | task for task in four(json.loads(text))])
    results = (checked, done, checked_again, again)
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert checked["diff"] == done["diff"] != checked_again["diff"] == again["diff"]
    assert (checked["not_after"], done["not_after"]) == (None, again["not_after"])
    assert (done["names"], done["reason"], again["reason"]) == ([NAME], "no certificate", "")
    key, chain = tmp_path / "files" / "www.key", tmp_path / "files" / "www.pem"
    assert verified(chain.read_text(), authority.root(), tmp_path) == {NAME}
    assert [file.stat().st_mode & 0o777 for file in (key, chain)] == [0o600, 0o644]
    assert "PRIVATE" not in json.dumps(results)


def test_the_module_renews_with_the_same_key(ansible: Ansible, authority: Pebble, tmp_path: Path) -> None:
    key, chain = tmp_path / "www.key", tmp_path / "www.pem"
    given: dict[str, Any] = {"name": "www", "domain": "dyn.example.org", "path": str(chain), "key_path": str(key)}
    ansible.task("ddns_certificate", **given)
    made = key.read_bytes()
    end_soon(chain, key, NAME)
    kept, renewed, other_names, same = ansible.tasks(
        "ddns_certificate", {**given, "renew_days": 4}, given, {**given, "wildcard": True}, {**given, "wildcard": True}
    )
    assert [result["changed"] for result in (kept, renewed, other_names, same)] == [False, True, True, False]
    assert renewed["reason"] == f"it ends on {kept['not_after']}"
    assert kept["not_after"] in renewed["diff"]["before"]
    assert other_names["reason"] == "its names are others"
    assert verified(chain.read_text(), authority.root(), tmp_path) == {NAME, f"*.{NAME}"}
    assert key.read_bytes() == made
    key.unlink()
    other_key = ansible.task("ddns_certificate", **given, wildcard=True)
    assert (other_key["reason"], "key: (new" in other_key["diff"]["after"]) == ("its key is another one", True)
    assert not ansible.task("ddns_certificate", **given, wildcard=True, renew_days=36_500)["changed"]


def test_sync_keeps_declared_certificates(ansible: Ansible, authority: Pebble, tmp_path: Path) -> None:
    files = {"key": str(tmp_path / "s.key"), "file": str(tmp_path / "s.pem")}
    hosts = {"sync.dyn.example.org": {"ipv4": "192.0.2.1", "certificate": files}}
    given: dict[str, Any] = {"declaration": {"stack": "sync", "hosts": hosts}}
    relative = {"sync.dyn.example.org": {"ipv4": "192.0.2.1", "certificate": {"key": "s.key", "file": "s.pem"}}}
    elsewhere = {"declaration": {"stack": "sync", "hosts": relative}}
    refused = ansible.task("ddns_sync", {"ddns_in_process": False}, fails=True, **elsewhere)
    assert "the files of its certificate are relative, and the task runs on another host" in refused["msg"]
    (checked,) = ansible.play([{"name": "check", "fedcloud.ddns.ddns_sync": given, "check_mode": True, "diff": True}])
    assert not (tmp_path / "s.pem").exists()
    done, again = ansible.tasks("ddns_sync", given, given)
    assert (checked["changed"], done["changed"], again["changed"]) == (True, True, False)
    assert checked["diff"] == done["diff"]
    assert verified((tmp_path / "s.pem").read_text(), authority.root(), tmp_path) == {"sync.dyn.example.org"}
    end_soon(tmp_path / "s.pem", tmp_path / "s.key", "sync.dyn.example.org")
    renewed = ansible.task("ddns_sync", **given)
    assert "certificate: (it ends on " in renewed["diff"]["before"]
    assert "certificate: (new)" in renewed["diff"]["after"]


def test_the_module_changes_nothing_if_it_fails(ansible: Ansible, tmp_path: Path) -> None:
    key, chain = tmp_path / "plain.key", tmp_path / "plain.pem"
    (tmp_path / "damaged.key").write_text("no key\n")
    given: dict[str, Any] = {"name": "plain.dyn.example.org", "path": str(chain), "key_path": str(key)}
    wrong = (
        ({"wildcard": True}, "has no wildcard"),
        ({"name": "nothing.dyn.example.org"}, "nothing.dyn.example.org"),
        ({"name": "plain"}, "name: "),
        ({"renew_days": -1}, "renew_days: must be 0 or more"),
        ({"key_path": str(chain)}, "key_path: is the file of the certificate"),
        ({"key_path": str(tmp_path / "damaged.key")}, "openssl pkey: "),
    )
    failed = ansible.tasks("ddns_certificate", *({**given, **options} for options, _ in wrong), fails=range(len(wrong)))
    for result, (_, text) in zip(failed, wrong, strict=True):
        assert text in result["msg"]
    assert not chain.exists()
    assert (tmp_path / "damaged.key").read_text() == "no key\n"
