#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manages a token of a Dynamic DNS service."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_token
short_description: Manage a token for the API of a Dynamic DNS service
version_added: 0.1.0
description:
  - A token is for pipelines and programs. It can do no more than the token of O(api_token), and is deleted with it.
  - Options that are not set are not compared. The service cannot change a token. If it is not as declared, another one
    with a new secret replaces it.
  - People sign in by OpenID Connect, and need no token of this module.
  - The module fails with EGI's service, whose tokens come from its identity provider.
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
      - The token's name, unique among your tokens. It must not be the token of O(api_token).
    type: str
    required: true
  scopes:
    description:
      - What it may do. A new token has V(read) and V(write).
    type: list
    elements: str
    choices: [read, write, admin]
  domains:
    description:
      - Patterns such as C(*.example.org). The token is for these domains. An empty list does not limit it.
    type: list
    elements: str
  hosts:
    description:
      - Patterns such as C(web-*.dyn.example.org). The token is for these hosts. An empty list does not limit it.
    type: list
    elements: str
  networks:
    description:
      - Networks from which it is accepted. An empty list does not limit it.
    type: list
    elements: str
  expires:
    description:
      - When it stops working, with a time zone, such as C(2027-01-31T12:00:00Z).
      - A token that has expired is replaced.
    type: str
seealso:
  - module: fedcloud.ddns.ddns_token_info
  - module: fedcloud.ddns.ddns_key
"""

EXAMPLES = r"""
- name: Make a token with which a pipeline can plan
  fedcloud.ddns.ddns_token:
    name: ci-plan
    scopes: [read]
    hosts: ["web-*.dyn.example.org"]
    secret:
      file: /etc/ddns/ci-plan

- name: Accept it from the runners alone
  fedcloud.ddns.ddns_token:
    name: ci-plan
    networks: [127.0.0.0/8, 192.0.2.0/24]
    secret:
      file: /etc/ddns/ci-plan

- name: Delete it
  fedcloud.ddns.ddns_token:
    name: ci-plan
    state: absent
"""

RETURN = r"""
token:
  description: The token as it is registered, without its secret. In check mode, as it would be.
  type: dict
  returned: success and O(state) is not V(absent)
  sample:
    id: "7"
    name: ci-plan
    scopes: [read]
    domains: []
    hosts: ["web-*.dyn.example.org"]
    networks: []
    expires: null
    created: "2026-01-31T12:00:00Z"
    last_used: "2026-02-01T06:30:00Z"
secret:
  description:
    - The new token, as in the file of O(secret). It cannot be read again later, so save it.
  type: str
  returned: if one was made, O(secret) is not set, and O(return_secrets=true)
  sample: ddns_the-new-token
diff:
  description: The changes as YAML, before and after. It is the same in check mode. Both are empty without changes.
  type: dict
  returned: success
  sample:
    before: ""
    after: |
      token ci-plan:
        scopes: ["read"]
        hosts: ["web-*.dyn.example.org"]
        secret: (new secret → file /etc/ddns/ci-plan)
"""

from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible import token
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.module import run


def main() -> None:
    """Run the module."""
    run(token.SPEC, token.run)


if __name__ == "__main__":
    main()
