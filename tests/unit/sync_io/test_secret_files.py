# SPDX-License-Identifier: GPL-3.0-or-later
"""Files with one secret each: how they are written, and what prevents that."""

import stat
from pathlib import Path

import pytest

from ddnsctl.sync import secret_files
from ddnsctl.sync.secret_files import Destination


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_secret_is_written_for_its_owner_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "secret"
    assert secret_files.read(file) is None
    secret_files.write(file, b"s1\n")
    secret_files.write(file, b"s2\n", durable=False)
    assert (file.read_text(), mode(file), secret_files.read(file)) == ("s2\n", 0o600, "s2")
    assert (mode(file.parent), mode(tmp_path / "new")) == (0o700, 0o700)
    assert [path.name for path in file.parent.iterdir()] == ["secret"]


def test_an_empty_file_contains_no_secret(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    assert secret_files.read(tmp_path / "secret") is None


def test_an_existing_file_is_replaced_only_on_request(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    secret_files.write(file, b"s1", replace=False)
    with pytest.raises(FileExistsError):
        secret_files.write(file, b"s2", replace=False)
    assert file.read_text() == "s1"
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_file_that_others_can_read_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s1")
    file.chmod(0o644)
    assert not secret_files.contains(file, "s1")
    file.chmod(0o600)
    assert secret_files.contains(file, "s1")
    assert not secret_files.contains(file, "s2")


def test_the_block_does_not_run_if_the_folder_is_missing(tmp_path: Path) -> None:
    entered = False
    with pytest.raises(FileNotFoundError), secret_files.new_file(tmp_path / "missing" / "secret"):
        entered = True
    assert not entered


def test_an_error_in_the_block_keeps_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    secret_files.write(file, b"s1")
    with pytest.raises(TypeError), secret_files.new_file(file) as new:
        new.write("no bytes")  # type: ignore[call-overload]
    assert file.read_text() == "s1"
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]


def test_a_folder_that_can_be_made_is_writable(tmp_path: Path) -> None:
    assert secret_files.unwritable(tmp_path / "new" / "folder") == ""
    (tmp_path / "file").write_text("")
    text = f"{tmp_path}/file is not a folder, so no secret can be written to {tmp_path}/file/folder"
    assert secret_files.unwritable(tmp_path / "file" / "folder") == text


def test_everything_that_prevents_writing_is_found(tmp_path: Path) -> None:
    old, shared = tmp_path / "old", tmp_path / "shared"
    old.write_text("")
    problems = secret_files.check(
        [
            Destination("a", old, replaces=False),
            Destination("b", shared, replaces=False),
            Destination("c", tmp_path / "." / "x" / ".." / "shared", replaces=True),
            Destination("d", old / "x", replaces=False),
        ]
    )
    texts = [problem.text for problem in problems]
    assert [text.partition(" ")[0] for text in texts] == ["a", "c:", str(old)]
    assert texts[2].startswith(f"{old} is not a folder")
    assert secret_files.check([Destination("a", old, replaces=True)]) == []
