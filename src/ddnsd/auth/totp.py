# SPDX-License-Identifier: GPL-3.0-or-later
"""Codes of authenticator apps: TOTP (RFC 6238) with six digits and steps of 30 seconds."""

import hmac
import time

import pyotp

STEP_SECONDS = 30
SLACK_STEPS = 1
"""Steps before and after the current one that are accepted: clocks differ, and typing takes time."""

DIGITS = 6


def new_seed() -> str:
    """A random seed of 160 bits, in base32."""
    return pyotp.random_base32()


def uri(seed: str, user: str, issuer: str) -> str:
    """The `otpauth:` URI that apps read from a QR code."""
    return pyotp.TOTP(seed).provisioning_uri(name=user, issuer_name=issuer)


def is_code(text: str) -> bool:
    """Whether the text looks like a code of an app, and not like a recovery code."""
    digits = "".join(text.split())
    return len(digits) == DIGITS and digits.isascii() and digits.isdigit()


def matching_step(seed: str, code: str, after: int, now: float | None = None) -> int | None:
    """The step whose code this is; None if there is none, or if it is not after the step `after`."""
    digits, current = "".join(code.split()), int((time.time() if now is None else now) // STEP_SECONDS)
    totp, found = pyotp.TOTP(seed), None
    for step in range(current - SLACK_STEPS, current + SLACK_STEPS + 1):
        if (
            hmac.compare_digest(totp.generate_otp(step).encode(), digits.encode("utf-8", "surrogatepass"))
            and step > after
        ):
            found = step
    return found
