# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's security log, as lines of a table."""

from collections.abc import Iterable
from typing import NamedTuple

from ddnsd.registry.rows import Happened
from ddnsd.web.portal.i18n import N_

LABELS = {
    "session.begin": N_("Signed in"),
    "session.fail": N_("Failed sign-in"),
    "session.end": N_("Signed out"),
    "user.set": N_("Account changed"),
    "factor.add": N_("Second factor added"),
    "factor.rename": N_("Passkey renamed"),
    "factor.delete": N_("Second factor removed"),
    "factor.codes": N_("New recovery codes created"),
    "factor.use-code": N_("Recovery code used"),
    "identity.add": N_("Identity added"),
    "identity.delete": N_("Identity removed"),
    "token.add": N_("Token created"),
    "token.delete": N_("Token deleted"),
    "key.add": N_("Key created"),
    "key.delete": N_("Key deleted"),
    "key.set": N_("Key changed"),
    "dhcp-key.add": N_("DHCP key created"),
    "dhcp-key.delete": N_("DHCP key deleted"),
    "webhook.add": N_("Webhook created"),
    "webhook.set": N_("Webhook changed"),
    "webhook.secret": N_("New secret of a webhook"),
    "webhook.delete": N_("Webhook deleted"),
    "webhook.stop": N_("Webhook switched off by the service"),
    "fleet.add": N_("Fleet created"),
    "fleet.delete": N_("Fleet deleted"),
    "fleet.rotate": N_("Key of a fleet replaced"),
    "fleet.revoke": N_("Device revoked"),
    "fleet.restore": N_("Device accepted again"),
    "fleet.refuse": N_("Device without a host"),
}


class SecurityEvent(NamedTuple):
    """An event; `label` is translated where it is shown. `actor` is None if the user did it."""

    at: int
    label: str
    failed: bool
    detail: str
    actor: str | None
    source: str | None


def lines(events: Iterable[Happened], user: str) -> list[SecurityEvent]:
    """The events of a user's security log."""
    return [
        SecurityEvent(
            event.at,
            LABELS[event.action],
            event.action == "session.fail",
            _detail(event),
            event.actor if event.actor != user else None,
            event.source,
        )
        for event in events
    ]


def _detail(event: Happened) -> str:
    """What the action concerns: the method of a sign-in, or the name of a credential."""
    return event.object if event.action.startswith("key.") else event.detail or ""
