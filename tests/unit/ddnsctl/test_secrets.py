# SPDX-License-Identifier: GPL-3.0-or-later
"""Where new secrets go."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ddnsctl.secrets import SecretError, SecretWriter
from ddnsctl.sync.model import SecretSpec
from ddnsctl.sync.plan import Action, Change
from ddnsctl.sync.secret_files import write


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")


def change(
    path: str = "s/a", action: Action = Action.CREATE, kind: str = "file", name: str = "a.example.org"
) -> Change:
    return Change(action, "host", name, secret=SecretSpec(kind, path))


def mode(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def refusals(*changes: Change) -> list[str]:
    before = sorted(Path().rglob("*"))
    with pytest.raises(SecretError) as raised:
        SecretWriter(changes).check()
    assert sorted(Path().rglob("*")) == before
    return [str(problem) for problem in raised.value.problems]


def test_a_file_holds_the_secret_alone_and_is_its_owner_s() -> None:
    secret_writer = SecretWriter([change("s/t/a")])
    secret_writer.check()
    os.umask(0)
    secret_writer(change("s/t/a"), "top-secret")
    secret_writer.flush()
    os.umask(0o022)
    assert Path("s/t/a").read_text() == "top-secret\n"
    assert (mode("s/t/a"), mode("s/t"), mode("s")) == (0o600, 0o700, 0o700)
    assert [path.name for path in Path("s/t").iterdir()] == ["a"]


def test_a_new_host_never_overwrites_a_file() -> None:
    write(Path("s/a"), b"old", replace=False)
    assert refusals(change()) == [
        "a.example.org is new, but the file for its secret exists: s/a (move the file away, or name another)"
    ]
    with pytest.raises(FileExistsError):
        SecretWriter([change()])(change(), "new")
    assert Path("s/a").read_bytes() == b"old"
    assert len(list(Path("s").iterdir())) == 1


@pytest.mark.parametrize("action", [Action.ROTATE, Action.REPLACE])
def test_a_secret_that_becomes_void_is_replaced(action: Action) -> None:
    write(Path("s/a"), b"old", replace=False)
    secret_writer = SecretWriter([change(action=action)])
    secret_writer.check()
    secret_writer(change(action=action), "new")
    assert Path("s/a").read_text() == "new\n"
    assert mode("s/a") == 0o600


def test_a_resumed_run_finds_the_files_of_the_first() -> None:
    write(Path("s/a"), b"old", replace=False)
    secret_writer = SecretWriter([change()], resumed=True)
    secret_writer.check()
    secret_writer(change(), "new")
    assert Path("s/a").read_text() == "new\n"


def test_a_symbolic_link_is_not_followed() -> None:
    Path("precious").write_text("keep")
    Path("s").mkdir()
    Path("s/a").symlink_to("../precious")
    assert len(refusals(change())) == 1
    SecretWriter([])(change(action=Action.ROTATE), "new")
    assert Path("precious").read_text() == "keep"
    assert not Path("s/a").is_symlink()


def test_what_cannot_be_kept_is_told_before_anything_is_changed() -> None:
    Path("file").write_text("")
    found = refusals(change("file/a"), change("s/b", name="b.example.org"), change("s/./b", name="c.example.org"))
    assert found == [
        "c.example.org: s/b is the file of b.example.org's secret (name another file)",
        "file is not a folder, so no secret can be written to file",
    ]


def test_changes_that_make_no_secret_need_no_place() -> None:
    write(Path("s/a"), b"old", replace=False)
    SecretWriter([change(action=Action.UPDATE), change(action=Action.DELETE)]).check()


def test_secrets_without_a_place_are_counted_and_kept_nowhere() -> None:
    secret_writer = SecretWriter([Change(Action.CREATE, "host", "a.example.org")])
    secret_writer.check()
    secret_writer(secret_writer.changes[0], "top-secret")
    assert secret_writer.dropped == ["a.example.org"]
    assert list(Path().iterdir()) == []


def test_many_files_are_made_durable_too() -> None:
    changes = [change(f"s/{number}", name=f"h{number}.example.org") for number in range(70)]
    secret_writer = SecretWriter(changes)
    secret_writer.check()
    for each in changes:
        secret_writer(each, each.name)
    secret_writer.flush()
    assert secret_writer.written == []
    assert sorted(p.read_text() for p in Path("s").iterdir()) == sorted(f"{c.name}\n" for c in changes)


def test_a_vault_is_encrypted_and_ansible_reads_it() -> None:
    Path("password").write_text("open sesame\n")
    each = change("s/a", kind="vault")
    secret_writer = SecretWriter([each], ("--vault-password-file", "password"))
    secret_writer.check()
    secret_writer(each, "top-secret")
    assert Path("s/a").read_text().startswith("$ANSIBLE_VAULT;")
    assert mode("s/a") == 0o600
    view = ["ansible-vault", "view", "--vault-password-file", "password", "s/a"]
    assert subprocess.run(view, capture_output=True, text=True, check=True).stdout == "top-secret\n"


def test_a_vault_without_password_or_program_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ansible-vault" in refusals(change(kind="vault"))[0]
    monkeypatch.setenv("PATH", "/nowhere")
    assert "pip install ansible-core" in refusals(change(kind="vault"))[0]


def to_command(*command: str) -> Change:
    return Change(Action.CREATE, "host", "a.example.org", secret=SecretSpec("exec", command=command))


def test_a_command_gets_the_secret_on_standard_input_and_no_token(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DDNS_TOKEN", "ddns_token")
    given = to_command("sh", "-c", "cat >got; env >environment; echo $0 $@ >arguments; cat got; cat got >&2", "x")
    secret_writer = SecretWriter([given])
    secret_writer.check()
    secret_writer(given, "top-secret")
    secret_writer.flush()
    assert Path("got").read_text() == "top-secret"
    assert "DDNS_TOKEN" not in Path("environment").read_text()
    assert Path("arguments").read_text() == "x\n"
    assert capfd.readouterr() == ("", "")


def test_a_command_that_fails_says_why_without_the_secret() -> None:
    given = to_command("sh", "-c", "echo no access to $(cat) >&2; exit 3")
    with pytest.raises(OSError, match=r"^sh failed with exit code 3: no access to …$"):
        SecretWriter([given])(given, "top-secret")


def test_a_program_that_is_not_there_is_told_before() -> None:
    assert refusals(to_command("never-installed", "a"), to_command("never-installed", "b")) == [
        "a.example.org: there is no program never-installed for its secret (install it, or correct its name)"
    ]
