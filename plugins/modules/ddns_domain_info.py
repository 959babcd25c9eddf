#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lists domains of a Dynamic DNS service."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_domain_info
short_description: List domains of a Dynamic DNS service
version_added: 0.1.0
description:
  - Lists the domains in which you may register hosts. An administrator's token lists all domains.
author:
  - fedcloud.ddns project (@fedcloud)
extends_documentation_fragment:
  - fedcloud.ddns.connection
  - fedcloud.ddns.attributes.info
  - fedcloud.ddns.attributes.group
options:
  name:
    description:
      - Only domains with these full names.
    type: list
    elements: str
seealso:
  - module: fedcloud.ddns.ddns_domain
"""

EXAMPLES = r"""
- name: List the domains in which hosts can be registered
  fedcloud.ddns.ddns_domain_info:
  register: ddns
"""

RETURN = r"""
domains:
  description: The domains, by name.
  type: list
  elements: dict
  returned: success
  sample:
    - name: dyn.example.org
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
"""

from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible import info
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.module import run


def main() -> None:
    """Run the module."""
    run(info.DOMAINS, info.domains)


if __name__ == "__main__":
    main()
