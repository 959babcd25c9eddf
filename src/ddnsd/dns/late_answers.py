# SPDX-License-Identifier: GPL-3.0-or-later
"""Find primaries that acknowledge an update before their answers have it.

BIND does so with `inline-signing`: it applies updates to the unsigned zone, and answers from a signed copy that follows
a moment later. With a `dnssec-policy` this is the default from BIND 9.20 on.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ddnsd.db.rows import Domain
from ddnsd.dns import errors
from ddnsd.dns.connection import PrimaryConnection, addresses, ask
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.message import Update
from ddnsd.dns.tsig import TsigKey

SECONDS = 5.0
TRIES = 12
"""Updates to try, each on a new connection: on some, BIND updates the signed copy before it reads the next query."""
LONGEST = 2.0


async def note(domain: Domain) -> str | None:
    """A note for the operator if answers follow late, or None. Raises DnsError."""
    late = await delay(domain)
    if late is None:
        return None
    seen = f"had a change {max(1, round(late * 1000))} ms" if late else "may have a change some milliseconds"
    return (
        f"answers {seen} after its acknowledgement, because the zone has inline signing; `inline-signing no;` in the "
        "zone's statement ends this"
    )


async def delay(domain: Domain) -> float | None:
    """The seconds after an acknowledgement until an answer had the change; None for a zone without inline signing.

    Such a zone is not changed. In others, an address is added at a new name, and removed again. Zero if each of some
    changes was there at once.
    Raises DnsError.
    """
    with _connected(domain) as connection:
        if not await signs_a_copy(domain, connection):
            return None
    name = f"ddnsd-check-{secrets.token_hex(8)}.{domain.name}"
    try:
        for number in range(1, TRIES + 1):
            with _connected(domain) as connection:
                if late := await _delay_of(domain, connection, name, f"192.0.2.{number}"):
                    return late
    finally:
        with _connected(domain) as connection:
            await _send(domain, connection, Update(domain.name).replace(name, 0, None, None))
    return 0.0


async def signs_a_copy(domain: Domain, connection: PrimaryConnection) -> bool:
    """Whether answers have DNSKEY records that the zone does not have for updates. Changes nothing. Raises DnsError."""
    zone = domain.name
    if not await ask(connection, TsigKey.of(domain), zone, "DNSKEY", SECONDS):
        return False
    try:
        await _send(domain, connection, Update(zone).require_rrset(zone, "DNSKEY"))
    except errors.PrerequisiteFailed:
        return True
    return False


@contextmanager
def _connected(domain: Domain) -> Iterator[PrimaryConnection]:
    connection = PrimaryConnection(Endpoint.from_text(domain.primary, 53))
    try:
        yield connection
    finally:
        connection.close()


async def _delay_of(domain: Domain, connection: PrimaryConnection, name: str, address: str) -> float:
    """The seconds until an answer had this address; zero if the first answer had it."""
    key = TsigKey.of(domain)
    await _send(domain, connection, Update(domain.name).replace(name, 60, address, None))
    began = time.monotonic()
    if await addresses(connection, key, name, SECONDS) == [address]:
        return 0.0
    current = False
    while not current and time.monotonic() - began < LONGEST:
        current = await addresses(connection, key, name, SECONDS) == [address]
    return time.monotonic() - began


async def _send(domain: Domain, connection: PrimaryConnection, update: Update) -> None:
    message = update.to_wire(TsigKey.of(domain))
    message.verify(await connection.exchange(message.wire, SECONDS))
