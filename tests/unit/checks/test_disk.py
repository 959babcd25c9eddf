# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of disks."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from ddnsd.checks import disk

SIZE = 1_000_000


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, None),
        ({"f_flag": os.ST_RDONLY}, "read-only"),
        ({"f_bavail": SIZE // 50}, "only 78.1 MiB of 3,906.2 MiB are free"),
        ({"f_bavail": SIZE // 50, "f_blocks": 100 * SIZE}, "are free"),
        ({"f_bavail": 4 * SIZE, "f_blocks": 100 * SIZE}, None),
        ({"f_files": 1000, "f_favail": 3}, "only 3 of 1000 files"),
    ],
)
def test_disks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changed: dict[str, int], said: str | None) -> None:
    good = {"f_flag": 0, "f_frsize": 4096, "f_blocks": SIZE, "f_bavail": SIZE // 2, "f_files": 1000, "f_favail": 500}
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(**good | changed))
    finding = disk.examine({"zones": tmp_path})["zones"].finding
    assert finding.subject == f"disk of zones ({tmp_path})"
    assert finding.problem is None if said is None else said in (finding.problem or "")


def test_a_folder_that_is_not_there_is_not_checked(tmp_path: Path) -> None:
    found = disk.examine({"zones": tmp_path / "none", "database": tmp_path})
    assert found.keys() == {"database"}
    assert 0 < found["database"].free <= found["database"].size
