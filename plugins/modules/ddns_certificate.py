#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manages the TLS certificate of a host."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_certificate
short_description: Get and renew the TLS certificate of a host from a Dynamic DNS service
version_added: 0.1.0
description:
  - Orders a certificate for a registered host, if there is none in O(path), if it is for another key or other names, or
    if it ends soon. Otherwise it sends no request.
  - The private key is made on the task's host and stays there. The host needs no address.
  - The service's operator chooses the authority, and must have enabled certificates. EGI's service has none.
  - An order takes up to a minute. Each counts for the host's weekly limit. If it fails, a new key stays for the next
    run, because the service repeats its answer to the same request for a day.
author:
  - fedcloud.ddns project (@fedcloud)
extends_documentation_fragment:
  - fedcloud.ddns.connection
  - fedcloud.ddns.attributes
  - fedcloud.ddns.attributes.group
requirements:
  - openssl 1.1.1 or newer on the host where the task runs
options:
  name:
    description:
      - The host's full name, or a name without a dot in O(domain). It must be registered.
    type: str
    required: true
    aliases: [fqdn]
  domain:
    description:
      - The domain of names without a dot.
    type: str
  wildcard:
    description:
      - Whether the certificate is also for all names below the host, which must have a wildcard.
    type: bool
    default: false
  path:
    description:
      - A file on the task's host for the certificate and those of its issuers, PEM. Missing folders are created.
    type: path
    required: true
  key_path:
    description:
      - The file of the private key. If there is none, it is created with a new key (RSA 2048) and mode 0600.
      - An existing key is kept, also for renewals. It is RSA with 2048 to 4096 bits, P-256 or P-384, without a
        passphrase.
    type: path
    required: true
  renew_days:
    description:
      - How many days before its end the certificate is replaced. One that lasts less than twice as long is replaced in
        the second half of its time.
    type: int
    default: 30
  timeout:
    description:
      - How many seconds to wait for an answer. The service takes up to 55 seconds for an order.
    type: int
    default: 60
seealso:
  - module: fedcloud.ddns.ddns_host
"""

EXAMPLES = r"""
- name: Keep a certificate for the web server
  fedcloud.ddns.ddns_certificate:
    name: www.dyn.example.org
    path: /etc/ddns/www.pem
    key_path: /etc/ddns/www.key
"""

RETURN = r"""
fqdn:
  description: The host's full name.
  type: str
  returned: success
  sample: www.dyn.example.org
names:
  description: The names that the certificate is for.
  type: list
  elements: str
  returned: success
  sample: ["*.www.dyn.example.org", www.dyn.example.org]
not_after:
  description: When the certificate in O(path) ends. V(null) in check mode if there is none yet.
  type: str
  returned: success
  sample: "2027-01-31T12:00:00Z"
reason:
  description: Why a certificate was ordered, or in check mode would be. Empty if none was.
  type: str
  returned: success
  sample: it ends on 2027-01-31T12:00:00Z
diff:
  description: The changes as YAML, before and after. It is the same in check mode. Both are empty without changes.
  type: dict
  returned: success
  sample:
    before: ""
    after: |
      certificate of www.dyn.example.org:
        names: ["www.dyn.example.org"]
        certificate: (new: no certificate → file /etc/ddns/www.pem)
        key: (new → file /etc/ddns/www.key)
"""

from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible import certificate
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.module import run


def main() -> None:
    """Run the module."""
    run(certificate.SPEC, certificate.run)


if __name__ == "__main__":
    main()
