# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs an operation as a module."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule

from .spec import Spec
from .task import Operation, perform


def run(spec: Spec, operation: Operation) -> None:
    """Read the options, run the operation, print the result, and exit."""
    module = AnsibleModule(supports_check_mode=True, **spec.arguments())
    result = perform(operation, module.params, module.check_mode)
    for warning in result.pop("warnings", []):
        module.warn(warning)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)
