# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits for codes of returning browsers.

A refused code ends its sign-in: no second code of that sign-in is tried. Codes from an address with many refused ones
take turns. So a stranger at the same address can delay a sign-in, but not stop it.
"""

from collections import OrderedDict

from ddnsd.auth.failure_counter import FailureCounter, network
from ddnsd.auth.throttle import REMEMBERED, Turns

TURN_SECONDS, LONGEST_TURN = 0.5, 3.0
"""For an address with many refused codes: interval between two codes, and maximum wait."""

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
        """Wait for a turn if the address needs one. False if too many wait."""
        return not self._guard.locked(NAME, client_ip) or await self._turns.take(network(client_ip))

    def refused(self, state: str, client_ip: str) -> None:
        """Note that the provider refused a code of this sign-in."""
        self._guard.failed(NAME, client_ip)
        self._spent[state] = None
        if len(self._spent) > REMEMBERED:
            self._spent.popitem(last=False)
