# SPDX-License-Identifier: GPL-3.0-or-later
"""curl, GNU wget and busybox wget, as they stand in cloud-init files, cron jobs and routers."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clients.programs import DENIED, Host, Outcome, becomes, hung_name_server

Run = Callable[..., Outcome]

TOOLS = {
    "curl": ("curl", "-sS"),
    "wget": ("wget", "-q", "-t", "1", "-O", "-"),
    "busybox": ("busybox", "wget", "-q", "-O", "-"),
}
every_tool = pytest.mark.parametrize("tool", TOOLS)


@every_tool
def test_changes_then_changes_nothing(run: Run, host: Host, tool: str) -> None:
    url = f"{host.url}/nic/update?myip=192.0.2.1"
    for body in ("good 192.0.2.1", "nochg 192.0.2.1"):
        assert run(*TOOLS[tool], url) == Outcome(0, body)
        assert host.a == ["192.0.2.1"]


@every_tool
def test_address_of_the_caller(run: Run, host: Host, tool: str) -> None:
    for body in ("good 127.0.0.1", "nochg 127.0.0.1"):
        assert run(*TOOLS[tool], f"{host.url}/nic/update") == Outcome(0, body)
        assert host.a == ["127.0.0.1"]


def test_a_machine_that_moves_keeps_its_files(run: Run, host: Host, tmp_path: Path) -> None:
    """Name and secret stay, and the network is another one: here curl's own settings are the network."""
    configuration = tmp_path / "ddns.curl"
    configuration.write_text(f'url = "{host.url}/nic/update"\n')
    before = configuration.read_bytes()
    for number in (2, 3, 2):
        (tmp_path / ".curlrc").write_text(f'interface = "127.0.0.{number}"\n')
        moved = run("curl", "-sS", "--config", configuration, CURL_HOME=str(tmp_path))
        assert moved == Outcome(0, f"good 127.0.0.{number}")
        assert host.a == [f"127.0.0.{number}"]
    assert configuration.read_bytes() == before


@every_tool
def test_both_families(run: Run, host: Host, tool: str) -> None:
    url = f"{host.url}/nic/update?hostname={host.fqdn}&myip=192.0.2.2,2001:db8::2"
    for word in ("good", "nochg"):
        assert run(*TOOLS[tool], url) == Outcome(0, f"{word} 192.0.2.2,2001:db8::2")
        assert (host.a, host.aaaa) == (["192.0.2.2"], ["2001:db8::2"])


@every_tool
def test_wrong_secret(run: Run, host: Host, tool: str) -> None:
    refused = run(*TOOLS[tool], f"http://{host.fqdn}:wrong@{host.server}/nic/update?myip=192.0.2.3")
    if tool == "curl":
        assert refused == Outcome(0, "badauth")
    elif tool == "wget":
        assert refused.code == 6  # "Username/Password Authentication Failed"
    else:
        assert refused.code == 1
        assert "server returned error: HTTP/1.1 401" in refused
    assert host.a == ["192.0.2.250"]


@every_tool
def test_blocked(run: Run, host: Host, tool: str) -> None:
    for address in (DENIED, "192.0.2.4"):
        assert run(*TOOLS[tool], f"{host.url}/nic/update?myip={address}") == Outcome(0, "abuse")
        assert host.a == []


@every_tool
def test_hung_name_server(run: Run, host: Host, tool: str) -> None:
    with hung_name_server(host.service):
        unheard = run(*TOOLS[tool], f"{host.url}/nic/update?myip=192.0.2.5")
    assert unheard.code == {"curl": 0, "wget": 8, "busybox": 1}[tool]
    assert {"curl": "911", "wget": "", "busybox": "wget: server returned error: HTTP/1.1 503"}[tool] in unheard
    becomes(host, "192.0.2.5")


def test_curl_posts_a_form(run: Run, host: Host) -> None:
    form = ("--data", f"hostname={host.fqdn}", "--data-urlencode", "myip=2001:db8::6")
    for body in ("good 2001:db8::6", "nochg 2001:db8::6"):
        assert run(*TOOLS["curl"], *form, f"{host.url}/nic/update") == Outcome(0, body)
        assert (host.a, host.aaaa) == (["192.0.2.250"], ["2001:db8::6"])


def test_curl_reads_the_credentials_from_a_file(run: Run, host: Host, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login {host.fqdn} password {host.secret}\n")
    update = ("--fail", "--netrc", f"http://{host.server}/nic/update?myip=192.0.2.7")
    assert run(*TOOLS["curl"], *update) == Outcome(0, "good 192.0.2.7")
    assert host.a == ["192.0.2.7"]
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login {host.fqdn} password wrong\n")
    assert run(*TOOLS["curl"], *update).code == 22


def test_wget_shows_no_credentials_until_it_is_challenged(run: Run, host: Host) -> None:
    talk = run("wget", "-S", "-t", "1", "-O", "/dev/null", f"{host.url}/nic/update?myip=192.0.2.8")
    assert talk.code == 0
    assert re.findall(r"^  HTTP/1\.1 (\d+)", talk.text, re.M) == ["401", "200"]
    assert re.search(r"^  WWW-Authenticate: Basic realm=\"[^\"]+\"", talk.text, re.M | re.I)
    assert host.a == ["192.0.2.8"]


@pytest.mark.parametrize("path", ["/v3/update", "/nic/update"])
def test_openwrt_dynamic_dns_scripts(run: Run, host: Host, tmp_path: Path, path: str) -> None:
    """The command of ddns-scripts with GNU wget, and its rule: success is `good` or `nochg` anywhere in the file."""
    data, errors = tmp_path / "data", tmp_path / "errors"
    wget = ("wget", f"--hsts-file={tmp_path}/hsts", "-nv", "-t", "1", "-O", data, "-o", errors, "--no-proxy")
    for address, word in (("192.0.2.9", "good"), ("192.0.2.9", "nochg"), ("2001:db8::9", "good")):
        assert run(*wget, f"{host.url}{path}?hostname={host.fqdn}&myip={address}").code == 0
        assert data.read_text() == f"{word} {address}"
    assert (host.a, host.aaaa) == (["192.0.2.9"], ["2001:db8::9"])

    assert run(*wget, f"http://{host.fqdn}:wrong@{host.server}{path}?hostname={host.fqdn}&myip=192.0.2.10").code == 6
    assert not re.search("good|nochg", data.read_text())
    assert run(*wget, f"{host.url}{path}?hostname=zz-unknown.{host.service.domain}&myip=192.0.2.10").code == 0
    assert data.read_text() == "nohost"
    assert host.a == ["192.0.2.9"]
