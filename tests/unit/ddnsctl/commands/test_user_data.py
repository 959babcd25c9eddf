# SPDX-License-Identifier: GPL-3.0-or-later
"""What `ddnsctl user-data` refuses, and where it writes."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ddnsctl import cloud_init
from ddnsctl.cli import run

NAME, SERVER, SECRET = "vm-7.dyn.example.org", "https://ddns.example.org", "s3cret"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DDNS_SERVER", "DDNS_TOKEN", "DDNS_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    Path("secret").write_text(f"{SECRET}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "choose where the machine's secret comes from: --enrol"),
        (["--enrol", "--new-secret"], "choose where the machine's secret comes from"),
        (["--enrol", "--secret-file", "secret"], "choose where the machine's secret comes from"),
        (
            ["--enrol", "--form", "runcmd"],
            "--enrol needs the updater, and --form runcmd has only curl: use --secret-file",
        ),
        (["--new-secret", "--lifetime", "60"], "--lifetime is the lifetime of an enrolment token: use it with --enrol"),
        (["--enrol", "--lifetime", "59"], "59 is not in the range 60<=x<=604800"),
        (["--enrol", "--lifetime", "604801"], "604801 is not in the range"),
        (["--secret-file", "secret", "--form", "netplan"], "'netplan' is not one of 'unit', 'runcmd'"),
        (["--secret-file", "no"], "no: does not exist"),
        (["--secret-file", "empty"], "empty contains no secret"),
        (["--secret-file", "two"], "two contains no secret"),
        (["--secret-file", "binary"], "binary contains no secret"),
        (["--secret-file", "secret", "-o", "."], "is a folder: name a file"),
        (["--enrol"], "there is no token"),
        (["--new-secret"], "there is no token"),
    ],
)
def test_what_is_refused(arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    for name, content in (("empty", b"\n"), ("two", b"a\nb\n"), ("binary", b"\xff\xfe")):
        Path(name).write_bytes(content)
    before = sorted(Path().iterdir())
    for _ in range(2):
        assert run(["user-data", NAME, "--server", SERVER, *arguments]) == 1
        output = capfd.readouterr()
        assert message in output.err
        assert output.out == ""
        assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("name", ["vm-7", "vm 7.example.org", "*.example.org", "vm_7.example.org", "", "ü.example.org"])
def test_names_that_no_host_has(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["user-data", name, "--server", SERVER, "--secret-file", "secret"]) == 1
    assert capfd.readouterr().err.startswith("error: HOST: ")


@pytest.mark.parametrize("server", [[], ["--server", "ddns"], ["--server", "https://u:p@ddns.example.org"]])
def test_servers_that_are_none(server: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["user-data", NAME, "--secret-file", "secret", *server]) == 1
    output = capfd.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")


def test_with_a_secret_nobody_is_asked(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["user-data", NAME.upper() + ".", "--server", SERVER + "/", "--secret-file", "secret"]
    for _ in range(2):
        assert run(arguments) == 0
        assert capfd.readouterr().out == cloud_init.with_secret(NAME, SERVER, SECRET)
    assert run([*arguments, "--form", "runcmd"]) == 0
    output = capfd.readouterr()
    assert (output.out, output.err) == (cloud_init.with_curl(NAME, SERVER, SECRET), "")


def test_a_file_is_its_owners(capfd: pytest.CaptureFixture[str]) -> None:
    out = Path("new/user-data")
    for form in ("unit", "runcmd"):
        arguments = ["user-data", NAME, "--server", SERVER, "--secret-file", "secret", "--form", form, "-o", str(out)]
        for _ in range(2):
            assert run(arguments) == 0
            output = capfd.readouterr()
            assert output.out == ""
            assert f"Written to {out}, {out.stat().st_size} bytes.\n" in output.err
            assert SECRET not in output.err
            assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert out.read_text() == cloud_init.with_curl(NAME, SERVER, SECRET)


def test_what_is_too_long_for_ec2_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["user-data", NAME, "--server", SERVER, "--secret-file", "secret"]
    size = len(cloud_init.with_secret(NAME, SERVER, SECRET))
    assert size > 16_384
    assert run(arguments) == 0
    assert f"warning: the user data has {size} bytes, but EC2 accepts only 16384" in capfd.readouterr().err
    assert run([*arguments, "--no-updater"]) == 0
    output = capfd.readouterr()
    assert (output.out, output.err) == (cloud_init.with_secret(NAME, SERVER, SECRET, updater=False), "")


def test_a_server_without_encryption_is_warned_of(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["user-data", NAME, "--secret-file", "secret", "--form", "runcmd", "--server"]
    assert run([*arguments, "http://ddns.example.org"]) == 0
    text = "warning: the machine will send its secret unencrypted to http://ddns.example.org; use https\n"
    assert capfd.readouterr().err == text
    assert run([*arguments, "http://127.0.0.1:8053"]) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o600, False)])
def test_output_into_a_file_that_others_can_read(tmp_path: Path, mode: int, *, warned: bool) -> None:
    out = tmp_path / "out"
    out.touch()
    out.chmod(mode)
    program = str(Path(sys.executable).parent / "ddnsctl")
    command = [program, "user-data", NAME, "--server", SERVER, "--secret-file", "secret"]
    with out.open("wb") as file:
        done = subprocess.run(command, cwd=tmp_path, stdout=file, stderr=subprocess.PIPE, text=True, check=True)
    assert ("others can read the file that standard output goes to" in done.stderr) is warned
    assert SECRET in out.read_text()
