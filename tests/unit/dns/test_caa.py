# SPDX-License-Identifier: GPL-3.0-or-later
"""CAA records: which of them forbid a certificate (RFC 8659, RFC 8657)."""

import pytest

from ddnsd.dns import caa

NAMES = ("ca.example.net",)
ACCOUNT = "https://ca.example.net/acct/1"


def forbids(*texts: str, names: tuple[str, ...] = NAMES, wildcard: bool = False) -> str | None:
    return caa.forbids([caa.of_text(text) for text in texts], names, ACCOUNT, wildcard=wildcard)


@pytest.mark.parametrize(
    "texts",
    [
        (),
        ('0 iodef "mailto:a@example.org"',),
        ('0 issue "ca.example.net"',),
        ('0 issue "CA.example.net."',),
        ('0 ISSUE "ca.example.net"',),
        ('0 issue "other.example.net"', '0 issue "ca.example.net"'),
        (f'0 issue "ca.example.net; accounturi={ACCOUNT}"',),
        ('0 issue "ca.example.net; validationmethods=http-01,DNS-01"',),
        ('0 issue "ca.example.net;"',),
        ('0 issuewild ";"',),
        ('0 unknown "x"',),
        ('128 issue "ca.example.net"',),
    ],
)
def test_records_that_allow_the_name(texts: tuple[str, ...]) -> None:
    assert forbids(*texts) is None


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (('0 issue ";"',), '";"'),
        (('0 issue "other.example.net"', '0 issue "third.example.net"'), '"other.example.net", "third.example.net"'),
        (('0 issue "ca.example.net; accounturi=https://ca.example.net/acct/2"',), "acct/2"),
        (('0 issue "ca.example.net; validationmethods=http-01"',), "http-01"),
        (('128 unknown "x"', '0 issue "ca.example.net"'), "128 unknown"),
    ],
)
def test_records_that_forbid_the_name(texts: tuple[str, ...], said: str) -> None:
    assert said in (forbids(*texts) or "")


def test_a_wildcard_has_records_of_its_own() -> None:
    assert forbids('0 issue "ca.example.net"', wildcard=True) is None
    assert forbids('0 issue "other.example.net"', wildcard=True) == '"other.example.net"'
    assert forbids('0 issue "other.example.net"', '0 issuewild "ca.example.net"', wildcard=True) is None
    assert forbids('0 issue "ca.example.net"', '0 issuewild ";"', wildcard=True) == '";"'


def test_an_authority_without_a_name_is_meant_by_every_name() -> None:
    assert forbids('0 issue "other.example.net"', names=()) is None
    assert forbids('0 issue ";"', names=()) == '";"'
