# SPDX-License-Identifier: GPL-3.0-or-later
"""The role ddns_client with variables of the command line, which are texts: `-e NAME=true`."""

import json
from collections.abc import Callable, Sequence
from configparser import ConfigParser
from pathlib import Path

import pytest
from support.ansible.playbooks import REPOSITORY, Ansible, Result, Task
from support.clients.dyndns import is_listed, register
from support.servers.service import Service

Role = Callable[..., list[Result]]
PATHS = ("program", "runner", "config", "folder", "memory", "cron", "interval_file")


@pytest.fixture
def role(ansible: Ansible, ddnsd: Service, tmp_path: Path) -> Role:
    """`role("absent", name, ddns_client_unregister="true")` plays tasks of the role, for a machine in a folder.

    `then` are tasks that follow, with the variables of the role.
    """

    def play(
        tasks: str,
        name: str,
        check: bool = True,
        names: list[dict[str, object]] | None = None,
        then: Sequence[Task] = (),
        **texts: str,
    ) -> list[Result]:
        machine = tmp_path / "machine"
        machine.mkdir(exist_ok=True)
        given = {f"ddns_client_{path}": str(machine / path) for path in PATHS}
        given |= {"ddns_client_program": "/bin/true", "ddns_client_scheduler": "cron", "ddns_client_server": ddnsd.url}
        given |= {"ddns_client_api_token": ddnsd.admin_token} | texts
        variables = {
            "ddns_client_names": names or [{"name": name}],
            "ddns_client_unit_files": [str(machine / "no-unit")],
            "ddns_client_files": [str(machine / path) for path in PATHS],
        }
        options = [option for key, text in given.items() for option in ("-e", f"{key}={text}")]
        include = {"name": "fedcloud.ddns.ddns_client", "tasks_from": tasks, "public": True}
        facts = {"ansible.builtin.setup": {"gather_subset": ["!all", "!min", "service_mgr", "distribution"]}}
        vars_file = ansible.folder / "variables.json"
        vars_file.write_text(json.dumps(variables))
        return ansible.play(
            [facts, {"ansible.builtin.include_role": include}, *then],
            None,
            "-e",
            f"@{vars_file}",
            *options,
            check=check,
        )

    return play


def failures(results: list[Result]) -> list[str]:
    return [str(result.get("msg")) for result in results if result["status"] == "failed"]


@pytest.mark.parametrize(("text", "stays"), [("true", False), ("yes", False), ("false", True), ("no", True)])
def test_unregister_as_a_text(role: Role, ddnsd: Service, text: str, stays: bool) -> None:
    host = register(ddnsd, ddnsd.admin_token)
    for _ in range(2):
        assert failures(role("absent", host.fqdn, ddns_client_unregister=text, ddns_client_state="absent")) == []
        assert is_listed(ddnsd, ddnsd.admin_token, host.fqdn) is stays


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ({"ddns_client_register": "true"}, ""),
        ({"ddns_client_register": "true", "ddns_client_interval": "7"}, ""),
        ({"ddns_client_register": "false"}, "There is no secret for "),
        ({"ddns_client_register": "true", "ddns_client_api_token": ""}, "set ddns_client_api_token to a token"),
        ({"ddns_client_register": "true", "ddns_client_interval": "61"}, "must be 1 to 60 minutes"),
        ({"ddns_client_register": "true", "ddns_client_interval": "often"}, "must be 1 to 60 minutes"),
        ({"ddns_client_register": "true", "ddns_client_refresh": "daily"}, "a number and m, h or d, such as 1d"),
    ],
)
def test_what_is_checked_first(role: Role, texts: dict[str, str], reason: str) -> None:
    found = failures(role("check", "vm.dyn.example.org", check=not reason, **texts))
    assert len(found) == bool(reason)
    assert all(reason in message for message in found)


def written(tmp_path: Path) -> ConfigParser:
    """The updater's configuration that the role wrote."""
    parser = ConfigParser(interpolation=None)
    parser.read_string((tmp_path / "machine" / "config").read_text())
    return parser


