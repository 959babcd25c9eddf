# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of every module."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

from .spec import Spec
from .task import Operation, perform


def run(spec: Spec, operation: Operation) -> None:
    """Read the options from the controller, run, answer, exit."""
    module = AnsibleModule(supports_check_mode=True, **spec.arguments())
    result = perform(operation, module.params, module.check_mode)
    for warning in result.pop("warnings", []):
        module.warn(warning)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)
