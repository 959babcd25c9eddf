# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration: everything that is wrong is told at once, with its section, and nothing is sent."""

from pathlib import Path

import pytest
from support.clients.updater import HOST, IPV4, SECRET, Machine
from support.servers.http_stub import Web


def wrong(machine: Machine, *arguments: str) -> list[str]:
    """The reasons of a run that must refuse its configuration."""
    ran = machine.run(*arguments)
    assert (ran.status, ran.out) == (2, "")
    prefix = f"ddns-update: {machine.config}: "
    return [line.removeprefix(prefix) for line in ran.err.splitlines()]


def test_all_that_is_wrong_is_told_at_once(machine: Machine, server: Web) -> None:
    machine.secret()
    machine.config.write_text(f"""
[DEFAULT]
server = {server.url}
secret = {HOST}
colour = blue
timeout = 0
[fine.example.org]
[a.example.org]
sources = server, horoscope
ipv6 = maybe
[localhost]
provider = geocities
login = a:b
quorum = two
""")
    sources = "auto, server, interface, command, ec2, openstack, gce, azure, upnp, natpmp"
    providers = "dyndns2, noip, dyn, freedns, duckdns, cloudflare, digitalocean, route53, rfc2136"
    assert wrong(machine) == [
        "[DEFAULT]: colour: unknown option",
        "[DEFAULT]: timeout: must be a number from 1 to 120",
        f"[a.example.org]: sources: must be different ones of {sources}",
        "[a.example.org]: ipv6: must be one of stable, temporary, any, no",
        f"[localhost]: provider: must be one of {providers}",
        "[localhost]: login: must be printable, without blanks and colons",
        "[localhost]: quorum: must be a number from 1 to 9",
        "[localhost]: the section is neither a full host name nor `NAME at LABEL`",
    ]
    assert server.asked == []
    assert not machine.state_file.exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("server = https://u:p@ddns.example", "server: must be http://HOST or https://HOST, without user name"),
        ("server = https://ddns.example?a=b", "server: must be http://HOST"),
        ("server = ftp://ddns.example", "server: must be http://HOST"),
        ("server = https://ddns.example:99999", "server: must be http://HOST"),
        ("", "server: dyndns2 needs it"),
        ("server = https://d.example\nquorum = 2", "quorum: 2 of 1 sources can never agree"),
        ("server = https://d.example\nsources = command", "command: source command needs it"),
        ("server = https://d.example\nipv4 = no\nipv6 = no", "ipv4, ipv6: both are `no`"),
        ("server = https://d.example\nca_file = /nowhere/ca.pem", "ca_file: cannot read /nowhere/ca.pem"),
        ("server = https://d.example\nregion = eu-west-1", "region: is for route53, not for dyndns2"),
        ("server = https://d.example\nsecret_file = /x", "secret_file: remove it, or secret"),
        ("provider = noip", "login: noip needs it"),
        ("provider = cloudflare", "zone: cloudflare needs it"),
        ("provider = duckdns\nsources = server", "server: source server needs it"),
        ("provider = duckdns\nendpoint = duck", "endpoint: must be http://HOST or https://HOST"),
        ("provider = duckdns\nendpoint = https://u:p@duck.example", "endpoint: must be http://HOST or https://HOST"),
        ("provider = rfc2136\nzone = example.org", "endpoint: rfc2136 needs it"),
    ],
)
def test_options_that_do_not_go_together(machine: Machine, text: str, reason: str) -> None:
    machine.secret()
    machine.config.write_text(f"[{HOST}]\nsecret = {HOST}\n{text}\n")
    (told,) = [line for line in wrong(machine) if not line.startswith(f"[{HOST}]: secret: ")]
    assert told.startswith(f"[{HOST}]: {reason}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it names no host: add a section [HOST.DOMAIN]"),
        ("[DEFAULT]\nttl = 60\n", "it names no host: add a section [HOST.DOMAIN]"),
        ("server = x\n", "line 1: neither [SECTION] nor OPTION = VALUE"),
        ("[a.b]\nttl = 60\nhunter2\n", "line 3: neither [SECTION] nor OPTION = VALUE"),
        ("[a.b]\nttl = 60\nttl = 61\n", "line 3: [a.b]: ttl occurs twice"),
        ("[a.b]\n[a.b]\n", "line 2: [a.b] occurs twice; write `NAME at LABEL` for another provider"),
    ],
)
def test_a_file_that_is_no_configuration(machine: Machine, text: str, reason: str) -> None:
    machine.config.write_text(text)
    assert wrong(machine) == [reason]


