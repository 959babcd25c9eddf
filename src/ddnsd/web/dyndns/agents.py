# SPDX-License-Identifier: GPL-3.0-or-later
"""User agents that the operator treats differently."""

from collections.abc import Sequence

from ddnsd.registry.denylist import DenyList


class Agents:
    """User agents by their beginning, in any case: denied ones, and those that get errors with an error status."""

    def __init__(
        self,
        deny: Sequence[str] = (),
        *,
        required: bool = False,
        true_status: Sequence[str] = (),
        also: DenyList | None = None,
    ) -> None:
        self._also = also or DenyList()
        self.use(deny, required=required, true_status=true_status)

    def use(self, deny: Sequence[str], *, required: bool, true_status: Sequence[str]) -> None:
        """Apply these lists from now on."""
        self._deny, self._required = tuple(d.lower() for d in deny), required
        self._true_status = tuple(t.lower() for t in true_status)

    def refused(self, agent: str) -> bool:
        """Whether the agent is denied, or missing where one is required."""
        missing = self._required and not agent.strip()
        return missing or agent.lower().startswith(self._deny) or agent.lower().startswith(self._also.agents)

    def sees_status(self, agent: str) -> bool:
        """Whether the agent reads the status rather than the body."""
        return agent.lower().startswith(self._true_status)
