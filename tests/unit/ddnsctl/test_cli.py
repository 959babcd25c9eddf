# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: help, errors in one line, exit codes; nothing here talks to a server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ddnsctl import docs
from ddnsctl.cli import COMMANDS, run

REPOSITORY = Path(__file__).parents[3]
HEAVY = ("requests", "rich", "yaml", "jsonschema", "dns", "ddnsctl.sync.plan")


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DDNS_SERVER", "DDNS_TOKEN", "DDNS_TOKEN_FILE", "DDNSCTL_DEBUG", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    Path("good.yml").write_text("version: 1\nstack: web\nhosts: {a.example.org: {ipv4: 192.0.2.1}}\n")


def test_the_pages_of_the_documentation_are_those_of_the_help() -> None:
    folder = REPOSITORY / "docs" / "ddnsctl"
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict(docs.pages())


def test_every_command_has_a_page_and_explains_all_its_options() -> None:
    pages = dict(docs.pages())
    assert set(pages) == {*(f"{name}.md" for name in COMMANDS), "README.md"}
    for name, text in pages.items():
        assert "--token " not in text, name  # a token on the command line would be seen by everybody


def test_help_loads_nothing_heavy() -> None:
    code = f"import sys; from ddnsctl import cli; cli.run(['--help']); print([m for m in {HEAVY} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["paln"], "no such command: paln (did you mean plan?) (see ddnsctl --help)"),
        (["plan", "--pruen"], "(see ddnsctl plan --help)"),
        (["plan"], "no declaration is named: name a file, a folder or - (standard input), or an inventory with -i"),
        (["plan", "no.yml"], "no.yml: does not exist"),
        (["plan", "good.yml"], "no server is named: use --server, set DDNS_SERVER, or write it into the declaration"),
        (["show"], "no server is named: use --server, or set DDNS_SERVER\n"),
        (["import"], "no server is named: use --server, or set DDNS_SERVER\n"),
        (["user-data", "a.example.org", "--enrol"], "no server is named: use --server, or set DDNS_SERVER\n"),
        (["plan", "good.yml", "--server", "http://127.0.0.1:1"], "there is no token"),
        (["plan", "good.yml", "--server", "x", "--token-file", "good.yml"], "the token must be one word"),
        (["plan", "good.yml", "--server", "x", "--token-file", "no"], "no: does not exist"),
        (["plan", "good.yml", "--max-deletes", "few"], "'few' is not a limit"),
        (["plan", "good.yml", "--timeout", "0"], "it must be a number of seconds, above 0"),
        (["apply", "--resume"], "there is no journal in .ddnsctl"),
        (["apply", "--resume", "good.yml"], "--resume continues the plan in the journal"),
        (["destroy"], "nothing to delete is named"),
        (["import", "--adopt"], "--adopt needs --stack"),
        (["rotate"], "missing argument 'HOST...'"),
        (["fmt", "no.yml"], "no.yml: does not exist"),
    ],
)
def test_errors_are_told_in_a_line(arguments: list[str], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 1
    output = capfd.readouterr()
    assert message in output.err
    assert output.err.startswith("error: ")
    assert "Traceback" not in output.err
    assert output.out == ""


def test_an_unreachable_server(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDNS_TOKEN", "ddns_secret_token")
    assert run(["plan", "good.yml", "--server", "http://127.0.0.1:1"]) == 1
    output = capfd.readouterr()
    text = "http://127.0.0.1:1 does not answer: connection refused. Check --server and that the service runs."
    assert output.err == f"error: {text}\n"
    assert run(["plan", "good.yml", "--server", "http://nothing.invalid"]) == 1
    assert "warning: the token is sent unencrypted to http://nothing.invalid; use https\n" in capfd.readouterr().err


def test_debug_shows_where() -> None:
    command = [sys.executable, "-m", "ddnsctl", "plan", "good.yml", "--server", "x", "--debug"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_a_token_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "token").write_text("ddns_x\n")
    assert run(["plan", "good.yml", "--server", "http://127.0.0.1:1", "--token-file", "token"]) == 1
    assert "does not answer" in capfd.readouterr().err
    (tmp_path / "token").write_text("\n")
    assert run(["plan", "good.yml", "--server", "http://127.0.0.1:1", "--token-file", "token"]) == 1
    assert "token is empty" in capfd.readouterr().err


def test_validate(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "good.yml"]) == 0
    assert capfd.readouterr().out == "valid: 1 host, 0 domains of stack web\n"
    Path("bad.yml").write_text("version: 1\nhsots: {}\nhosts: {a: {}}\n")
    assert run(["validate", "bad.yml", "good.yml"]) == 1
    assert capfd.readouterr().err == (
        "error: the declaration is not valid (2 problems)\n"
        "  bad.yml:2:1: hsots: unknown key (did you mean `hosts`?)\n"
        "  bad.yml:3:9: hosts.a: 'a' is not a full name; write a.DOMAIN, or set a default domain\n"
    )


def test_validate_for_programs(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "good.yml", "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out) == {"valid": True, "stack": "web", "hosts": 1, "domains": 0, "keys": 0}
    Path("bad.yml").write_text("version: 1\nhsots: {}\n")
    assert run(["validate", "bad.yml", "--format", "json"]) == 1
    place = {"file": "bad.yml", "line": 2, "column": 1}
    problem = {"text": "hsots: unknown key", "where": place, "hint": "did you mean `hosts`?"}
    assert json.loads(capfd.readouterr().out) == {"valid": False, "problems": [problem]}
    assert run(["validate", "--format", "json"]) == 1
    (problem,) = json.loads(capfd.readouterr().out)["problems"]
    assert (problem["where"], "no declaration is named" in str(problem["text"])) == (None, True)


def test_tsig_keys_of_secrets_in_files(capfd: pytest.CaptureFixture[str]) -> None:
    """The key of a host has its name, that of a key its login; `printf %s SECRET | openssl dgst -sha256` agrees."""
    Path("web.yml").write_text(
        "version: 1\nstack: web\ndefaults: {domain: dyn.example.org, ipv4: dynamic, secret: {file: 'secrets/{name}'}}\n"
        "hosts: {one: , two: }\nkeys: {router: {hosts: [one], secret: {file: secrets/router}}}\n"
    )
    Path("secrets").mkdir()
    Path("secrets/one").write_text("s3cret\n")
    Path("secrets/router").write_text("k-abc12345:s3cret\n")
    tsig = "HsHCa1DV08WNlYMYGvgHZlX+AHVr9yhZQLo2cPmfy6A="
    assert run(["show", "--tsig", "web.yml"]) == 1
    printed, said = capfd.readouterr()
    assert printed == f"hmac-sha256:one.dyn.example.org:{tsig}\nhmac-sha256:k-abc12345:{tsig}\n"
    assert "two.dyn.example.org: " in said
    assert "is missing or empty" in said
    Path("secrets/two").write_text("s3cret\n")
    assert run(["show", "--tsig", "web.yml", "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out)[1] == {
        "name": "two.dyn.example.org",
        "algorithm": "hmac-sha256",
        "secret": tsig,
    }
    assert run(["show", "--tsig"]) == 1


def test_the_schema_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--schema"]) == 0
    assert json.loads(capfd.readouterr().out)["title"] == "Declaration of Dynamic DNS hosts"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert "_DDNSCTL_COMPLETE" in capfd.readouterr().out


def test_what_completion_offers() -> None:
    asked = {"COMP_WORDS": "ddnsctl pl", "COMP_CWORD": "1", "_DDNSCTL_COMPLETE": "bash_complete"}
    program = Path(sys.executable).parent / "ddnsctl"
    result = subprocess.run([program], capture_output=True, text=True, check=False, env=asked)
    assert result.stdout == "plain,plan\n"


def test_colours_only_where_they_are_wanted(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    run(["plan"])
    assert "\x1b" not in capfd.readouterr().err
    monkeypatch.setenv("FORCE_COLOR", "1")
    run(["plan"])
    assert "\x1b[31m" in capfd.readouterr().err
    monkeypatch.setenv("NO_COLOR", "1")
    run(["plan"])
    assert "\x1b" not in capfd.readouterr().err