def test_no_file_and_no_text(machine: Machine) -> None:
    assert wrong(machine) == ["cannot be read: No such file or directory"]
    machine.config.write_bytes(b"[a.b]\n\xff\xfe")
    assert wrong(machine)[0].startswith("cannot be read: ")


def test_a_secret_in_the_wrong_place_is_not_repeated(machine: Machine, server: Web) -> None:
    machine.config.write_text(f"[{HOST}]\n{SECRET}\n")
    assert wrong(machine) == [f"[{HOST}]: a line is not an option"]
    machine.config.write_text(f"[{HOST}]\nserver = {server.url}\nsecret = hunter2\n")
    (told,) = wrong(machine)
    assert told.startswith(f"[{HOST}]: secret: the file does not exist in $CREDENTIALS_DIRECTORY or ")
    assert "hunter2" not in told
    machine.config.write_text(f"[{HOST}]\nserver = {server.url}\nsecret = hunter/2\n")
    assert wrong(machine) == [f"[{HOST}]: secret: must be the name of a credential, without a slash"]
    machine.config.write_text(f"[{HOST}]\nserver = {server.url}\n")
    assert wrong(machine) == [f"[{HOST}]: secret: missing; name a credential, or a file with secret_file"]


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines\n", b"\xff\xfe", "schlüssel".encode()])
def test_a_file_without_a_secret(machine: Machine, server: Web, content: bytes) -> None:
    machine.configure(server.url)
    (machine.folder / "secrets" / HOST).write_bytes(content)
    (told,) = wrong(machine)
    assert told.startswith(f"[{HOST}]: secret: ")
    assert server.asked == []


def test_secrets_come_from_credentials_first(
    machine: Machine, server: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    machine.configure(server.url)
    machine.run()
    (credentials / HOST).write_text("from systemd")
    machine.run()
    assert [asked.basic for asked in server.taken()] == [f"{HOST}:{SECRET}", f"{HOST}:from systemd"]


def test_a_secret_file(machine: Machine, server: Web, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere"
    file.write_text("other\n")
    machine.secret()
    machine.config.write_text(
        f"[DEFAULT]\nsecret = {HOST}\n[{HOST}]\nserver = {server.url}\nsecret_file = {file}  ; not the default\n"
    )
    assert machine.run().status == 0
    assert server.taken()[0].basic == f"{HOST}:other"


def test_one_name_at_two_providers(machine: Machine, server: Web) -> None:
    machine.secret()
    machine.config.write_text(f"""
[DEFAULT]
secret = {HOST}
ipv6 = no
[{HOST}]
server = {server.url}/one
[{HOST} at other]
server = {server.url}/two
""")
    ran = machine.run()
    assert ran.out == f"{HOST}: updated: {IPV4}\n{HOST} at other: updated: {IPV4}\n"
    assert [(asked.path, asked.query["hostname"]) for asked in server.taken()] == [("/one", HOST), ("/two", HOST)]
    assert machine.run(f"{HOST} at other").out == f"{HOST} at other: current: {IPV4}\n"
    assert machine.run(HOST).out.count("current") == 2


def test_names_that_are_not_there(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    ran = machine.run(HOST, "x.example.org", "y.example.org")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.splitlines() == [
        "ddns-update: x.example.org: there is no such name in the configuration",
        "ddns-update: y.example.org: there is no such name in the configuration",
    ]


def test_providers_lists_the_catalogue(machine: Machine) -> None:
    ran = machine.run("providers")
    assert ran.status == 0
    listed = {line.split(":")[0]: line for line in ran.out.splitlines()}
    assert set(listed) == set(machine.updater.PROVIDERS)
    assert listed["rfc2136"] == "rfc2136: needs secret, endpoint, zone; optional: key_name, algorithm"


def test_help_and_a_wrong_option(machine: Machine) -> None:
    assert machine.run("--help").status == 0
    assert "--force" in machine.run("run", "--help").out
    assert machine.run("--nonsense").status == 2
