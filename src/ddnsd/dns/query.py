# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed queries to a primary."""

from ddnsd.dns.connection import PrimaryConnection
from ddnsd.dns.message import Signed
from ddnsd.dns.tsig import TsigKey


async def ask(primary: PrimaryConnection, key: TsigKey, name: str, rtype: str, seconds: float) -> list[str]:
    """The records of this name and type, as texts. Raises DnsError."""
    question = Signed.query(name, rtype, key)
    answer = question.read(await primary.exchange(question.wire, seconds))
    return [rdata.to_text() for rrset in answer.answer for rdata in rrset]
