# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_certificate` in the controller's process."""

from __future__ import annotations

from ..module_utils._ansible import certificate
from ..module_utils._ansible.task import Operation
from ..plugin_utils._action import DdnsAction


class ActionModule(DdnsAction):
    """Runs the module's operation."""

    spec = certificate.SPEC
    writes_files = True

    def operation(self) -> Operation:
        """The operation of the module."""
        return certificate.run
