# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of devices, their user names, and the time of a signed request."""

import pytest

from ddnsd.auth.device_keys import CLOCK_SECONDS, DeviceKeys, DeviceLogin, device_key, fresh_time, mac_digits, seal
from ddnsd.auth.sealing import SealingKeys
from ddnsd.db import queries
from ddnsd.db.fleets import FleetKey

KEYS = SealingKeys([b"k" * 32])


@pytest.mark.parametrize(
    ("text", "login"),
    [
        ("f-1.001122aabbcc", DeviceLogin(1, "001122aabbcc")),
        ("f-12.001122aabbcc", DeviceLogin(12, "001122aabbcc")),
        ("f-01.001122aabbcc", None),
        ("f-1.001122aabbc", None),
        ("f-1.001122AABBCC", None),
        ("f-1.001122aabbcc.dyn.example.org", None),
        ("f-1.dyn.example.org", None),
        ("k-1.001122aabbcc", None),
    ],
)
def test_logins(text: str, login: DeviceLogin | None) -> None:
    assert DeviceLogin.of_text(text) == login
    assert login is None or str(login) == text


@pytest.mark.parametrize("text", ["00:11:22:aa:bb:cc", "00-11-22-AA-BB-CC", "001122aabbcc", " 00:11:22:aa:bb:cc "])
def test_mac_addresses(text: str) -> None:
    assert mac_digits(text) == "001122aabbcc"


@pytest.mark.parametrize("text", ["", "001122aabb", "00:11:22:aa:bb:cg", "00:11-22:aa:bb:cc", "0011:22:aa:bb:cc"])
def test_what_is_no_mac_address(text: str) -> None:
    assert mac_digits(text) is None


def test_keys_that_have_ended_are_not_accepted() -> None:
    moment = queries.now()
    rows = [
        FleetKey(seal(KEYS, "cams", key), until, "cams", 1, 10)
        for key, until in (("new", None), ("kept", moment + 10**9), ("ended", moment - 1))
    ]
    expected = [device_key(key, "001122aabbcc") for key in ("new", "kept")]
    keys = DeviceKeys(KEYS)
    assert keys.of(rows, "001122aabbcc") == expected
    assert keys.of(rows, "001122aabbcc") == expected
    assert DeviceKeys(None).of(rows, "001122aabbcc") == []
    assert DeviceKeys(SealingKeys([b"x" * 32])).of(rows, "001122aabbcc") == []
    assert keys.of([FleetKey(rows[0].sealed + "x", None, "cams", 1, 10)], "001122aabbcc") == []


def test_a_key_is_that_of_its_own_fleet() -> None:
    row = FleetKey(seal(KEYS, "cams", "key"), None, "other", 1, 10)
    assert DeviceKeys(KEYS).of([row], "001122aabbcc") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1000", 1000),
        (str(1000 - CLOCK_SECONDS), 1000 - CLOCK_SECONDS),
        (str(1000 + CLOCK_SECONDS), 1000 + CLOCK_SECONDS),
        (str(999 - CLOCK_SECONDS), None),
        (str(1001 + CLOCK_SECONDS), None),
        ("+1000", None),
        ("1000.0", None),
        ("\N{ARABIC-INDIC DIGIT ONE}000", None),
        ("", None),
        ("9" * 13, None),
    ],
)
def test_times_of_signed_requests(text: str, found: int | None) -> None:
    assert fresh_time(text, lambda: 1000.0) == found
