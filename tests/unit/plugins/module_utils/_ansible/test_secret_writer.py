# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a task writes new secrets, and what it refuses before any change."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.secret_writer import SecretWriter
from ansible_collections.fedcloud.ddns.plugins.module_utils._sync.changes import Action, Change
from ansible_collections.fedcloud.ddns.plugins.module_utils._sync.errors import DeclarationError, SyncError
from ansible_collections.fedcloud.ddns.plugins.module_utils._sync.model import SecretSpec


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def created(name: str, path: Path | str | None = None, kind: str = "file", action: Action = Action.CREATE) -> Change:
    return Change(action, "host", name, secret=None if path is None else SecretSpec(kind, str(path)))


def test_secrets_go_to_their_file_to_the_folder_or_into_the_result(tmp_path: Path) -> None:
    own, other = created("a.example.org", "own"), created("b.example.org")
    secret_writer = SecretWriter([own, other], str(tmp_path / "new" / "folder"), str(tmp_path))
    secret_writer.check()
    assert not (tmp_path / "new").exists()
    secret_writer(own, "s1")
    secret_writer(other, "s2")
    assert (tmp_path / "own").read_text() == "s1\n"
    kept = tmp_path / "new" / "folder" / "b.example.org"
    assert (kept.read_text(), mode(kept), mode(kept.parent)) == ("s2\n", 0o600, 0o700)
    assert secret_writer.returned == {}
    asked = SecretWriter([other], None, None, returns=True)
    asked(other, "s3")
    assert (asked.returned, asked.without_destination(), asked.dropped) == ({"b.example.org": "s3"}, [], [])
    unasked = SecretWriter([other], None, None)
    assert unasked.without_destination() == ["b.example.org"]
    unasked(other, "s3")
    assert (unasked.returned, unasked.dropped) == ({}, ["b.example.org"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([created("a", "x", kind="vault")], "only the controller can encrypt"),
        ([created("a", "relative/x")], "relative"),
        ([created("a", "/nowhere/x"), created("b", "/nowhere/x")], "the file of a's secret"),
        ([created("a", __file__)], "the file for its secret exists"),
        ([created("a", __file__ + "/x")], "is not a folder"),
    ],
)
def test_what_cannot_be_kept_is_said_before_anything_is_made(changes: list[Change], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        SecretWriter(changes, None, None).check()


def test_a_new_secret_may_take_the_place_of_the_one_that_it_voids(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    change = created("a.example.org", file, action=Action.ROTATE)
    secret_writer = SecretWriter([change], None, None)
    secret_writer.check()
    secret_writer(change, "new")
    assert file.read_text() == "new\n"


def test_a_file_of_the_host_s_name_in_the_folder_has_a_secret_of_a_host_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a.example.org").write_text("old")
    secret_writer = SecretWriter([created("a.example.org")], str(tmp_path), None)
    secret_writer.check()
    secret_writer(created("a.example.org"), "new")
    assert (tmp_path / "a.example.org").read_text() == "new\n"


def test_a_vault_is_written_encrypted_and_none_is_not_written(tmp_path: Path) -> None:
    encrypted = created("a.example.org", tmp_path / "v", kind="vault")
    nothing = created("b.example.org", "", kind="none")
    writer = SecretWriter([encrypted, nothing], str(tmp_path / "more"), encrypt=lambda content: b"$" + content[::-1])
    writer.check()
    for change in (encrypted, nothing):
        writer(change, "abc")
    assert (tmp_path / "v").read_text() == "$\ncba"
    assert mode(tmp_path / "v") == 0o600
    assert not (tmp_path / "more").exists()
    assert (writer.dropped, writer.without_destination(), writer.returned) == ([], [], {})


def test_a_vault_without_a_password_is_told_before_anything_is_made(tmp_path: Path) -> None:
    def refuse(_content: bytes) -> bytes:
        raise SyncError("there is no password")

    writer = SecretWriter([created("a.example.org", tmp_path / "v", kind="vault")], encrypt=refuse)
    with pytest.raises(DeclarationError, match=r"secret\.vault: there is no password"):
        writer.check()
