#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lists hosts of a Dynamic DNS service."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_host_info
short_description: List hosts of a Dynamic DNS service
version_added: 0.1.0
description:
  - Lists your hosts. An administrator's token lists the hosts of all users. A host is listed if it matches all filters.
author:
  - fedcloud.ddns project (@fedcloud)
extends_documentation_fragment:
  - fedcloud.ddns.connection
  - fedcloud.ddns.attributes.info
  - fedcloud.ddns.attributes.group
options:
  name:
    description:
      - Only hosts with these full names.
    type: list
    elements: str
    aliases: [fqdn]
  domain:
    description:
      - Only hosts in these domains.
    type: list
    elements: str
  stack:
    description:
      - Only hosts of these stacks.
    type: list
    elements: str
  labels:
    description:
      - Only hosts that have all of these labels.
    type: dict
seealso:
  - module: fedcloud.ddns.ddns_host
  - plugin: fedcloud.ddns.ddns
    plugin_type: inventory
"""

EXAMPLES = r"""
- name: List the workers of a stack
  fedcloud.ddns.ddns_host_info:
    stack: web-prod
    labels:
      role: worker
  register: workers

- name: Show their addresses
  ansible.builtin.debug:
    msg: "{{ workers.hosts | items2dict(key_name='fqdn', value_name='ipv4') }}"
"""

RETURN = r"""
hosts:
  description: The hosts, by name.
  type: list
  elements: dict
  returned: success
  sample:
    - fqdn: www.dyn.example.org
      domain: dyn.example.org
      ipv4: 192.0.2.10
      ipv6: "2001:db8::10"
      wildcard: true
      comment: Front end
      ttl: 60
      labels: {role: web}
      records: {}
      stack: web-prod
      protect: false
      ptr: false
      owner: alice
      available: true
      dns: current
      conflict: null
  contains:
    fqdn:
      description: Full name.
      type: str
      returned: always
      sample: www.dyn.example.org
    domain:
      description: The host's domain.
      type: str
      returned: always
      sample: dyn.example.org
    ipv4:
      description:
        - Its IPv4 address, or a list of several. V(null) if it has none, V(unknown) if the service did not report it.
      type: raw
      returned: always
      sample: 192.0.2.10
    ipv6:
      description: Its IPv6 address, with the same special values.
      type: raw
      returned: always
      sample: "2001:db8::10"
    alias:
      description: The full name that it is an alias of. V(null) if it is none.
      type: str
      returned: always
      sample: front.example.net.
    wildcard:
      description: Whether all names below it have its addresses, too.
      type: bool
      returned: always
      sample: true
    comment:
      description: The comment.
      type: str
      returned: always
      sample: Front end
    ttl:
      description: Time to live of its records in seconds. V(null) for the value of the domain.
      type: int
      returned: always
      sample: 60
    labels:
      description: Labels, a mapping of names to text.
      type: dict
      returned: always
      sample: {role: web}
    records:
      description: Its records other than addresses, by C(NAME TYPE). V(unknown) if the service does not report them.
      type: dict
      returned: always
      sample: {"@ TXT": {"values": ["\"v=spf1 -all\""], "ttl": 3600}}
    related:
      description: Interface ids of its related names by label. V(unknown) if the service does not report them.
      type: dict
      returned: always
      sample: {"nas": "::7"}
    stack:
      description: The stack that owns it.
      type: str
      returned: always
      sample: web-prod
    protect:
      description: Whether it cannot be deleted.
      type: bool
      returned: always
      sample: false
    ptr:
      description: Whether its addresses have PTR records with its name, as far as their reverse zones allow it.
      type: bool
      returned: always
      sample: false
    owner:
      description: The user who owns it.
      type: str
      returned: always
      sample: alice
    own:
      description: Whether you own it.
      type: bool
      returned: always
      sample: true
    available:
      description: Whether its address can be updated.
      type: bool
      returned: always
      sample: true
    dns:
      description:
        - The state in DNS. V(current) if the records are published, V(pending) if they are not published yet,
          V(conflict) if the name server refuses them, V(unknown) if the service does not report it.
      type: str
      returned: always
      sample: current
    conflict:
      description: Why the name server refuses its records.
      type: str
      returned: always
      sample: something else already has this name in DNS
"""

from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible import info
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.module import run


def main() -> None:
    """Run the module."""
    run(info.HOSTS, info.hosts)


if __name__ == "__main__":
    main()
