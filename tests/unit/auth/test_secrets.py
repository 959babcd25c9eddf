# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets are long, plain to every shell and URL, and kept as a hash."""

import math
import re

from ddnsd.auth.secrets import ALPHABET, LENGTH, digest, matches, new_login, new_secret, new_token, verifier


def test_at_least_128_bits() -> None:
    assert LENGTH * math.log2(len(set(ALPHABET))) >= 128
    assert len({new_secret() for _ in range(100)}) == 100


def test_no_character_needs_quoting() -> None:
    assert re.fullmatch(r"[A-Za-z0-9]{24}", new_secret())
    assert re.fullmatch(r"ddns_[A-Za-z0-9]{32}", new_token())
    assert re.fullmatch(r"k-[a-z0-9]{8}", new_login())


def test_a_hash_is_kept() -> None:
    secret = new_secret()
    assert len(verifier(secret)) == 32
    assert matches(secret, verifier(secret))
    assert not matches(secret + "x", verifier(secret))
    assert not matches("", verifier(secret))
    assert not matches(secret, digest(secret)), "the TSIG secret is not what is stored"
