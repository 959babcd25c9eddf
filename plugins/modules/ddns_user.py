#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manages a user of a Dynamic DNS service."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_user
short_description: Manage a user of a Dynamic DNS service
version_added: 0.1.0
description:
  - Creates, changes, disables or deletes a user. You need an administrator's token without patterns.
  - Options that are not set are not changed. A new user has neither a password nor a token. People sign in by OpenID
    Connect, and have their account after the first sign-in without this module. It is for users of machines, and to
    disable users.
  - The module fails with EGI's service, which has no such function.
author:
  - fedcloud.ddns project (@fedcloud)
extends_documentation_fragment:
  - fedcloud.ddns.connection
  - fedcloud.ddns.attributes
  - fedcloud.ddns.attributes.group
options:
  name:
    description:
      - The user's name.
    type: str
    required: true
  state:
    description:
      - V(present) creates or changes the user. V(absent) deletes the user with all keys and tokens. A user who owns
        domains cannot be deleted, and one who owns hosts only with O(remove_hosts=true).
    type: str
    choices: [present, absent]
    default: present
  admin:
    description:
      - Whether the user is an administrator. A new user is none.
    type: bool
  active:
    description:
      - If V(false), all credentials of the user are refused. A new user is active.
    type: bool
  records:
    description:
      - What to do with the records of the user's hosts while the user is not active.
    type: str
    choices: [keep, remove]
  reason:
    description:
      - Why the user is not active. The user reads it when signing in. Empty text removes it.
    type: str
  remove_hosts:
    description:
      - With O(state=absent), whether to remove the user's hosts, too.
    type: bool
    default: false
seealso:
  - module: fedcloud.ddns.ddns_token
"""

EXAMPLES = r"""
- name: Create a user for the hosts of the lab
  fedcloud.ddns.ddns_user:
    name: lab-hosts

- name: Disable the user, and take the hosts out of DNS
  fedcloud.ddns.ddns_user:
    name: lab-hosts
    active: false
    records: remove
    reason: The lab is closed

- name: Delete the user with all hosts
  fedcloud.ddns.ddns_user:
    name: lab-hosts
    state: absent
    remove_hosts: true
"""

RETURN = r"""
user:
  description: The user as registered. In check mode, as it would be.
  type: dict
  returned: success and O(state=present)
  sample:
    name: lab-hosts
    admin: false
    active: true
    records: keep
    reason: null
    created: "2026-01-31T12:00:00Z"
diff:
  description: The changes as YAML, before and after. It is the same in check mode. Both are empty without changes.
  type: dict
  returned: success
  sample:
    before: |
      user lab-hosts:
        active: true
    after: |
      user lab-hosts:
        active: false
"""

from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible import user
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.module import run


def main() -> None:
    """Run the module."""
    run(user.SPEC, user.run)


if __name__ == "__main__":
    main()
