# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to a primary, signed as our messages are."""

from ddnsd.dns.connection import PrimaryConnection
from ddnsd.dns.message import Signed
from ddnsd.dns.tsig import TsigKey


async def ask(primary: PrimaryConnection, key: TsigKey, name: str, rtype: str, seconds: float) -> list[str]:
    """The records of that name and type, as texts. Raises DnsError."""
    question = Signed.query(name, rtype, key)
    answer = question.read(await primary.exchange(question.wire, seconds))
    return [rdata.to_text() for rrset in answer.answer for rdata in rrset]
