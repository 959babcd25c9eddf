#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host of a Dynamic DNS service."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_host
short_description: Register, change or remove a host at a Dynamic DNS service
version_added: 0.1.0
description:
  - Registers a host under a name, changes it in place, renames it, or removes it with its DNS records.
  - Options that are not given are left alone. For many hosts at once, M(fedcloud.ddns.ddns_sync) asks the service
    once.
author:
  - fedcloud.ddns project (@fedcloud)
extends_documentation_fragment:
  - fedcloud.ddns.connection
  - fedcloud.ddns.attributes
  - fedcloud.ddns.attributes.group
options:
  name:
    description:
      - The host's full name, or one without a dot in O(domain).
    type: str
    required: true
    aliases: [fqdn]
  domain:
    description:
      - The domain of names without a dot.
    type: str
  state:
    description:
      - V(present) registers the host, or changes it; V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
  ipv4:
    description:
      - The host's IPv4 address.
      - V(dynamic) leaves it to the host's own updater; it is never seen as a difference.
      - V(none) removes the record.
    type: str
  ipv6:
    description:
      - The host's IPv6 address, V(dynamic) or V(none), as with O(ipv4).
    type: str
  wildcard:
    description:
      - Whether every name below the host leads to it too.
    type: bool
  comment:
    description:
      - A remark of one line; empty text removes it.
    type: str
  ttl:
    description:
      - Time to live of the host's records in seconds, 1 to 86400; V(0) for the domain's.
    type: int
  labels:
    description:
      - Names with texts, at most 16. They replace those that the host has; an empty mapping removes all.
    type: dict
  stack:
    description:
      - The stack that the host belongs to. It is set when the host is registered.
      - A host of another stack, or of none, is neither changed nor removed unless O(adopt=true).
      - Without this option nobody asks to which stack the host belongs.
      - A host of another user, which an administrator's token sees, is never changed nor removed.
    type: str
  adopt:
    description:
      - Takes a registered host of the caller over into O(stack).
    type: bool
    default: false
  moved_from:
    description:
      - The host's former name. If that is registered and O(name) is not, the host is renamed, and keeps its secret.
    type: str
seealso:
  - module: fedcloud.ddns.ddns_sync
  - module: fedcloud.ddns.ddns_secret
  - module: fedcloud.ddns.ddns_host_info
"""

EXAMPLES = r"""
- name: A web server with both addresses, and every name below it
  fedcloud.ddns.ddns_host:
    name: www.dyn.example.org
    ipv4: 192.0.2.10
    ipv6: 2001:db8::10
    wildcard: true
    comment: Front end

- name: A virtual machine that keeps its own address up to date
  fedcloud.ddns.ddns_host:
    name: vm-7
    domain: dyn.example.org
    ipv4: dynamic
    stack: lab
    labels:
      role: worker
  register: vm
  no_log: true # vm.secret is there once

- name: The web server has lost its IPv6 address
  fedcloud.ddns.ddns_host:
    name: www.dyn.example.org
    ipv6: none

- name: A new name for it, under which its secret still works
  fedcloud.ddns.ddns_host:
    name: front.dyn.example.org
    moved_from: www.dyn.example.org

- name: The virtual machine is gone
  fedcloud.ddns.ddns_host:
    name: vm-7.dyn.example.org
    stack: lab
    state: absent
"""

RETURN = r"""
host:
  description: The host as it is registered; in check mode, as it would be.
  type: dict
  returned: success and O(state=present)
  sample:
    fqdn: www.dyn.example.org
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
secret:
  description:
    - The host's new secret. It can be had only now; keep it, and set C(no_log) on the task where results are shown or
      kept.
  type: str
  returned: when one was made
  sample: the-new-secret
diff:
  description: What changes, in YAML's form, the same in check mode and without it; empty texts when nothing does.
  type: dict
  returned: success
  sample:
    before: |
      www.dyn.example.org:
        ipv4: 192.0.2.10
    after: |
      www.dyn.example.org:
        ipv4: 192.0.2.11
"""

from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible import host
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.module import run


def main() -> None:
    """Read the options, run, answer."""
    run(host.SPEC, host.run)


if __name__ == "__main__":
    main()
