# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings: environment over file over defaults, and every mistake at once."""

from pathlib import Path

import pytest

from ddnsd import settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DDNSD_DIR", str(tmp_path))


def test_defaults(tmp_path: Path) -> None:
    loaded = settings.load()
    assert loaded.store_url == f"sqlite:///{tmp_path}/ddnsd.db"
    assert loaded.base_url == "http://127.0.0.1:8053"
    assert loaded.rules
    assert settings.load(rules=False).rules is False


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "ddnsd.toml"
    file.write_text('ttl = 30\nlisten = ["[::1]:8245"]\nrules = "off"\n')
    monkeypatch.setenv("DDNSD_CONFIG", str(file))
    monkeypatch.setenv("DDNSD_TTL", "45")
    monkeypatch.setenv("DDNSD_ADDRESS_DENY", "192.0.2.0/24, 2001:db8::/32")
    loaded = settings.load()
    assert (loaded.ttl, loaded.listen, loaded.rules) == (45, ("[::1]:8245",), False)
    assert [str(n) for n in loaded.denied] == ["192.0.2.0/24", "2001:db8::/32"]
    assert [settings.source(n) for n in ("ttl", "listen", "offline")] == ["environment", "file", "default"]


def test_every_mistake_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDNSD_TTTL", "45")
    monkeypatch.setenv("DDNSD_TTL", "many")
    monkeypatch.setenv("DDNSD_HTTP", "nowhere")
    monkeypatch.setenv("DDNSD_TRUSTED_PROXIES", "10.0.0.0/33")
    monkeypatch.setenv("DDNSD_DATABASE_URL", "mysql://u:canary-password@h/d")
    with pytest.raises(settings.SettingsError) as caught:
        settings.load()
    text = str(caught.value)
    for name in (
        "DDNSD_TTTL: no such setting",
        "DDNSD_TTL:",
        "DDNSD_HTTP:",
        "DDNSD_TRUSTED_PROXIES",
        "DDNSD_DATABASE_URL",
    ):
        assert name in text
    assert "canary-password" not in text


def test_an_unknown_name_in_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "ddnsd.toml"
    file.write_text("tttl = 30\n")
    monkeypatch.setenv("DDNSD_CONFIG", str(file))
    with pytest.raises(settings.SettingsError, match="DDNSD_TTTL"):
        settings.load()


def test_the_reference_page_is_current() -> None:
    page = Path(__file__).parents[2] / "docs" / "settings.md"
    assert page.read_text() == settings.reference(), "run: python -m ddnsd.settings > docs/settings.md"
