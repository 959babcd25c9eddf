# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_token_info` in the controller's process."""

from __future__ import annotations

from ..module_utils._ansible import token
from ..module_utils._ansible.task import Operation
from ..plugin_utils._action import DdnsAction


class ActionModule(DdnsAction):
    """Runs the module's operation."""

    spec = token.INFO

    def operation(self) -> Operation:
        """The operation of the module."""
        return token.info
