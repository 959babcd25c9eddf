# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd settings --check` reads another file than the service."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from ddnsd.cli.app import main


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in-use.toml").write_text("ttl = 77\n")
    monkeypatch.setenv("DDNSD_CONFIG", str(tmp_path / "in-use.toml"))
    monkeypatch.setenv("DDNSD_DIR", str(tmp_path))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ttl = 60\n", ""),
        ("ttls = 60\n", "DDNSD_TTLS: no such setting"),
        ("ttl = -1\nnochg_per_hour = 'x'\n", "DDNSD_NOCHG_PER_HOUR: "),
        ("ttl = 60\nttl = 70\n", "DDNSD_CONFIG: Cannot overwrite a value"),
        ("ttl =\n", "DDNSD_CONFIG: Invalid value"),
        ("ttl = '\udcff'\n", "not UTF-8 text"),
    ],
)
def test_a_file_is_checked_before_its_use(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "new.toml").write_bytes(text.encode(errors="surrogateescape"))
    for file, stdin in ((str(tmp_path / "new.toml"), None), ("-", text.encode(errors="surrogateescape"))):
        done = CliRunner().invoke(main, ["settings", "--check", file], input=stdin)
        assert done.exit_code == (1 if reason else 0), done.output
        assert reason in done.output
        assert done.output == "" or reason
    assert "DDNSD_TTL = 77 " in CliRunner().invoke(main, ["settings"]).output, "the service's own"
