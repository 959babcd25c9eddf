# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files `ddnsctl fmt` changes, and what it prints."""

from pathlib import Path

import pytest

from ddnsctl.commands.fmt import format_files
from ddnsctl.sync.errors import DeclarationError


def test_what_is_no_yaml_is_not_touched(tmp_path: Path) -> None:
    bad, good = tmp_path / "a.yml", tmp_path / "b.yml"
    bad.write_text("a: [\n")
    good.write_text("a:    1\n")
    with pytest.raises(DeclarationError, match=r"a\.yml:2:1"):
        format_files([str(tmp_path)], check=False, diff=False, sort=False)
    assert good.read_text() == "a:    1\n"


def test_check_and_diff_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.yml"
    file.write_text("version:    1\n")
    assert format_files([str(file)], check=True, diff=False, sort=False) == 1
    assert capsys.readouterr().out == f"{file}\n"
    assert format_files([str(file)], check=False, diff=True, sort=False) == 0
    assert "-version:    1\n+version: 1\n" in capsys.readouterr().out
    assert file.read_text() == "version:    1\n"
    assert format_files([str(file)], check=False, diff=False, sort=False) == 0
    assert file.read_text() == "version: 1\n"
    assert format_files([str(file)], check=True, diff=False, sort=False) == 0
    assert format_files([str(file)], check=False, diff=False, sort=False) == 0
    assert capsys.readouterr().out == f"{file}\n"


@pytest.mark.parametrize("text", ["a:    1\n", "version:   1\nservices: {a:   1}\n", "- version:   1\n", "text\n"])
def test_what_is_no_declaration_is_not_touched(tmp_path: Path, text: str) -> None:
    file = tmp_path / "compose.yml"
    file.write_text(text)
    with pytest.raises(DeclarationError, match="is not a declaration"):
        format_files([str(file)], check=False, diff=False, sort=False)
    assert file.read_text() == text
