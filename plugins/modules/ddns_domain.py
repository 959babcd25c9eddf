#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A domain of a Dynamic DNS service."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_domain
short_description: Create, change or remove a domain of a Dynamic DNS service
version_added: 0.1.0
description:
  - Creates a domain, with its zone on the name server that the service controls, changes it, or removes it with its
    zone.
  - Options that are not given are left alone. To create a domain takes a token of the scope C(admin).
  - EGI's service cannot create domains by its interface; the module fails there.
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
      - V(present) creates the domain, or changes it; V(absent) removes it. A domain with hosts cannot be removed.
    type: str
    choices: [present, absent]
    default: present
  public:
    description:
      - Whether everybody may register hosts in it; a new domain is private.
    type: bool
  comment:
    description:
      - A remark of one line; empty text removes it.
    type: str
  ttl:
    description:
      - Time to live of its records in seconds, 1 to 86400; V(0) for the service's.
    type: int
  group:
    description:
      - The group whose members may register hosts in it; empty text removes it.
    type: str
  available:
    description:
      - Whether hosts can be registered and updated in it; a new domain is available.
    type: bool
seealso:
  - module: fedcloud.ddns.ddns_domain_info
"""

EXAMPLES = r"""
- name: A domain for everybody
  fedcloud.ddns.ddns_domain:
    name: cloud.example.org
    public: true
    comment: For all teams
    ttl: 120

- name: It is closed for a while
  fedcloud.ddns.ddns_domain:
    name: cloud.example.org
    available: false

- name: It is gone
  fedcloud.ddns.ddns_domain:
    name: cloud.example.org
    state: absent
"""

RETURN = r"""
domain:
  description: The domain as it is registered; in check mode, as it would be.
  type: dict
  returned: success and O(state=present)
  sample:
    name: dyn.example.org
    public: false
    comment: Machines of the lab
    ttl: 60
    group: lab
    available: true
    stack: web-prod
    owner: alice
  contains:
    name:
      description: Full name.
      type: str
      returned: always
      sample: dyn.example.org
    public:
      description: Whether everybody may register hosts in it.
      type: bool
      returned: always
      sample: false
    comment:
      description: A remark.
      type: str
      returned: always
      sample: Machines of the lab
    ttl:
      description: Time to live of its records in seconds; V(null) for the service's.
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
diff:
  description: What changes, in YAML's form, the same in check mode and without it; empty texts when nothing does.
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
    """Read the options, run, answer."""
    run(domain.SPEC, domain.run)


if __name__ == "__main__":
    main()
