# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's quotas, as lines of a table."""

from collections.abc import Mapping
from typing import NamedTuple

from ddnsd.registry.quotas import Quota, Usage
from ddnsd.web.portal.i18n import N_

LABELS = {
    Quota.HOSTS: N_("Hosts"),
    Quota.TOKENS: N_("Tokens"),
    Quota.KEYS: N_("Keys"),
    Quota.CHANGES: N_("Changes of one host within an hour"),
    Quota.RECORD_CHANGES: N_("Changes of one host's records within an hour"),
    Quota.API_WRITES: N_("Changes in the portal and by programs within a minute"),
    Quota.ANSWERS: N_("MB of answers stored for repeated calls"),
}


class QuotaLine(NamedTuple):
    """A quota; `label` is translated where it is shown. `limit` None is no limit."""

    label: str
    used: int | None
    limit: int | None


def lines(usage: Mapping[Quota, Usage]) -> list[QuotaLine]:
    """The quotas of a user; none if there are no limits."""
    if all(one.limit is None for one in usage.values()):
        return []
    return [QuotaLine(label, usage[quota].used, usage[quota].limit) for quota, label in LABELS.items()]
