# SPDX-License-Identifier: GPL-3.0-or-later
"""User agents that the operator treats differently."""

from collections.abc import Sequence

from ddnsd.registry.denylist import DenyList


class Agents:
    """User agents by their beginnings, in any case: denied, and those that see error words with an error status."""

    def __init__(
        self,
        deny: Sequence[str] = (),
        *,
        required: bool = False,
        true_status: Sequence[str] = (),
        also: DenyList | None = None,
    ) -> None:
        self._deny, self._also = tuple(d.lower() for d in deny), also or DenyList()
        self._true_status = tuple(t.lower() for t in true_status)
        self._required = required

    def refused(self, agent: str) -> bool:
        """Whether the agent is denied, or missing where one is required."""
        missing = self._required and not agent.strip()
        return missing or agent.lower().startswith(self._deny) or agent.lower().startswith(self._also.agents)

    def sees_status(self, agent: str) -> bool:
        """Whether the agent reads the status rather than the body."""
        return agent.lower().startswith(self._true_status)
