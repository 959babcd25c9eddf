#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manages a host at a Dynamic DNS service."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_host
short_description: Register, change or delete a host at a Dynamic DNS service
version_added: 0.1.0
description:
  - Registers a host, changes it in place, renames it, or deletes it with its DNS records.
  - Options that are not set are not changed. For many hosts, use M(fedcloud.ddns.ddns_sync), which needs only a few
    requests.
author:
  - fedcloud.ddns project (@fedcloud)
extends_documentation_fragment:
  - fedcloud.ddns.connection
  - fedcloud.ddns.attributes
  - fedcloud.ddns.attributes.group
options:
  name:
    description:
      - The host's full name, or a name without a dot in O(domain).
    type: str
    required: true
    aliases: [fqdn]
  domain:
    description:
      - The domain of names without a dot.
    type: str
  state:
    description:
      - V(present) registers or changes the host. V(absent) deletes it.
    type: str
    choices: [present, absent]
    default: present
  ipv4:
    description:
      - The host's IPv4 address, or a list of several. The host's updater cannot change several.
      - With V(dynamic) the host's updater sets the address. The module never changes it.
      - With V(none) the host has no IPv4 address.
    type: list
    elements: str
  ipv6:
    description:
      - The host's IPv6 address or several, V(dynamic) or V(none), as with O(ipv4).
    type: list
    elements: str
  alias:
    description:
      - The full name, with a dot at its end, that the host is an alias of (CNAME record).
      - An alias has no addresses, no wildcard, no records and no related names. They are removed.
      - With V(none), or with an address, the host is no alias.
    type: str
  wildcard:
    description:
      - Whether all names below the host have its addresses, too.
    type: bool
  comment:
    description:
      - A comment of one line. Empty text removes it.
    type: str
  ttl:
    description:
      - Time to live of the host's records in seconds, 1 to 86400. V(0) for the value of the domain.
    type: int
  labels:
    description:
      - Labels, a mapping of names to text, at most 16. They replace all labels of the host.
    type: dict
  protect:
    description:
      - Whether the host cannot be deleted. To delete it, set this to V(false) in an earlier task.
    type: bool
  ptr:
    description:
      - Whether the host's addresses have PTR records with its name, as far as their reverse zones allow it.
    type: bool
  records:
    description:
      - All records of the host other than its addresses. The others are removed. C({}) removes all of them.
      - A key is C(NAME TYPE), such as C(_443._tcp TLSA), or C(TYPE) for the host's own name. The last label of a name
        begins with an underscore.
      - A value is a list of values in presentation format, or a mapping with C(values) and C(ttl). A value of C(TXT) is
        literal text, unless it begins with a quotation mark.
      - V(dynamic) leaves the records of this name and type to others. V(null) means that there are none.
      - M(fedcloud.ddns.ddns_record) changes the records of one name and type alone.
    type: dict
  related:
    description:
      - All names below the host that follow its IPv6 network, a mapping of labels to interface ids such as V(::7). The
        others are removed. C({}) removes all of them.
    type: dict
  stack:
    description:
      - The stack that the host belongs to. It is set when the host is registered.
      - A host of another stack, or of none, is not changed or deleted unless O(adopt=true). The other stack must give
        the host to this one.
      - Without this option, the host's stack does not matter.
      - A host of another user, which an administrator's token sees, is never changed or deleted, unless O(adopt_from)
        names this user.
    type: str
  adopt:
    description:
      - Whether to move a registered host that you own into O(stack).
    type: bool
    default: false
  adopt_from:
    description:
      - Another user, from whom to take the host over if it is theirs. This needs an administrator's token.
      - The host gets a new secret, so that the former owner cannot update it any more. O(secret) says where it goes.
    type: str
  moved_from:
    description:
      - The host's former name. If it is registered and O(name) is not, the host is renamed. It keeps its secret.
    type: str
  secret:
    description:
      - Where a new secret of the host is written. It is made when the host is registered, or registered again.
      - A registered host keeps its secret, and no file is changed. M(fedcloud.ddns.ddns_secret) checks and replaces it.
      - If the host is new and the file exists, nothing is changed.
    type: dict
    suboptions:
      file:
        description:
          - A file on the task's host with the secret and a line break, mode 0600.
        type: path
      vault:
        description:
          - A file on the controller, encrypted with the first vault password of the play. The task must run on the
            controller, for example with C(delegate_to=localhost).
        type: path
      exec:
        description:
          - A command on the task's host, as a list of the program and its arguments. It gets the secret on standard
            input, without a line break. V({name}) and V({fqdn}) in it become the first label and the full name.
          - No shell reads it. What it prints is not shown.
        type: list
        elements: str
  return_secrets:
    description:
      - Whether to return a new secret in RV(secret), if O(secret) names no file for it. Ansible prints results, so set
        C(no_log) on such a task.
      - Without it, a new secret that has no file is dropped. There is a warning if the host's machine needs one.
    type: bool
    default: false
seealso:
  - module: fedcloud.ddns.ddns_sync
  - module: fedcloud.ddns.ddns_record
  - module: fedcloud.ddns.ddns_secret
  - module: fedcloud.ddns.ddns_host_info
"""

EXAMPLES = r"""
- name: Register a web server with both addresses and all names below it
  fedcloud.ddns.ddns_host:
    name: www.dyn.example.org
    ipv4: 192.0.2.10
    ipv6: 2001:db8::10
    wildcard: true
    comment: Front end

- name: Register a virtual machine that updates its own address
  fedcloud.ddns.ddns_host:
    name: vm-7
    domain: dyn.example.org
    ipv4: dynamic
    stack: lab
    labels:
      role: worker
    secret:
      file: /etc/ddns/vm-7

- name: Let one certificate authority issue certificates for the web server, and say that it sends no mail
  fedcloud.ddns.ddns_host:
    name: www.dyn.example.org
    records:
      CAA: ['0 issue "letsencrypt.org"']
      TXT: {values: [v=spf1 -all], ttl: 3600}

- name: Make the shop an alias of a load balancer
  fedcloud.ddns.ddns_host:
    name: shop.dyn.example.org
    alias: front.example.net.

- name: Name the storage that is in the same IPv6 network as the camera
  fedcloud.ddns.ddns_host:
    name: cam.dyn.example.org
    related:
      nas: "::7"

- name: Remove the IPv6 address of the web server
  fedcloud.ddns.ddns_host:
    name: www.dyn.example.org
    ipv6: none

- name: Rename the web server
  fedcloud.ddns.ddns_host:
    name: front.dyn.example.org
    moved_from: www.dyn.example.org

- name: Delete the virtual machine
  fedcloud.ddns.ddns_host:
    name: vm-7.dyn.example.org
    stack: lab
    state: absent
"""

RETURN = r"""
host:
  description: The host as it is registered. In check mode, as it would be.
  type: dict
  returned: success and O(state=present)
  sample:
    fqdn: www.dyn.example.org
    domain: dyn.example.org
    ipv4: 192.0.2.10
    ipv6: "2001:db8::10"
    alias: null
    wildcard: true
    comment: Front end
    ttl: 60
    labels: {role: web}
    records: {}
    related: {}
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
secret:
  description:
    - The host's new secret. It cannot be read again later, so save it.
  type: str
  returned: if one was made, and O(return_secrets=true)
  sample: the-new-secret
diff:
  description: The changes as YAML, before and after. It is the same in check mode. Both are empty without changes.
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
    """Run the module."""
    run(host.SPEC, host.run)


if __name__ == "__main__":
    main()
