#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hosts of a Dynamic DNS service."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_host_info
short_description: Tell which hosts are registered at a Dynamic DNS service
version_added: 0.1.0
description:
  - Lists the caller's hosts, or with an administrator's token everybody's. All filters that are given must hold.
author:
  - fedcloud.ddns project (@fedcloud)
extends_documentation_fragment:
  - fedcloud.ddns.connection
  - fedcloud.ddns.attributes.info
  - fedcloud.ddns.attributes.group
options:
  name:
    description:
      - Only hosts of these full names.
    type: list
    elements: str
    aliases: [fqdn]
  domain:
    description:
      - Only hosts of these domains.
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
- name: The workers of a stack
  fedcloud.ddns.ddns_host_info:
    stack: web-prod
    labels:
      role: worker
  register: workers

- name: Their addresses
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
      stack: web-prod
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
      description: The domain that it lies in.
      type: str
      returned: always
      sample: dyn.example.org
    ipv4:
      description: Its IPv4 address; V(null) when it has none, V(unknown) when the service could not say.
      type: str
      returned: always
      sample: 192.0.2.10
    ipv6:
      description: Its IPv6 address, likewise.
      type: str
      returned: always
      sample: "2001:db8::10"
    wildcard:
      description: Whether every name below it leads to it.
      type: bool
      returned: always
      sample: true
    comment:
      description: A remark.
      type: str
      returned: always
      sample: Front end
    ttl:
      description: Time to live of its records in seconds; V(null) for the domain's.
      type: int
      returned: always
      sample: 60
    labels:
      description: Names with texts.
      type: dict
      returned: always
      sample: {role: web}
    stack:
      description: The stack that owns it.
      type: str
      returned: always
      sample: web-prod
    owner:
      description: Whose it is.
      type: str
      returned: always
      sample: alice
    own:
      description: Whether it is the caller's.
      type: bool
      returned: always
      sample: true
    available:
      description: Whether its address may be updated.
      type: bool
      returned: always
      sample: true
    dns:
      description:
        - Whether DNS has it, V(current), follows, V(pending), or refuses it, V(conflict); V(unknown) when the service
          does not tell.
      type: str
      returned: always
      sample: current
    conflict:
      description: Why the name server refuses it.
      type: str
      returned: always
      sample: something else already has this name in DNS
"""

from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible import info
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.module import run


def main() -> None:
    """Read the options, run, answer."""
    run(info.HOSTS, info.hosts)


if __name__ == "__main__":
    main()
