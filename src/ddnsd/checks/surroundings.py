# SPDX-License-Identifier: GPL-3.0-or-later
"""What surrounds the service, and what the settings say of it: the subjects of the checks."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ddnsd.checks.backup import Job
from ddnsd.checks.certificate import Front
from ddnsd.checks.findings import Check, Finding
from ddnsd.dns.bind.control import Bind
from ddnsd.dns.endpoint import Endpoint

SHOWN = 5


@dataclass(frozen=True)
class Surroundings:
    """`front` is None if its certificate is not checked. `jobs` are those of backups.

    `folders` are on the disks to check, by the name of their use. `bind` is the BIND that the service controls.
    `resolver` is asked for DS records; None: that of the system.
    """

    front: Front | None = None
    jobs: tuple[Job, ...] = ()
    folders: Mapping[str, Path] = field(default_factory=dict)
    bind: Bind | None = None
    resolver: Endpoint | None = None

    async def strangers(self, domains: Collection[str]) -> set[str]:
        """The zones that BIND has from this service, and that are none of these domains of the database."""
        return set() if self.bind is None else await asyncio.to_thread(self.bind.zones) - set(domains)


def of_strangers(zones: Collection[str]) -> Finding:
    """The finding of zones that BIND has and the database does not have."""
    shown = ", ".join(sorted(zones)[:SHOWN]) + (", …" if len(zones) > SHOWN else "")
    return Finding(
        Check.CONTENTS,
        "database and BIND",
        f"BIND has the zones {shown}, which the database does not have: is this the right database? Compare "
        "DDNSD_DATABASE_URL (`ddnsd settings`) with the former one, or restore a backup. If you do not need these "
        "zones, delete them (`rndc delzone -clean ZONE`) and their files in keys/",
    )
