#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lists tokens of a Dynamic DNS service."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_token_info
short_description: List your tokens at a Dynamic DNS service
version_added: 0.1.0
description:
  - Lists the tokens of the user of O(api_token), without their secrets.
  - If that token is limited, only those are listed that can do no more.
author:
  - fedcloud.ddns project (@fedcloud)
extends_documentation_fragment:
  - fedcloud.ddns.connection
  - fedcloud.ddns.attributes.info
  - fedcloud.ddns.attributes.group
options:
  name:
    description:
      - Only tokens with these names.
    type: list
    elements: str
seealso:
  - module: fedcloud.ddns.ddns_token
"""

EXAMPLES = r"""
- name: List the tokens
  fedcloud.ddns.ddns_token_info:
  register: ddns

- name: Show those that nobody has used yet
  ansible.builtin.debug:
    msg: "{{ ddns.tokens | selectattr('last_used', 'none') | map(attribute='name') }}"
"""

RETURN = r"""
tokens:
  description: The tokens, by name.
  type: list
  elements: dict
  returned: success
  sample:
    - id: "7"
      name: ci-plan
      scopes: [read]
      domains: []
      hosts: ["web-*.dyn.example.org"]
      networks: []
      expires: null
      created: "2026-01-31T12:00:00Z"
      last_used: "2026-02-01T06:30:00Z"
"""

from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible import token
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.module import run


def main() -> None:
    """Run the module."""
    run(token.INFO, token.info)


if __name__ == "__main__":
    main()
