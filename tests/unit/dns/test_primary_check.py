# SPDX-License-Identifier: GPL-3.0-or-later
"""A trial tells a key that the name server does not know from values that it does not take."""

from typing import Any, cast

import pytest

from ddnsd.db.rows import Domain
from ddnsd.dns import errors, primary_check
from ddnsd.dns.connection import PrimaryConnection
from ddnsd.dns.tsig import TsigKey

KEY = TsigKey.generate("key", "hmac-sha256")

TXT = primary_check.TriedSet("_x.a.example.org", "TXT", ('"x"',), new=True)


class Refusing:
    """A kept connection to a name server that refuses every message."""

    def __init__(self, error: errors.Refusal) -> None:
        self.error, self.asked = error, 0

    async def exchange(self, wire: bytes, seconds: float) -> bytes:
        self.asked += 1
        raise self.error


def domain() -> Domain:
    fields: dict[str, Any] = dict.fromkeys(Domain._fields)
    fields |= {"key_name": KEY.name, "key_algorithm": KEY.algorithm, "key_secret": KEY.secret}
    return Domain(**fields | {"name": "example.org", "primary": "192.0.2.1:53"})


@pytest.mark.parametrize("error", [errors.BadKey("BADKEY"), errors.BadSignature("BADSIG"), errors.BadTime("BADTIME")])
async def test_what_is_wrong_with_the_key_is_told_as_it_is(error: errors.Refusal) -> None:
    refusing = Refusing(error)
    connection = cast(PrimaryConnection, refusing)
    with pytest.raises(type(error)):
        await primary_check.obstacle_of(domain(), TXT, connection, 1.0)
    assert refusing.asked == 1
    with pytest.raises(type(error)):
        await primary_check.obstacles(domain(), ["a.example.org"], connection, 1.0)
