# SPDX-License-Identifier: GPL-3.0-or-later
"""Stored secrets: which files are missing, and which secrets the server does not accept."""

from pathlib import Path

from support.clients.transport import Scripted

from ddnsctl import secret_checks
from ddnsctl.sync.egi import EgiServer
from ddnsctl.sync.model import Declaration, HostSpec, SecretSpec
from ddnsctl.sync.rest import RestServer

NAMES = ("a.example.org", "b.example.org", "c.example.org", "d.example.org")


def declared(folder: Path) -> Declaration:
    """Hosts with a file, an empty file, no file, and no secret to store."""
    (folder / NAMES[0]).write_text("one\n")
    (folder / NAMES[1]).write_text("\n")
    specs = [HostSpec(name, secret=SecretSpec("file", str(folder / name))) for name in NAMES[:3]]
    specs.append(HostSpec(NAMES[3], secret=SecretSpec("none")))
    return Declaration(hosts={spec.fqdn: spec for spec in specs})


def test_a_server_that_cannot_check_secrets_finds_missing_files(tmp_path: Path) -> None:
    found = secret_checks.problems(declared(tmp_path), NAMES, EgiServer(Scripted()))
    assert [problem.text for problem in found] == [
        f"{name}: file {tmp_path / name} is missing or empty" for name in NAMES[1:3]
    ]
    assert found[0].hint == "`ddnsctl apply --secrets` makes a new one"


def test_hosts_that_are_not_registered_have_no_secret_to_check(tmp_path: Path) -> None:
    assert secret_checks.problems(declared(tmp_path), (), EgiServer(Scripted())) == []


def test_what_cannot_be_read_or_asked_is_told(tmp_path: Path) -> None:
    declaration = declared(tmp_path)
    (tmp_path / NAMES[2]).mkdir()
    script = Scripted().expect("POST /api/verify-secrets", {"valid": {NAMES[0]: False}})
    found = secret_checks.problems(declaration, (NAMES[0], NAMES[2]), RestServer(script))
    assert [problem.text for problem in found] == [
        f"{NAMES[0]}: file {tmp_path / NAMES[0]} has a secret that is no longer valid",
        f"{NAMES[2]}: file {tmp_path / NAMES[2]} cannot be checked: Is a directory",
    ]
    script = Scripted().expect("POST /api/verify-secrets", {"detail": "Later."}, status=503)
    (problem,) = secret_checks.problems(declaration, (NAMES[0],), RestServer(script))
    assert problem.text.endswith("cannot be checked: Later.")


def test_an_older_service_is_asked_about_each_secret(tmp_path: Path) -> None:
    script = Scripted().expect(f"POST /api/hosts/{NAMES[0]}/verify-secret", {"valid": False})
    found = secret_checks.problems(declared(tmp_path), NAMES[:1], RestServer(script, features=["verify-secret"]))
    assert [problem.text for problem in found] == [
        f"{NAMES[0]}: file {tmp_path / NAMES[0]} has a secret that is no longer valid"
    ]


def test_a_call_that_is_too_large_is_halved() -> None:
    secrets = {f"{number}.example.org": "x" for number in range(3)}
    script = Scripted().expect("POST /api/verify-secrets", {"detail": "Too long."}, status=413)
    for _ in secrets:
        script.expect("POST /api/verify-secrets", {"valid": {}})
    assert RestServer(script).all_valid(secrets) == {}
    script.done()
