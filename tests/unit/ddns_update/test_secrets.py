# SPDX-License-Identifier: GPL-3.0-or-later
"""The secret is nowhere but in its file and in the request: not in what is said, kept, passed on or inherited."""

import base64
import os
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from support.certificates import certificate
from support.clients.updater import HOST, PROGRAM, SECRET, Machine
from support.servers.http_stub import Asked, Web, web

FORMS = [SECRET, quote_plus(SECRET), base64.b64encode(f"{HOST}:{SECRET}".encode()).decode()]


def clear(text: str) -> bool:
    return not any(form in text for form in FORMS)


@pytest.mark.parametrize("status", [200, 302, 401, 403, 500, 503])
@pytest.mark.parametrize("provider", ["dyndns2", "duckdns", "freedns", "cloudflare", "route53", "digitalocean"])
def test_an_answer_that_repeats_it_is_masked(machine: Machine, provider: str, status: int) -> None:
    def echo(asked: Asked) -> tuple[int, str]:
        return status, f"{asked.target} {asked.headers.get('authorization')} {SECRET}"

    with web(echo) as server:
        options = {"zone": "example.org", "login": HOST, "endpoint": server.url}
        if provider == "dyndns2":
            options = {}
        machine.configure(server.url, provider=provider, **options)
        for verb in ("run", "report"):
            ran = machine.run(verb, "--json")
            assert clear(ran.out + ran.err), ran
        ran = machine.run()
        assert ran.status in (1, 3)
        assert clear(ran.out + ran.err), ran
        assert clear(machine.state_file.read_text())


def test_no_process_sees_it(machine: Machine, server: Web, tmp_path: Path) -> None:
    """While a request is answered, and while a command of the administrator's runs."""
    machine.configure(server.url, sources="command", command=f"{sys.executable} {tmp_path}/look.py")
    seen = tmp_path / "seen"
    (tmp_path / "look.py").write_text(
        f"import os, pathlib\npathlib.Path({str(seen)!r}).write_text(repr(dict(os.environ)))\nprint('192.0.2.44')\n"
    )
    asked, answer = threading.Event(), threading.Event()

    def slow(_: Asked) -> str:
        asked.set()
        assert answer.wait(20)
        return "good"

    server.answer = slow
    secrets = machine.folder / "secrets"
    process = subprocess.Popen(
        [sys.executable, "-B", "-c", LAUNCH, str(PROGRAM), str(secrets), str(machine.config), str(tmp_path / "state")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert asked.wait(20)
        folder = Path(f"/proc/{process.pid}")
        assert clear((folder / "cmdline").read_bytes().decode())
        assert clear((folder / "environ").read_bytes().decode())
    finally:
        answer.set()
        out, _ = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, f"{HOST}: updated: 192.0.2.44\n")
    assert clear(seen.read_text())


LAUNCH = """
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
loader = SourceFileLoader("u", sys.argv[1])
u = module_from_spec(spec_from_loader("u", loader))
loader.exec_module(u)
u.SECRETS = sys.argv[2]
sys.exit(u.main(["--config", sys.argv[3], "--state", sys.argv[4]]))
"""


def test_tls_is_checked(machine: Machine, tmp_path: Path) -> None:
    authority, pem = certificate(tmp_path)
    with web(lambda _: "good", pem) as server:
        machine.configure(server.url)
        ran = machine.run()
        assert (ran.status, server.asked) == (1, [])
        assert "failed: the certificate of 127.0.0.1 is not trusted: " in ran.out
        machine.configure(server.url, ca_file=authority)
        assert machine.run().status == 0
        assert machine.run().status == 0
        assert len(server.taken()) == 1
        machine.configure(server.url.replace("127.0.0.1", "localhost"), ca_file=authority)
        assert "is not trusted: " in machine.run().out
        assert server.asked == []


def test_a_redirect_is_not_followed(machine: Machine, server: Web) -> None:
    with web(lambda _: "good") as elsewhere:
        server.says((307, elsewhere.url + "/nic/update"))
        machine.configure(server.url)
        assert machine.run().status == 1
        assert elsewhere.asked == []


def test_the_environment_is_not_read_for_proxies(
    machine: Machine, server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web(lambda _: "good") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        machine.configure(server.url)
        assert machine.run().status == 0
        assert (len(server.asked), proxy.asked) == (1, [])


def test_files_are_for_their_owner(machine: Machine, server: Web) -> None:
    machine.configure(server.url)
    old = os.umask(0)
    try:
        machine.run()
    finally:
        os.umask(old)
    assert {oct(f.stat().st_mode & 0o077) for f in machine.state_file.parent.iterdir()} == {"0o0"}
