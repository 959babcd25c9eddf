#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manages a domain of a Dynamic DNS service."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_domain
short_description: Create, change or delete a domain of a Dynamic DNS service
version_added: 0.1.0
description:
  - Creates a domain and its zone on the service's name server, changes it, or deletes it and its zone.
  - Options that are not set are not changed. You need a token with the scope C(admin) to create a domain.
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
      - The domain's full name.
    type: str
    required: true
  state:
    description:
      - V(present) creates or changes the domain. V(absent) deletes it. A domain with hosts cannot be deleted.
    type: str
    choices: [present, absent]
    default: present
  public:
    description:
      - Whether all users may register hosts in it. A new domain is private.
    type: bool
  comment:
    description:
      - A comment of one line. Empty text removes it.
    type: str
  ttl:
    description:
      - Time to live of its records in seconds, 1 to 86400. V(0) for the value of the service.
    type: int
  group:
    description:
      - The group whose members may register hosts in it. Empty text removes it.
    type: str
  available:
    description:
      - Whether hosts can be registered and updated in it. A new domain is available.
    type: bool
  dns_updates:
    description:
      - Whether updates of its hosts are accepted at the service's port for DNS UPDATE. A new domain accepts them.
    type: bool
  owner:
    description:
      - The user who owns it. A new domain is yours.
    type: str
  primary:
    description:
      - ADDRESS[:PORT] of the name server that accepts the updates of a zone that exists already. It is tested before
        anything is changed.
      - Without it, a new zone is created on the service's own BIND.
    type: str
  key:
    description:
      - The TSIG key of that zone.
    type: dict
    suboptions:
      file:
        description:
          - A file on the task's host with a C(key) clause as in C(named.conf), or C(algorithm:name:secret).
        type: path
        required: true
  dnssec_policy:
    description:
      - The policy with which the service's own BIND signs the zone. V(none) for none.
    type: str
  gss_realm:
    description:
      - The Kerberos realm, in capitals, whose members write their own addresses at the service's own BIND.
      - V(none) for none.
    type: str
  gss_hosts:
    description:
      - Whether hosts can be registered beside the members of O(gss_realm). Members can change hosts of the same name.
    type: bool
  network:
    description:
      - The network of a reverse zone whose name does not say it (RFC 2317), such as V(192.0.2.64/26).
    type: str
  reverse:
    description:
      - Which hosts with O(fedcloud.ddns.ddns_host#module:ptr) have names in this reverse zone.
      - With V(off) no host. With V(verified) hosts from whose address the last update came, or whose address somebody
        set who may change the domain. With V(all) every host.
    type: str
    choices: ["off", verified, all]
seealso:
  - module: fedcloud.ddns.ddns_domain_info
"""

EXAMPLES = r"""
- name: Create a domain for all users
  fedcloud.ddns.ddns_domain:
    name: cloud.example.org
    public: true
    comment: For all teams
    ttl: 120

- name: Stop registrations and updates for a while
  fedcloud.ddns.ddns_domain:
    name: cloud.example.org
    available: false

- name: Sign its zone, and give it to another user
  fedcloud.ddns.ddns_domain:
    name: cloud.example.org
    dnssec_policy: default
    owner: admin

- name: Delete the domain
  fedcloud.ddns.ddns_domain:
    name: cloud.example.org
    state: absent
"""

RETURN = r"""
domain:
  description: The domain as it is registered. In check mode, as it would be.
  type: dict
  returned: success and O(state=present)
  sample:
    name: dyn.example.org
    public: false
    comment: Machines of the lab
    ttl: 60
    group: lab
    available: true
    dns_updates: true
    stack: web-prod
    owner: alice
    primary: 192.0.2.53:53
    key: null
    dnssec_policy: default
    gss_realm: null
    gss_hosts: false
    network: null
    reverse: "off"
  contains:
    name:
      description: Full name.
      type: str
      returned: always
      sample: dyn.example.org
    public:
      description: Whether all users may register hosts in it.
      type: bool
      returned: always
      sample: false
    comment:
      description: The comment.
      type: str
      returned: always
      sample: Machines of the lab
    ttl:
      description: Time to live of its records in seconds. V(null) for the value of the service.
      type: int
      returned: always
      sample: 60
    group:
      description: The group whose members may register hosts in it.
      type: str
      returned: always
      sample: lab
    available:
      description: Whether hosts can be registered and updated in it.
      type: bool
      returned: always
      sample: true
    dns_updates:
      description: Whether updates of its hosts are accepted at the service's port for DNS UPDATE.
      type: bool
      returned: always
      sample: true
    stack:
      description: The stack that owns it.
      type: str
      returned: always
      sample: web-prod
    owner:
      description: The user who owns it.
      type: str
      returned: always
      sample: alice
    primary:
      description: Address and port of the name server that accepts its updates.
      type: str
      returned: always
      sample: 192.0.2.53:53
    key:
      description: C(name), C(algorithm) and C(fingerprint) of its TSIG key, for administrators. V(null) if the service
        created the zone.
      type: dict
      returned: always
      sample: null
    dnssec_policy:
      description: The policy with which the service's own BIND signs the zone.
      type: str
      returned: always
      sample: default
    gss_realm:
      description: The Kerberos realm whose members write their own addresses at the service's own BIND.
      type: str
      returned: always
      sample: null
    gss_hosts:
      description: Whether hosts can be registered beside those members.
      type: bool
      returned: always
      sample: false
    network:
      description: The addresses whose names are in this reverse zone.
      type: str
      returned: always
      sample: 192.0.2.0/24
    reverse:
      description: Which hosts have names in this reverse zone.
      type: str
      returned: always
      sample: verified
    own:
      description: Whether you own it.
      type: bool
      returned: always
      sample: true
diff:
  description: The changes as YAML, before and after. It is the same in check mode. Both are empty without changes.
  type: dict
  returned: success
  sample:
    before: |
      dyn.example.org:
        ttl: 60
    after: |
      dyn.example.org:
        ttl: 300
"""

from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible import domain
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.module import run


def main() -> None:
    """Run the module."""
    run(domain.SPEC, domain.run)


if __name__ == "__main__":
    main()
