# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the zones that are made on our own BIND."""

from pathlib import Path

import pytest

from ddnsd import settings
from ddnsd.dns.bind.zonefile import NameServer
from ddnsd.dns.endpoint import Endpoint


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DDNSD_DIR", str(tmp_path))


def test_defaults() -> None:
    loaded = settings.load()
    assert loaded.bind is None
    options = loaded.zone_options
    assert (options.name_servers, options.transfer_key, options.catalog) == ((NameServer("localhost"),), None, None)


def test_bind_gets_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DDNSD_RNDC_KEY", str(tmp_path / "rndc.key"))
    monkeypatch.setenv("DDNSD_PRIMARY", "192.0.2.1:5353")
    monkeypatch.setenv("DDNSD_NAME_SERVERS", "NS1.example.org.=192.0.2.53, ns2.example.net")
    monkeypatch.setenv("DDNSD_TRANSFER_KEY", "Transfer.")
    monkeypatch.setenv("DDNSD_CATALOG_ZONE", "catalog.INVALID.")
    bind = settings.load().bind
    assert bind is not None
    assert (bind.options.transfer_key, bind.options.catalog) == ("transfer", "catalog.invalid")
    assert bind.options.name_servers == (NameServer("ns1.example.org", ("192.0.2.53",)), NameServer("ns2.example.net"))
    assert bind.options.primary == Endpoint("192.0.2.1", 5353)


def test_mistakes_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDNSD_NAME_SERVERS", "ns1.example.org=192.0.2.300")
    monkeypatch.setenv("DDNSD_TRANSFER_KEY", 'a"; }')
    monkeypatch.setenv("DDNSD_CATALOG_ZONE", "two words")
    with pytest.raises(settings.SettingsError) as caught:
        settings.load()
    for name in ("DDNSD_NAME_SERVERS: '192.0.2.300'", "DDNSD_TRANSFER_KEY:", "DDNSD_CATALOG_ZONE: 'two words'"):
        assert name in str(caught.value)
    monkeypatch.setenv("DDNSD_NAME_SERVERS", " ,")
    with pytest.raises(settings.SettingsError, match="at least one name server"):
        settings.load()
