# SPDX-License-Identifier: GPL-3.0-or-later
"""Slow down failed sign-ins with passkeys, by source. Nobody can guess a signature, so a right one is never refused.

After many failures, the wrong answers of a source take turns. Other sources, and sign-ins with passwords, notice
nothing.
"""

from ddnsd.auth.failed_sign_ins import FailedSignIns, Kind
from ddnsd.auth.failure_counter import FailureCounter, network
from ddnsd.auth.throttle import Turns

TURN_SECONDS, LONGEST_TURN = 0.1, 3.0
"""For a source with many failures: interval between two answers, and maximum wait."""

NAME = "passkey"


class PasskeyThrottle:
    """`guard` counts failures by source, `log` records them."""

    def __init__(self, guard: FailureCounter, log: FailedSignIns, turns: Turns | None = None) -> None:
        self._guard, self._log, self._turns = guard, log, turns or Turns(TURN_SECONDS, LONGEST_TURN)

    async def failed(self, client_ip: str | None, user: str | None = None, user_id: int | None = None) -> bool:
        """Count and log a failure, against the account of the passkey if there is one.

        Wait for a turn if the source needs one. False if too many wait.
        """
        source = client_ip or ""
        slowed = self._guard.locked(NAME, source)
        if client_ip:
            self._guard.failed(NAME, client_ip)
        self._log.note(Kind.PASSKEY, user or "", client_ip, account=user, user_id=user_id)
        return not slowed or await self._turns.take(network(source))
