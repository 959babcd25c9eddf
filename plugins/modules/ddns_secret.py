#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host's secret."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_secret
short_description: Keep or make the secret by which a host updates its address
version_added: 0.1.0
description:
  - A host's secret is shown once, when it is made. This module keeps one that works, and makes another where none is
    known.
  - Whether a secret works is asked of the service, which changes nothing. EGI's service cannot say; there a secret
    that is given is taken to work, with a warning.
author:
  - fedcloud.ddns project (@fedcloud)
extends_documentation_fragment:
  - fedcloud.ddns.connection
  - fedcloud.ddns.attributes
  - fedcloud.ddns.attributes.group
options:
  name:
    description:
      - The host's full name, or one without a dot in O(domain). It must be registered.
    type: str
    required: true
    aliases: [fqdn]
  domain:
    description:
      - The domain of names without a dot.
    type: str
  state:
    description:
      - V(present) keeps the secret of O(secret), or else of O(path), if it works, and makes a new one otherwise.
      - V(rotated) makes a new one each time. The old one is void from then on.
    type: str
    choices: [present, rotated]
    default: present
  secret:
    description:
      - The secret that should work.
    type: str
  path:
    description:
      - A file on the host where the task runs, which has the secret and a line break, mode 0600. Its folder must
        exist.
      - The secret is read from there, and a new one is written there rather than returned.
    type: path
attributes:
  idempotent:
    support: partial
    details: Not with O(state=rotated), nor with neither O(secret) nor O(path).
seealso:
  - module: fedcloud.ddns.ddns_host
"""

EXAMPLES = r"""
- name: The host's updater finds a secret that works in this file
  fedcloud.ddns.ddns_secret:
    name: www.dyn.example.org
    path: /etc/ddns/secret

- name: A new one, since the old one may be known to others
  fedcloud.ddns.ddns_secret:
    name: www.dyn.example.org
    path: /etc/ddns/secret
    state: rotated
"""

RETURN = r"""
fqdn:
  description: The host's full name.
  type: str
  returned: success
  sample: www.dyn.example.org
secret:
  description:
    - The new secret. It can be had only now; keep it, and set C(no_log) on the task where results are shown or kept.
  type: str
  returned: when one was made and O(path) is not given
  sample: the-new-secret
diff:
  description: What changes, in YAML's form, the same in check mode and without it; empty texts when nothing does.
  type: dict
  returned: success
  sample:
    before: ""
    after: |
      www.dyn.example.org:
        secret: (new secret)
"""

from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible import secret
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.module import run


def main() -> None:
    """Read the options, run, answer."""
    run(secret.SPEC, secret.run)


if __name__ == "__main__":
    main()
