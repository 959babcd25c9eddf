#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manages a host's secret."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_secret
short_description: Keep or replace the secret with which a host updates its address
version_added: 0.1.0
description:
  - A host's secret can be read only once, when it is made. This module keeps a valid secret, and creates a new one
    if it has none.
  - The service checks whether a secret is valid. EGI's service cannot do that. There, a given secret is assumed to be
    valid, with a warning.
author:
  - fedcloud.ddns project (@fedcloud)
extends_documentation_fragment:
  - fedcloud.ddns.connection
  - fedcloud.ddns.attributes
  - fedcloud.ddns.attributes.group
options:
  name:
    description:
      - The host's full name, or a name without a dot in O(domain). It must be registered.
    type: str
    required: true
    aliases: [fqdn]
  domain:
    description:
      - The domain of names without a dot.
    type: str
  state:
    description:
      - V(present) keeps the secret in O(secret), or without it the one in O(path), if it is valid. Otherwise it
        creates a new one.
      - V(rotated) creates a new secret each time. The old one stops working at once.
    type: str
    choices: [present, rotated]
    default: present
  secret:
    description:
      - The secret to keep, if it is valid.
    type: str
  path:
    description:
      - A file on the task's host with the secret and a line break, mode 0600. Its folder must exist.
      - The secret is read from this file. A new secret is written to it and not returned.
    type: path
  return_secrets:
    description:
      - Whether to return a new secret in RV(secret), if O(path) is not set. Ansible prints results, so set C(no_log) on
        such a task.
      - If a new secret is needed, and neither this option nor O(path) is set, the task fails and changes nothing.
    type: bool
    default: false
attributes:
  idempotent:
    support: partial
    details: Not with O(state=rotated), and not without O(secret) and O(path).
seealso:
  - module: fedcloud.ddns.ddns_host
"""

EXAMPLES = r"""
- name: Write a valid secret to the file that the host's updater reads
  fedcloud.ddns.ddns_secret:
    name: www.dyn.example.org
    path: /etc/ddns/secret

- name: Replace the secret, because others may know it
  fedcloud.ddns.ddns_secret:
    name: www.dyn.example.org
    path: /etc/ddns/secret
    state: rotated
"""

RETURN = r"""
fqdn:
  description: The host's full name.
  type: str
  returned: success
  sample: www.dyn.example.org
secret:
  description:
    - The new secret. It cannot be read again later, so save it.
  type: str
  returned: if one was made, O(path) is not set, and O(return_secrets=true)
  sample: the-new-secret
diff:
  description: The changes as YAML, before and after. It is the same in check mode. Both are empty without changes.
  type: dict
  returned: success
  sample:
    before: ""
    after: |
      www.dyn.example.org:
        secret: (new secret)
"""

from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible import secret
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.module import run


def main() -> None:
    """Run the module."""
    run(secret.SPEC, secret.run)


if __name__ == "__main__":
    main()
