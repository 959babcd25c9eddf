# SPDX-License-Identifier: GPL-3.0-or-later
"""The client role's other backends: the updater decides, and ddclient, inadyn or nsupdate sends."""

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from support.clients.programs import Host, Outcome, becomes, hung_name_server, private_file
from support.servers.http_stub import web

RUNNER = Path(__file__).parents[2] / "roles" / "ddns_client" / "files" / "ddns-update-with"
Backend = Callable[..., Outcome]
PROGRAMS = ("ddclient", "inadyn")


@pytest.fixture
def backend(tmp_path: Path, run: Callable[..., Outcome]) -> Backend:
    """`backend("ddclient", name, secret, "192.0.2.1 2001:db8::1", option="value")` runs it once."""

    def once(program: str, name: str, secret: str, addresses: str, *arguments: str, **options: object) -> Outcome:
        lines = ["[DEFAULT]", "sources = command", f"command = echo {addresses}", f"[{name}]"]
        lines += [f"secret_file = {private_file(tmp_path / 'secret', secret)}"]
        lines += [f"{option} = {value}" for option, value in options.items()]
        (tmp_path / "client.conf").write_text("\n".join(lines) + "\n")
        (tmp_path / "run").mkdir(exist_ok=True)
        return run(
            sys.executable,
            RUNNER,
            program,
            "run",
            "--config",
            tmp_path / "client.conf",
            "--state",
            tmp_path / "state",
            *arguments,
            RUNTIME_DIRECTORY=str(tmp_path / "run"),
        )

    return once


@pytest.mark.parametrize("program", PROGRAMS)
def test_both_families_once(backend: Backend, tmp_path: Path, host: Host, program: str) -> None:
    server = f"http://{host.server}"
    changed = backend(program, host.fqdn, host.secret, "192.0.2.1 2001:db8::1", server=server)
    assert (changed.code, changed.text) == (0, f"{host.fqdn}: updated: 192.0.2.1 2001:db8::1\n")
    assert (host.a, host.aaaa) == (["192.0.2.1"], ["2001:db8::1"])

    rests = backend(program, host.fqdn, host.secret, "192.0.2.1 2001:db8::1", server=server)
    assert (rests.code, rests.text) == (0, f"{host.fqdn}: current: 192.0.2.1 2001:db8::1\n")

    moved = backend(program, host.fqdn, host.secret, "192.0.2.2 2001:db8::1", server=server)
    assert moved.code == 0
    assert (host.a, host.aaaa) == (["192.0.2.2"], ["2001:db8::1"])
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_wrong_secret_pauses_the_name(backend: Backend, host: Host, program: str) -> None:
    server = f"http://{host.server}"
    for arguments in ((), (), ("--force",)):
        paused = backend(program, host.fqdn, "not-the-right-one", "192.0.2.3", *arguments, server=server)
        assert paused.code == 3
        assert f"{host.fqdn}: paused: badauth: the login or the secret is wrong; nothing is sent until " in paused
    assert host.a == ["192.0.2.250"]

    right = backend(program, host.fqdn, host.secret, "192.0.2.3", server=server)
    assert right.code == 0
    assert host.a == ["192.0.2.3"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_unknown_name_pauses(backend: Backend, host: Host, program: str) -> None:
    server, unknown = f"http://{host.server}", f"zz-unknown.{host.service.domain}"
    paused = backend(program, unknown, host.secret, "192.0.2.4", server=server, login=host.fqdn)
    assert paused.code == 3
    assert f"{unknown}: paused: nohost: " in paused


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ((401, "badauth"), "paused: badauth"),
        ((401, "<html>\nbadauth: sign in\n</html>"), "failed"),
        ((401, ""), "failed"),
        ((403, "<html>Sign in</html>"), "failed"),
    ],
)
def test_only_the_word_refuses(backend: Backend, program: str, answer: tuple[int, str], status: str) -> None:
    """A proxy's or a hotel's 401 is an outage."""
    with web(lambda _: answer) as server:
        ran = backend(program, "vm.example.org", "a-secret", "192.0.2.5", server=server.url)
    assert server.asked
    assert f"vm.example.org: {status}: " in ran
    assert ran.code == (3 if "paused" in status else 1)


