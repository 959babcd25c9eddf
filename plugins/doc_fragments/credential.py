# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules that make credentials."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of `ddns_key` and `ddns_token`."""

    DOCUMENTATION = r"""
options:
  state:
    description:
      - V(present) creates it, and makes it as declared. If its secret is not in the file of O(secret), another one with
        a new secret replaces it.
      - V(rotated) replaces it each time. The former one stops working.
      - V(absent) deletes it.
    type: str
    choices: [present, absent, rotated]
    default: present
  secret:
    description:
      - Where a new secret is written. Missing folders are created.
      - If a new credential is needed, and neither this option nor O(return_secrets) is set, the task fails and changes
        nothing. The same applies if there is none yet, and the file exists.
    type: dict
    suboptions:
      file:
        description:
          - A file on the task's host, mode 0600.
        type: path
      vault:
        description:
          - A file on the controller, encrypted with the first vault password of the play. The task must run on the
            controller, for example with C(delegate_to=localhost). Its content is not compared.
        type: path
  return_secrets:
    description:
      - Whether to return a new secret in RV(secret), if O(secret) is not set. Ansible prints results, so set
        C(no_log) on such a task.
    type: bool
    default: false
attributes:
  idempotent:
    support: partial
    details: Not with O(state=rotated).
"""
