# SPDX-License-Identifier: GPL-3.0-or-later
"""How often codes of returning browsers are shown to a provider.

A code that the provider refuses spends the sign-in that it belongs to: no second code of that sign-in is tried. Codes
from an address with many refused ones take turns. So a stranger there delays a sign-in, and does not stop it.
"""

from collections import OrderedDict

from ddnsd.auth.failure_counter import FailureCounter
from ddnsd.auth.throttle import REMEMBERED, Turns

TURN_SECONDS, LONGEST_TURN = 0.5, 3.0
"""From an address with many refused codes one is tried so often; the next ones wait so long at most."""

NAME = "sign-in"


class Callbacks:
    """`guard` counts refused codes by address."""

    def __init__(self, guard: FailureCounter, turns: Turns | None = None) -> None:
        self._guard, self._turns = guard, turns or Turns(TURN_SECONDS, LONGEST_TURN)
        self._spent: OrderedDict[str, None] = OrderedDict()

    def is_spent(self, state: str) -> bool:
        """Whether a code of this sign-in was refused already."""
        return state in self._spent

    async def may_ask(self, client_ip: str) -> bool:
        """Wait for a turn where the address needs one; False: too many wait."""
        return not self._guard.locked(NAME, client_ip) or await self._turns.take(client_ip)

    def refused(self, state: str, client_ip: str) -> None:
        """The provider has refused a code of this sign-in."""
        self._guard.failed(NAME, client_ip)
        self._spent[state] = None
        if len(self._spent) > REMEMBERED:
            self._spent.popitem(last=False)
