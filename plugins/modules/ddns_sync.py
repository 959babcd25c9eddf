#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A declaration of hosts and domains."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_sync
short_description: Make a Dynamic DNS service have the hosts that are declared
version_added: 0.1.0
description:
  - Compares a declaration with what is registered, and makes the difference, in one call where the service can.
  - A host that is declared is declared in full. What it does not name has its default, but for addresses, which are
    kept where none is named. The declaration's form is that of C(ddnsctl).
  - The declaration's stack owns the hosts that it creates, and only its own hosts are changed or removed. Hosts of
    other users, which an administrator's token sees, are never changed, whatever stack they carry.
author:
  - fedcloud.ddns project (@fedcloud)
extends_documentation_fragment:
  - fedcloud.ddns.connection
  - fedcloud.ddns.attributes
  - fedcloud.ddns.attributes.group
options:
  api_url:
    description:
      - Base URL of the service, such as V(https://ddns.example.org).
      - Without the option, it is the environment variable E(DDNS_SERVER) or the declaration's C(server). Where both
        are there they must name the same service, or the task fails. The option overrules both.
      - The token in the environment variable E(DDNS_TOKEN) goes only to a service that this option or E(DDNS_SERVER)
        names, never to one that only the declaration names.
    required: false
  declaration:
    description:
      - "The declaration: a mapping with C(stack), C(defaults), C(domains) and C(hosts). C(version) is 1 where it is
        missing."
      - Paths of secrets' files are relative to the playbook's folder, and must be absolute where the module runs
        elsewhere.
    type: dict
  src:
    description:
      - A file with the declaration, on the controller. It is looked for as M(ansible.builtin.copy) looks for files,
        and may be encrypted with C(ansible-vault). Paths of secrets' files are relative to its folder.
    type: path
  state:
    description:
      - V(present) makes what is declared. V(absent) removes everything of the stack, or, without a stack, everything
        that is declared.
    type: str
    choices: [present, absent]
    default: present
  stack:
    description:
      - The stack, where the declaration names none.
    type: str
  domain:
    description:
      - The domain of names without a dot, where the declaration names none.
    type: str
  prune:
    description:
      - Whether the stack's hosts and domains that are no longer declared are removed.
    type: bool
    default: false
  max_deletes:
    description:
      - "How much may be removed or replaced: a number of hosts, a share such as V(20%) of the stack's, or V(all).
        Beyond that nothing is done at all."
      - Without the option, 30 percent and 100 hosts are allowed, one host always unless it is the last.
    type: str
  secret_dir:
    description:
      - A folder on the host where the task runs, made if it is missing. The new secret of a host whose declaration
        names no file goes to the file of the host's full name there, mode 0600.
      - Without it such secrets are kept only with O(return_secrets=true).
    type: path
  return_secrets:
    description:
      - Whether new secrets of hosts that name no file, without O(secret_dir), are in RV(secrets). Set C(no_log) on the
        task then, since Ansible prints results.
      - Without it they are dropped, with a warning; a host whose secret nobody knows gets another by O(rotate).
    type: bool
    default: false
  rotate:
    description:
      - Full names of hosts that get a new secret, each time.
    type: list
    elements: str
    default: []
attributes:
  idempotent:
    support: partial
    details: Not with O(rotate).
seealso:
  - module: fedcloud.ddns.ddns_host
"""

EXAMPLES = r"""
- name: The hosts of this file, and no others of its stack
  fedcloud.ddns.ddns_sync:
    src: hosts.yml
    prune: true
    secret_dir: /etc/ddns/secrets

- name: Two hosts
  fedcloud.ddns.ddns_sync:
    declaration:
      stack: web-prod
      defaults:
        domain: dyn.example.org
      hosts:
        api:
          ipv4: 192.0.2.11
        vm-7:
          ipv4: dynamic
          labels:
            role: worker
    return_secrets: true
  register: sync
  no_log: true # sync.secrets

- name: Everything of a stack is removed
  fedcloud.ddns.ddns_sync:
    declaration:
      stack: web-prod
    state: absent
"""

RETURN = r"""
changes:
  description: What was changed, or would be, in order.
  type: list
  elements: dict
  returned: when the declaration is valid
  sample:
    - action: update
      kind: host
      name: www.dyn.example.org
      before: {ipv4: 192.0.2.10}
      after: {ipv4: 192.0.2.11}
      status: applied
  contains:
    action:
      description: V(create), V(update), V(replace), V(delete), V(adopt), V(move) or V(rotate).
      type: str
      returned: always
      sample: update
    kind:
      description: V(host) or V(domain).
      type: str
      returned: always
      sample: host
    name:
      description: The full name.
      type: str
      returned: always
      sample: www.dyn.example.org
    before:
      description: The observed values that the change rests on.
      type: dict
      returned: always
      sample: {ipv4: 192.0.2.10}
    after:
      description: The new values.
      type: dict
      returned: always
      sample: {ipv4: 192.0.2.11}
    source:
      description: The host's former name.
      type: str
      returned: of a move
      sample: old.dyn.example.org
    secret:
      description: Where the new secret goes, if the declaration says so.
      type: dict
      returned: sometimes
      sample: {file: /etc/ddns/secrets/www}
    reason:
      description: Why the host is registered again.
      type: str
      returned: of a replacement
      sample: the name is in another domain
    status:
      description:
        - V(applied), V(pending) when it is kept and DNS follows, V(unchanged) when it was so already, V(failed), or
          V(stale) when the host has changed meanwhile.
      type: str
      returned: not in check mode
      sample: applied
    error:
      description: What went wrong.
      type: str
      returned: when it failed
      sample: the service refused the address
counts:
  description:
    - How many things there are to C(add), C(change), C(replace), C(delete), C(move), C(adopt), C(rotate), and
      C(unchanged) ones.
  type: dict
  returned: when the declaration is valid
  sample: {add: 1, change: 1, replace: 0, delete: 0, move: 0, adopt: 0, rotate: 0, unchanged: 12}
secrets:
  description:
    - New secrets by the hosts' full names, of those that go to no file. They can be had only now.
    - A task that fails returns none, since Ansible prints the results of such a task.
  type: dict
  returned: success and O(return_secrets=true)
  sample: {vm-7.dyn.example.org: the-new-secret}
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

from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible import sync
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.module import run


def main() -> None:
    """Read the options, run, answer."""
    run(sync.SPEC, sync.run)


if __name__ == "__main__":
    main()
