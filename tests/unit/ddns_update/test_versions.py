# SPDX-License-Identifier: GPL-3.0-or-later
"""Python 3.6 and later: no newer grammar or library, and a whole run with each version on this machine."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.certificates import certificate
from support.clients.signing import signed
from support.clients.updater import PROGRAM
from support.interpreters import interpreters
from support.servers.http_stub import Web, web

RUNNER = PROGRAM.with_name("ddns-update-with")
OLDEST = (3, 6)
HERE = interpreters(OLDEST)
HOST = "vm.example.org"


@pytest.mark.parametrize("program", [PROGRAM, RUNNER], ids=lambda file: str(file.name))
def test_nothing_needs_a_newer_python(program: Path) -> None:
    """Also with annotations, which Python 3.6 evaluates unless they are text."""
    command = [str(Path(sys.executable).with_name("vermin")), "-t=3.6-", "--no-tips", "--eval-annotations"]
    done = subprocess.run([*command, program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_the_check_finds_what_fails(tmp_path: Path) -> None:
    """Or it would be worth nothing."""
    for text in (
        "from __future__ import annotations\n",
        "if (a := 1): pass\n",
        "import time\ntime.clock_gettime(time.CLOCK_BOOTTIME)\n",
        "def f(a: dict[str, int]) -> None: ...\n",
        "import ssl\nssl.SSLCertVerificationError\n",
    ):
        (tmp_path / "file.py").write_text(text)
        with pytest.raises(AssertionError):
            test_nothing_needs_a_newer_python(tmp_path / "file.py")


class Machine:
    """Runs the program with another Python, with files of its own."""

    def __init__(self, folder: Path, python: str, server: str, **options: object) -> None:
        self.folder, self.python = folder, python
        (folder / "secret").write_bytes(b"\xef\xbb\xbfthe-secret\r\n")
        lines = [f"[{HOST}]", f"server = {server}", "sources = command", f"secret_file = {folder}/secret"]
        lines += [f"{option} = {value}" for option, value in options.items()]
        (folder / "conf").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, ""]).encode())

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """The status and the output of `ddns-update ARGUMENTS`."""
        files = ["--config", str(self.folder / "conf"), "--state", str(self.folder / "state")]
        env = {**os.environ, "RUNTIME_DIRECTORY": str(self.folder / "spare"), **environment}
        done = subprocess.run(
            [self.python, "-W", "error", "-B", str(PROGRAM), *arguments, *files],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            encoding="utf-8",
            errors="replace",
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout


@pytest.mark.parametrize("version", HERE)
def test_a_run_with_this_version(tmp_path: Path, server: Web, version: str) -> None:
    machine = Machine(tmp_path, HERE[version], server.url, command="echo 192.0.2.7 2001:db8::7")
    assert machine.run("run") == (0, f"{HOST}: updated: 192.0.2.7 2001:db8::7\n")
    assert [asked.basic for asked in server.asked] == [f"{HOST}:the-secret"]
    assert machine.run("run") == (0, f"{HOST}: current: 192.0.2.7 2001:db8::7\n")
    status, text = machine.run("report")
    assert (status, "\nnat: " in text, "report this" in text) == (0, True, False)
    server.says((401, "badauth"))
    status, text = machine.run("run", "--force")
    assert (status, text.startswith(f"{HOST}: paused: badauth: ")) == (3, True)


@pytest.mark.parametrize("version", HERE)
def test_commands_and_their_help_with_this_version(version: str) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [HERE[version], "-W", "error", "-B", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    for verb in ("run", "certificate", "report", "watch", "enrol", "providers"):
        assert run(str(PROGRAM), verb, "--help").returncode == 0
    assert run(str(PROGRAM), "enrol").returncode == 2
    assert run(str(RUNNER)).returncode == 2
    assert run(str(RUNNER), "nsupdate", "providers").stdout.startswith("rfc2136: needs ")


@pytest.mark.parametrize("version", HERE)
def test_tls_with_this_version(tmp_path: Path, version: str) -> None:
    """The standard library has had three kinds of errors for a certificate that is not trusted."""
    authority, pem = certificate(tmp_path)
    with web(lambda _: "good", pem) as server:
        machine = Machine(tmp_path, HERE[version], server.url, command="echo 192.0.2.7")
        status, text = machine.run("run")
        assert (status, "failed: the certificate of 127.0.0.1 is not trusted: " in text) == (1, True), text
        machine = Machine(tmp_path, HERE[version], server.url, command="echo 192.0.2.7", ca_file=authority)
        assert machine.run("run") == (0, f"{HOST}: updated: 192.0.2.7\n")
        other = server.url.replace("127.0.0.1", "localhost")
        machine = Machine(tmp_path, HERE[version], other, command="echo 192.0.2.7", ca_file=authority)
        status, text = machine.run("run")
        assert (status, "failed: the certificate of localhost is not trusted: " in text) == (1, True), text


@pytest.mark.parametrize("version", HERE)
def test_a_certificate_with_this_version(tmp_path: Path, server: Web, version: str) -> None:
    now = time.time()
    server.answer = lambda asked: signed(asked.json["csr"], since=now - 60, until=now + 90 * 86_400)
    files = {"certificate_file": tmp_path / "vm.pem", "certificate_key": tmp_path / "vm.key"}
    machine = Machine(tmp_path, HERE[version], server.url, command="echo 192.0.2.7", **files)
    status, text = machine.run("certificate")
    assert (status, text.startswith(f"{HOST}: updated: certificate valid until ")) == (0, True), text
    status, text = machine.run("certificate")
    assert (status, text.startswith(f"{HOST}: current: certificate valid until ")) == (0, True), text
    assert len(server.asked) == 1


@pytest.mark.parametrize("version", HERE)
@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_answer_in_any_script_is_shown_in_any_locale(
    tmp_path: Path, server: Web, version: str, encoding: str
) -> None:
    """Python 3.6 takes ASCII for the output of a unit without a locale, and ends at the first other character."""
    server.says((500, "Störung 故障"))
    machine = Machine(tmp_path, HERE[version], server.url, command="echo 192.0.2.7")
    status, text = machine.run("run", PYTHONIOENCODING=encoding, LC_ALL="C.UTF-8")
    assert (status, text.startswith(f"{HOST}: failed: the server answered HTTP 500: `St")) == (1, True), text


@pytest.mark.parametrize("version", HERE)
def test_an_output_that_cannot_be_written_ends_no_run(tmp_path: Path, server: Web, version: str) -> None:
    """As a log on a full disk: the names behind the first one are updated too."""
    machine = Machine(tmp_path, HERE[version], server.url, command="echo 192.0.2.7")
    conf = (tmp_path / "conf").read_bytes()
    (tmp_path / "conf").write_bytes(conf + conf.replace(b"\xef\xbb\xbf", b"").replace(b"[vm.", b"[two."))
    files = ["--config", str(tmp_path / "conf"), "--state", str(tmp_path / "state")]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [machine.python, "-B", str(PROGRAM), *files], stdout=full, stderr=full, timeout=60, check=False
        )
    assert [asked.query["hostname"] for asked in server.asked] == [HOST, "two.example.org"]
    assert done.returncode in (0, 120)  # Python's own flush at the end fails as well
