# SPDX-License-Identifier: GPL-3.0-or-later
"""The features that the modules support."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes of the modules that make changes, and as `INFO` of those that only read."""

    DOCUMENTATION = r"""
attributes:
  action:
    description: Indicates this has a corresponding action plugin so some parts of the options can be executed
      on the controller.
    support: full
  async:
    description: Supports being used with the C(async) keyword.
    support: full
    details: An asynchronous task runs as a module.
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff
      mode.
    support: full
    details: The difference is the same in check mode. It contains no secrets.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates
      no change.
    support: full
"""

    INFO = r"""
attributes:
  action:
    description: Indicates this has a corresponding action plugin so some parts of the options can be executed
      on the controller.
    support: full
  async:
    description: Supports being used with the C(async) keyword.
    support: full
    details: An asynchronous task runs as a module.
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
    details: The module changes nothing.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff
      mode.
    support: N/A
    details: The module changes nothing.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates
      no change.
    support: full
"""

    GROUP = r"""
attributes:
  action_group:
    description: Use C(group/fedcloud.ddns.ddns) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - fedcloud.ddns.ddns
"""
