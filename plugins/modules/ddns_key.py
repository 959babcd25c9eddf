#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manages a key of a Dynamic DNS service."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_key
short_description: Manage a key with which a program updates several hosts at a Dynamic DNS service
version_added: 0.1.0
description:
  - A key is a user name and a secret for C(/nic/update), for a group of your hosts. It keeps its secret if its hosts
    change.
  - The module fails with EGI's service, which has no keys.
author:
  - fedcloud.ddns project (@fedcloud)
extends_documentation_fragment:
  - fedcloud.ddns.credential
  - fedcloud.ddns.connection
  - fedcloud.ddns.attributes
  - fedcloud.ddns.attributes.group
options:
  name:
    description:
      - The key's name. If several keys have it, V(absent) deletes all of them, and other states fail.
    type: str
    required: true
  hosts:
    description:
      - All hosts of the key, by full name, or names without a dot in O(domain). They must be yours.
      - Required for a new key.
    type: list
    elements: str
  domain:
    description:
      - The domain of names without a dot.
    type: str
seealso:
  - module: fedcloud.ddns.ddns_secret
  - module: fedcloud.ddns.ddns_token
"""

EXAMPLES = r"""
- name: Give the router a key for two hosts
  fedcloud.ddns.ddns_key:
    name: router
    hosts: [cam, nas]
    domain: dyn.example.org
    secret:
      file: /etc/ddns/router

- name: Replace its secret, because others may know it
  fedcloud.ddns.ddns_key:
    name: router
    state: rotated
    secret:
      file: /etc/ddns/router

- name: Delete the key
  fedcloud.ddns.ddns_key:
    name: router
    state: absent
"""

RETURN = r"""
key:
  description: The key as it is registered. In check mode, as it would be.
  type: dict
  returned: success and O(state) is not V(absent)
  sample:
    name: router
    login: k-7c0a5c2e
    hosts: [cam.dyn.example.org, nas.dyn.example.org]
    created: "2026-01-31T12:00:00Z"
  contains:
    name:
      description: Its name.
      type: str
      returned: always
      sample: router
    login:
      description: The user name for C(/nic/update).
      type: str
      returned: if the key exists
      sample: k-7c0a5c2e
    hosts:
      description: Full names of its hosts.
      type: list
      elements: str
      returned: always
      sample: [cam.dyn.example.org, nas.dyn.example.org]
    created:
      description: When it was created.
      type: str
      returned: if the key exists
      sample: "2026-01-31T12:00:00Z"
secret:
  description:
    - The new key as C(LOGIN:SECRET), as in the file of O(secret). It cannot be read again later, so save it.
  type: str
  returned: if one was made, O(secret) is not set, and O(return_secrets=true)
  sample: k-7c0a5c2e:the-new-secret
diff:
  description: The changes as YAML, before and after. It is the same in check mode. Both are empty without changes.
  type: dict
  returned: success
  sample:
    before: ""
    after: |
      key router:
        hosts: ["cam.dyn.example.org", "nas.dyn.example.org"]
        secret: (new secret → file /etc/ddns/router)
"""

from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible import key
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.module import run


def main() -> None:
    """Run the module."""
    run(key.SPEC, key.run)


if __name__ == "__main__":
    main()
