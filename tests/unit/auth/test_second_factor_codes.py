# SPDX-License-Identifier: GPL-3.0-or-later
"""Codes of apps, recovery codes, and the keys that seal seeds."""

from pathlib import Path

import pyotp
import pytest

from ddnsd.auth import recovery_codes, totp
from ddnsd.auth.sealing import BadKeyFile, SealingKeys

SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"  # "12345678901234567890", the secret of RFC 6238
OLD, NEW = "11" * 32, "22" * 32


@pytest.mark.parametrize(("moment", "code"), [(59, "287082"), (1111111109, "081804"), (20000000000, "353130")])
def test_the_examples_of_the_rfc(moment: int, code: str) -> None:
    assert totp.matching_step(SEED, code, 0, moment) == moment // 30


def test_a_code_matches_one_step_around_now_and_later_than_the_last() -> None:
    codes = {step: pyotp.TOTP(SEED).generate_otp(step) for step in range(98, 103)}
    found = {step: totp.matching_step(SEED, code, 0, 3000) for step, code in codes.items()}
    assert found == {98: None, 99: 99, 100: 100, 101: 101, 102: None}
    assert totp.matching_step(SEED, codes[100], 99, 3000) == 100
    assert totp.matching_step(SEED, codes[100], 100, 3000) is None
    assert totp.matching_step(SEED, codes[99], 100, 3000) is None
    for text in ("", "1", codes[100] + "0", "\ud800", "٠" * 6):
        assert totp.matching_step(SEED, text, 0, 3000) is None


def test_what_looks_like_a_code_of_an_app() -> None:
    assert all(map(totp.is_code, ("123456", " 123 456 ")))
    assert not any(map(totp.is_code, ("12345", "1234567", "12345a", "٠" * 6, "")))


def test_recovery_codes() -> None:
    codes = recovery_codes.new_codes()
    assert len(set(codes)) == recovery_codes.COUNT
    for code in codes:
        hashed = recovery_codes.code_digest(code)
        assert hashed is not None
        assert hashed == recovery_codes.code_digest(f" {code.upper().replace('-', ' ')}")
    assert len({recovery_codes.code_digest(code) for code in codes}) == len(codes)
    assert [recovery_codes.code_digest(text) for text in ("", "abc", codes[0] + "2", "ä" * 16)] == [None] * 4


def keys(folder: Path, *lines: str) -> SealingKeys:
    file = folder / "key"
    file.write_text("".join(f"{line}\n" for line in lines))
    return SealingKeys.from_file(file)


def test_a_new_key_before_the_old_one_opens_both(tmp_path: Path) -> None:
    old, both, new = keys(tmp_path, OLD), keys(tmp_path, NEW, OLD), keys(tmp_path, NEW)
    sealed = old.seal("totp", 7, SEED)
    assert SEED not in sealed
    assert [k.unseal("totp", 7, sealed) for k in (old, both, new)] == [SEED, SEED, None]
    assert [k.unseal("totp", 7, both.seal("totp", 7, SEED)) for k in (old, both, new)] == [None, SEED, SEED]


def test_a_sealed_seed_is_of_one_user_and_purpose(tmp_path: Path) -> None:
    found = keys(tmp_path, OLD)
    sealed = found.seal("totp", 7, SEED)
    assert found.unseal("totp", 8, sealed) is None
    assert found.unseal("new totp", 7, sealed) is None
    for text in ("", "x", sealed[:-2], "a.b.c.d.e", "ä" * 100):
        assert found.unseal("totp", 7, text) is None


@pytest.mark.parametrize("lines", [[], ["x"], ["11" * 31], [OLD, "22"], ["zz" * 32]])
def test_files_that_hold_no_key(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(BadKeyFile, match="64 hexadecimal digits"):
        keys(tmp_path, *lines)