@pytest.mark.parametrize("word", ["good", "nochg"])
def test_what_the_provider_said_of_its_record_is_known(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, word: str
) -> None:
    """It tells a changed record from a resolver that is wrong."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    with web(lambda _: f"{word} 192.0.2.5") as server:
        name = runner.updater.Name("vm.example.org", {"server": server.url})
        name.secret_text = "a-secret"
        assert runner.ddclient(name, {"ipv4": "192.0.2.5"}) == {"ipv4": "192.0.2.5"}
    assert name.said == {word}


@pytest.mark.parametrize("program", PROGRAMS)
def test_silence_is_no_success(backend: Backend, host: Host, program: str) -> None:
    with hung_name_server(host.service):
        unheard = backend(program, host.fqdn, host.secret, "192.0.2.5", server=f"http://{host.server}")
    assert unheard.code == 1
    assert f"{host.fqdn}: failed: {program}" in unheard
    assert "again after" in unheard
    becomes(host, "192.0.2.5")


def test_nsupdate_replaces_by_its_key(backend: Backend, host: Host) -> None:
    service, name = host.service, f"by-nsupdate.{host.service.domain}"
    key = (service.dir / "bind" / "keys" / f"{service.domain}.key").read_text().split('"')
    options = {
        "provider": "rfc2136",
        "endpoint": f"127.0.0.1:{service.dns_port}",
        "zone": service.domain,
        "key_name": key[1],
    }
    for addresses in ("192.0.2.6 2001:db8::6", "192.0.2.7 2001:db8::7"):
        changed = backend("nsupdate", name, key[3], addresses, **options)
        assert (changed.code, changed.text) == (0, f"{name}: updated: {addresses}\n")
        assert service.dig(name) + service.dig(name, "AAAA") == addresses.split()

    wrong = backend("nsupdate", name, "d3Jvbmc=", "192.0.2.8", **options)
    assert wrong.code == 3
    assert f"{name}: paused: the name server refuses the TSIG key" in wrong
    assert service.dig(name) == ["192.0.2.7"]


def test_a_provider_that_the_program_does_not_know(backend: Backend, host: Host) -> None:
    wrong = backend("inadyn", host.fqdn, host.secret, "192.0.2.9", provider="cloudflare", zone="example.org")
    assert wrong.code == 2
    assert "provider: must be one of dyndns2, noip, dyn" in wrong


def test_another_program(run: Callable[..., Outcome]) -> None:
    wrong = run(sys.executable, RUNNER, "curl")
    assert (wrong.code, wrong.text) == (2, "ddns-update: the first argument is one of ddclient, inadyn, nsupdate\n")


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    """The program, as a module."""
    loader = importlib.machinery.SourceFileLoader("ddns_update_with", str(RUNNER))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.dont_write_bytecode
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def test_a_program_is_heard_out(runner: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    assert runner.execute(["sh", "-c", "echo; sleep 1; echo version 3.11"], {}) == (0, "\nversion 3.11\n")


@pytest.mark.parametrize(
    ("version", "lines"),
    [
        ((3, 10), ["use=ip, ip=192.0.2.1"]),
        ((3, 11), ["use=no", "usev4=ipv4, ipv4=192.0.2.1"]),
        ((4, 0), ["use=no", "usev4=ipv4, ipv4=192.0.2.1"]),
    ],
)
def test_ddclient_of_each_version(
    runner: ModuleType, tmp_path: Path, version: tuple[int, int], lines: list[str]
) -> None:
    given = {"server": "https://ddns.example.org:8443/v3/update", "ca_file": "/etc/ssl/ca.pem"}
    name = runner.updater.Name("vm.example.org", given)
    name.secret_text = "it is a secret"
    config = runner.ddclient_config(name, {"ipv4": "192.0.2.1"}, version).splitlines()
    assert [line for line in config if line.startswith("use")] == lines
    assert {"ssl=yes", "ssl_ca_file=/etc/ssl/ca.pem", "login=vm.example.org", "password='it is a secret'"} <= set(
        config
    )
    assert "protocol=dyndns2, server=ddns.example.org:8443, script=/v3/update" in config


def test_a_secret_that_a_configuration_cannot_hold(runner: ModuleType) -> None:
    name = runner.updater.Name("vm.example.org", {"server": "https://ddns.example.org"})
    name.secret_text = "it's"
    with pytest.raises(runner.updater.Refused, match="does not support these characters in a secret"):
        runner.ddclient_config(name, {"ipv4": "192.0.2.1"}, (3, 10))


def test_an_answer_that_inadyn_does_not_show(runner: ModuleType, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """As 2.11 does: somebody has to know whether the service refuses the secret, or something on the way to it."""
    said = "Fatal error in DDNS server response: Authentication failure\nError code 50: Authentication failure\n"
    monkeypatch.setattr(runner, "execute", lambda *_, **__: (50, said))
    name = runner.updater.Name(host.fqdn, {"server": f"http://{host.server}"})
    name.secret_text = "wrong"
    with pytest.raises(runner.updater.Refused, match="badauth"):
        runner.inadyn(name, {"ipv4": "192.0.2.1"})
