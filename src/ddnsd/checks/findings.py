# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of a check: what was checked, and its problem with the next step, or None."""

from enum import StrEnum
from typing import NamedTuple


class Check(StrEnum):
    """What is checked, as `/healthz/dns` and `/metrics` name it."""

    DATABASE = "database"
    CONTENTS = "contents"
    SECONDARY = "secondary"
    DNSSEC = "dnssec"
    CERTIFICATE = "certificate"
    BACKUP = "backup"
    CLOCK = "clock"
    DISK = "disk"


ADVICE = {
    Check.DATABASE: "The database does not accept writes, so updates get 911. Start it, or free its disk.",
    Check.CONTENTS: "The zones have hosts that the database does not have: it may be the wrong database.",
    Check.SECONDARY: "A secondary does not answer, or has an older version of a zone. Check its log.",
    Check.DNSSEC: "Validating resolvers refuse a zone, or will soon. Compare its keys with its DS record.",
    Check.CERTIFICATE: "Clients do not accept the certificate, or will not soon. Renew it, and reload the front.",
    Check.BACKUP: "The last backup failed, or is too old. Check the log of the backup job.",
    Check.CLOCK: "The clock is wrong. Name servers refuse updates if it differs by five minutes. Check NTP.",
    Check.DISK: "A disk is full, or cannot be written. Free space, or check the disk.",
}
"""The cause and the next step, without names: everybody may read them. `ddnsd doctor` has the details."""


class Finding(NamedTuple):
    """A check of `subject`. `problem` says what is wrong and what to do; None if nothing is. `note` is no problem."""

    check: Check
    subject: str
    problem: str | None = None
    note: str | None = None
