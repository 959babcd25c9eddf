# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses that were not used before: an update to the same address costs a name server next to nothing."""

import itertools

REVERSE_ZONE = "10.in-addr.arpa"
"""The reverse zone of all of them."""

_numbers = itertools.count(1)


def fresh() -> str:
    """An address in 10/8 that this process has not had; they begin anew after 16 millions."""
    n = next(_numbers) & 0xFFFFFF
    return f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"