def test_the_configuration_from_texts(role: Role, tmp_path: Path) -> None:
    role(
        "config",
        "vm.dyn.example.org",
        ddns_client_ipv4="false",
        ddns_client_sources="interface,server",
        ddns_client_quorum="2",
        ddns_client_ipv6="any",
    )
    common = written(tmp_path).defaults()
    assert (common["ipv4"], common["ipv6"], common["quorum"]) == ("no", "any", "2")
    assert [name.strip() for name in common["sources"].split(",")] == ["interface", "server"]


def test_only_hosts_of_the_service_report_daily(role: Role, tmp_path: Path, ddnsd: Service) -> None:
    """Other providers count needless updates."""
    name: dict[str, object] = {"name": "vm.dyn.example.org", "secret": "s"}
    other: dict[str, object] = {**name, "login": "somebody"}
    names = [
        name,
        {**name, "label": "same", "server": ddnsd.url},
        {**other, "label": "noip", "provider": "noip"},
        {**name, "label": "elsewhere", "server": "https://ddns.example.net"},
        {**name, "label": "own", "refresh": "2h"},
        {**name, "label": "four", "ipv4": "false", "sources": ["server", "interface"]},
        {"name": "vm.dyn.example.org", "label": "file", "secret_file": "/root/secret"},
    ]
    role("config", "", names=names)
    parser = written(tmp_path)
    section = "vm.dyn.example.org"
    assert {s.partition(" at ")[2]: parser[s].get("refresh") for s in parser.sections()} == {
        "": "1d",
        "same": "1d",
        "noip": None,
        "elsewhere": None,
        "own": "2h",
        "four": "1d",
        "file": "1d",
    }
    assert (parser[f"{section} at four"]["ipv4"], parser[f"{section} at four"]["sources"]) == (
        "no",
        "server, interface",
    )
    assert parser[f"{section} at file"]["secret_file"] == "/root/secret", "cron hands over no credentials"
    assert "secret" not in parser[f"{section} at file"]

    role("config", "", names=names[:1], ddns_client_refresh="12h")
    assert written(tmp_path)[section]["refresh"] == "12h"


@pytest.mark.parametrize("certified", [True, False])
def test_certificates(role: Role, tmp_path: Path, certified: bool) -> None:
    """The updater gets the options, and cron orders if a name has a certificate."""
    files: dict[str, object] = {"certificate_file": "/etc/tls/vm.pem", "certificate_key": "/etc/tls/vm.key"}
    given = files | {"certificate_wildcard": True, "certificate_reload": "systemctl reload nginx"}
    name = {"name": "vm.dyn.example.org", "secret": "s", **(given if certified else {})}
    template = REPOSITORY / "roles" / "ddns_client" / "templates" / "ddns-update.cron.j2"
    cron = {"ansible.builtin.template": {"src": str(template), "dest": str(tmp_path / "cron")}}
    assert failures(role("config", "vm.dyn.example.org", names=[name], then=[cron])) == []
    section = dict(written(tmp_path)["vm.dyn.example.org"])
    wanted = {option: str(value) for option, value in (given | {"certificate_wildcard": "yes"}).items()}
    assert {k: v for k, v in section.items() if k.startswith("certificate_")} == (wanted if certified else {})
    lines = [line for line in (tmp_path / "cron").read_text().splitlines() if line.endswith("-t ddns-update")]
    assert len(lines) == 2 + certified
    assert (
        " root STATE_DIRECTORY=" in lines[-1] and "-certificate /bin/true certificate 2>&1" in lines[-1]
    ) is certified


def test_the_order_of_a_certificate_has_the_secrets_and_no_backend(role: Role, tmp_path: Path) -> None:
    name: dict[str, object] = {"name": "vm.dyn.example.org", "secret_file": "/root/secret"}
    template = REPOSITORY / "roles" / "ddns_client" / "templates" / "secrets.conf.j2"
    units = ["ddns-update.service", "ddns-update-certificate.service"]
    written = {"src": str(template), "dest": str(tmp_path / "{{ item }}")}
    role(
        "config",
        "vm.dyn.example.org",
        names=[name],
        then=[{"ansible.builtin.template": written, "loop": units}],
        ddns_client_backend="ddclient",
    )
    usual, of_certificate = ((tmp_path / unit).read_text() for unit in units)
    assert "LoadCredential=vm.dyn.example.org:/root/secret" in of_certificate
    assert ("ExecStart=" in usual, "ExecStart=" in of_certificate) == (True, False)
