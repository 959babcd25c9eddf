# SPDX-License-Identifier: GPL-3.0-or-later
"""A browser's sign-in in its cookie, and the paths that it may lead to."""

import json
import time
from base64 import urlsafe_b64encode
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnsd.auth.oidc.login_state import SECONDS, LoginState, local_path


@pytest.mark.parametrize("path", ["/", "/hosts", "/hosts?q=a&b=c%20d", "/hosts/a.example.org/history?after=7", "/a//b"])
def test_paths_of_this_site(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        None,
        "",
        "hosts",
        "//evil.example.org",
        "/\\evil.example.org",
        "\\\\evil.example.org",
        "https://evil.example.org",
        "///evil.example.org",
        "/\t/evil.example.org",
        "/\n/evil",
        " /hosts",
        "/a b",
        "javascript:alert(1)",
        "/ü",
        "http:evil",
        "/a\\..\\b",
        "/" + "a" * 1000,
        "/\0",
        "/a\r\nSet-Cookie: x=y",
        "@evil.example.org",
        "?q",
    ],
)
def test_paths_that_could_lead_elsewhere(path: str | None) -> None:
    assert local_path(path) == "/"


@given(st.text(max_size=40))
def test_a_path_begins_with_one_slash(text: str) -> None:
    found = local_path(text)
    assert found[0] == "/"
    assert found[1:2] not in ("/", "\\")
    assert "\\" not in found
    assert found.isascii()
    assert found.isprintable()


def test_a_cookie_brings_it_back() -> None:
    attempt = LoginState.new("campus", "/hosts?q=a", 7)
    assert LoginState.from_cookie(attempt.to_cookie()) == attempt
    assert not set(attempt.to_cookie()) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
    assert LoginState.new(next_path="//evil.example.org").next == "/"


def test_all_that_follows_from_the_seed_differs() -> None:
    one, two = LoginState.new("campus"), LoginState.new("campus")
    derived = [v for a in (one, two) for v in (a.seed, a.state, a.nonce, a.verifier, a.csrf)]
    assert len(set(derived)) == 10
    assert {len(value) for value in derived} == {43}  # 256 bits, as RFC 7636 wants of a verifier
    assert replace(one, provider="other").state == one.state


def cookie(attempt: LoginState, **changed: Any) -> str:
    return urlsafe_b64encode(json.dumps(asdict(attempt) | changed).encode()).decode()


@pytest.mark.parametrize(
    "changed",
    [
        {"next": "//evil.example.org"},
        {"next": None},
        {"next": 7},
        {"seed": ""},
        {"seed": "short"},
        {"seed": None},
        {"seed": "\ud800" * 43},
        {"began": 0},
        {"began": 10**400},
        {"began": -(10**400)},
        {"began": "now"},
        {"began": True},
        {"provider": None},
        {"link": "7"},
        {"link": [7]},
    ],
    ids=lambda changed: ascii(changed)[:40],
)
def test_cookies_of_others(changed: dict[str, Any]) -> None:
    attempt = LoginState.new("campus")
    assert LoginState.from_cookie(cookie(attempt)) == attempt
    assert LoginState.from_cookie(cookie(attempt, **changed)) is None


@pytest.mark.parametrize("value", [None, "", "x", "W10", "e30", "ü", "=" * 20, "A" * 5000, "bnVsbA"])
def test_cookies_that_are_none(value: str | None) -> None:
    assert LoginState.from_cookie(value) is None


def test_it_takes_ten_minutes_at_most() -> None:
    attempt, now = LoginState.new(), int(time.time())
    assert LoginState.from_cookie(cookie(attempt, began=now - SECONDS + 30)) is not None
    assert LoginState.from_cookie(cookie(attempt, began=now - SECONDS - 1)) is None
    assert LoginState.from_cookie(cookie(attempt, began=now + 60)) is None
