# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a primary will take our changes of a zone, and if not, precisely why."""

import secrets
from collections.abc import Iterable

from ddnsd.store.rows import Domain
from ddnsd.zones import errors
from ddnsd.zones.endpoint import Endpoint
from ddnsd.zones.message import Signed, Update
from ddnsd.zones.primary import Primary
from ddnsd.zones.tsig import TsigKey

SECONDS = 5.0


async def accepts_updates(zone: str, primary: str, key: TsigKey) -> None:
    """Add and remove an address in one message, so that nothing changes. Raises DnsError with what is wrong."""
    name = f"ddnsd-check-{secrets.token_hex(8)}.{zone}"
    probe = Update(zone).require_unused(name).replace(name, 60, "192.0.2.1", None).replace(name, 0, None, None)
    await _ask(primary, probe.to_wire(key), zone)


async def in_use(
    domain: Domain, names: Iterable[str], connection: Primary | None = None, seconds: float = SECONDS
) -> bool:
    """Whether one of the names owns any record; asks on `connection` where one is given. Raises DnsError."""
    key = TsigKey.of(domain)
    probe = Update(domain.name)
    for name in names:
        probe.require_unused(name)
    try:
        await _ask(domain.primary, probe.to_wire(key), domain.name, connection, seconds)
    except errors.PrerequisiteFailed:
        return True
    return False


async def _ask(
    primary: str, message: Signed, zone: str, kept: Primary | None = None, seconds: float = SECONDS
) -> None:  # fmt: skip
    connection = kept or Primary(Endpoint.from_text(primary, 53))
    try:
        message.read(await connection.exchange(message.wire, seconds))
    except errors.PrerequisiteFailed:
        raise
    except errors.Refusal as error:
        raise errors.Refusal(error.rcode, f"{primary}: {_explain(error, zone)}") from None
    finally:
        if kept is None:
            connection.close()


def _explain(error: errors.Refusal, zone: str) -> str:
    known = {
        "REFUSED": f"REFUSED: it does not let this key update {zone} (update-policy, allow-update)",
        "NOTAUTH": f"NOTAUTH: it is not the primary of {zone}",
        "NOTIMP": "NOTIMP: it does not take dynamic updates",
        "SERVFAIL": f"SERVFAIL: it cannot update {zone}; its log says why (a folder it may not write?)",
    }
    return known.get(error.rcode, f"{error.rcode}: {error}")
