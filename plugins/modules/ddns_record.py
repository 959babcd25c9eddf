#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manages one RRset of a host at a Dynamic DNS service."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_record
short_description: Set or remove one RRset of a host at a Dynamic DNS service
version_added: 0.1.0
description:
  - Sets all values of one type at a registered host, or at a name of underscore labels below it, or removes them.
  - Other records and the addresses of the host are not changed. M(fedcloud.ddns.ddns_host) manages addresses, and all
    records of a host at once.
  - The module fails with EGI's service, which stores no records.
author:
  - fedcloud.ddns project (@fedcloud)
extends_documentation_fragment:
  - fedcloud.ddns.connection
  - fedcloud.ddns.attributes
  - fedcloud.ddns.attributes.group
options:
  host:
    description:
      - The host's full name, or a name without a dot in O(domain).
    type: str
    required: true
  domain:
    description:
      - The domain of names without a dot.
    type: str
  name:
    description:
      - The name of the records below the host, such as C(_443._tcp) or C(sel._domainkey). Its last label begins with an
        underscore.
      - V(@) for the host's own name.
    type: str
    default: "@"
  type:
    description:
      - The type of the records, such as V(TXT), V(MX), V(SRV), V(CAA), V(TLSA), V(SSHFP) or V(HTTPS).
    type: str
    required: true
  values:
    description:
      - All values, in presentation format. Full names end with a dot.
      - A value of V(TXT) is literal text, which the service divides into strings. If it begins with a quotation mark,
        it is in presentation format.
      - Required if O(state=present).
    type: list
    elements: str
  ttl:
    description:
      - Time to live of the records in seconds, 1 to 86400. V(0), or no value, for that of the host.
    type: int
  state:
    description:
      - V(present) sets the values. V(absent) removes all records of the type at the name.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: fedcloud.ddns.ddns_host
  - module: fedcloud.ddns.ddns_sync
"""

EXAMPLES = r"""
- name: Register a mail server
  fedcloud.ddns.ddns_host:
    name: mail.dyn.example.org
    ipv4: 192.0.2.25

- name: Say where its mail goes
  fedcloud.ddns.ddns_record:
    host: mail.dyn.example.org
    type: MX
    values:
      - 10 mail.dyn.example.org.

- name: Publish a key for signatures of mail
  fedcloud.ddns.ddns_record:
    host: mail
    domain: dyn.example.org
    name: sel._domainkey
    type: TXT
    values:
      - v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA
    ttl: 3600

- name: Remove the mail exchangers
  fedcloud.ddns.ddns_record:
    host: mail.dyn.example.org
    type: MX
    state: absent
"""

RETURN = r"""
record:
  description: The RRset as it is registered. In check mode, as it would be.
  type: dict
  returned: success and O(state=present)
  sample:
    host: mail.dyn.example.org
    name: "@"
    type: MX
    fqdn: mail.dyn.example.org
    values: [10 mail.dyn.example.org.]
    ttl: null
  contains:
    host:
      description: Full name of the host.
      type: str
      returned: always
      sample: mail.dyn.example.org
    name:
      description: Name of the records below the host, or V(@).
      type: str
      returned: always
      sample: "@"
    type:
      description: Type of the records.
      type: str
      returned: always
      sample: MX
    fqdn:
      description: Full name of the records.
      type: str
      returned: always
      sample: mail.dyn.example.org
    values:
      description: The values in the canonical form of the service, sorted. In check mode, as far as it is known.
      type: list
      elements: str
      returned: always
      sample: [10 mail.dyn.example.org.]
    ttl:
      description: Time to live in seconds. V(null) for that of the host.
      type: int
      returned: always
      sample: 3600
diff:
  description: The changes as YAML, before and after. It is the same in check mode. Both are empty without changes.
  type: dict
  returned: success
  sample:
    before: |
      mail.dyn.example.org:
        MX @: none
    after: |
      mail.dyn.example.org:
        MX @: 10 mail.dyn.example.org.
"""

from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible import record
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.module import run


def main() -> None:
    """Run the module."""
    run(record.SPEC, record.run)


if __name__ == "__main__":
    main()
