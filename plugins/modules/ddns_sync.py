#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Applies a declaration of hosts and domains."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ddns_sync
short_description: Apply a declaration of hosts and domains to a Dynamic DNS service
version_added: 0.1.0
description:
  - Compares a declaration with the service, and makes the changes, in one request if the service supports that.
  - A host is declared in full. Fields that are not named have their default. If no address is named, both are kept.
    The declaration has the same format as for C(ddnsctl).
  - The service checks the changes before they are made, also in check mode. If it would refuse some, or if a secret
    cannot be written, the task fails with all reasons and changes nothing.
  - The declaration's stack owns the hosts that it creates. Only its own hosts are changed or deleted. Hosts of other
    users, which an administrator's token sees, are never changed, whatever their stack is. Only C(adopt_from) of a host
    takes it over from the user that it names, with a new secret.
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
      - The default is the environment variable E(DDNS_SERVER) or the declaration's C(server). If both are set, they
        must name the same service, or the task fails. This option overrides both.
      - The token in the environment variable E(DDNS_TOKEN) is sent only to a service that this option or
        E(DDNS_SERVER) names, and never to one that only the declaration names.
    required: false
  declaration:
    description:
      - "The declaration: a mapping with C(stack), C(defaults), C(domains) and C(hosts). The default of C(version) is
        1. C(include), C(vars), C(environments) and ranges work as in a file; included files are relative to the
        playbook's folder."
      - Paths of secrets and certificates are relative to the playbook's folder. They must be absolute if the module
        runs on another host. C(vault) files are encrypted with the first vault password of the play, on the controller
        only.
    type: dict
  src:
    description:
      - A file with the declaration, on the controller. It is searched for in the same folders as with
        M(ansible.builtin.copy), and may be encrypted with C(ansible-vault). Paths of secrets and certificates
        are relative to its folder.
      - Or a folder. All its C(*.yml) and C(*.yaml) files are one declaration, also those in subfolders, but no hidden
        ones. A file that another one includes is not read on its own.
    type: path
  state:
    description:
      - V(present) applies the declaration. V(absent) deletes all hosts and domains of the stack, or without a stack all
        that are declared.
    type: str
    choices: [present, absent]
    default: present
  stack:
    description:
      - The stack, if the declaration names none.
    type: str
  domain:
    description:
      - The domain of names without a dot, if the declaration names none.
    type: str
  env:
    description:
      - The environment of the declaration whose variables count.
    type: str
  vars:
    description:
      - Values of variables of the declaration, in place of those in its files and of environment variables such as
        E(DDNS_VAR_NET).
    type: dict
    default: {}
  prune:
    description:
      - Whether to delete hosts and domains of the stack that are no longer declared.
    type: bool
    default: false
  max_deletes:
    description:
      - "The most hosts that may be deleted or replaced: a number, a percentage of the stack's hosts such as V(20%), or
        V(all). If there are more, nothing is changed."
      - The default is 30 percent and at most 100 hosts. One host is always allowed, unless it is the last.
    type: str
  max_changes:
    description:
      - "The most registered hosts that may be changed: a number, a percentage of the stack's hosts such as V(30%), or
        V(all). Renamed hosts and new secrets count, new hosts do not. If there are more, nothing is changed."
      - The default is C(max_changes) of the declaration's stack, and no limit without it.
    type: str
  only:
    description:
      - Patterns of names, such as V(web-*). Only hosts, domains and keys whose full name or first label matches one
        are in the plan. All others are neither changed nor deleted, also with O(prune=true). Without patterns, all
        names are.
      - A pattern that matches no host or domain is an error. The stack itself is not changed. It cannot be used with
        O(state=absent).
    type: list
    elements: str
    default: []
  secret_dir:
    description:
      - A folder on the task's host. It is created if it is missing. If a declared host names no file for its secret, a
        new secret is written there, to a file with the host's full name and mode 0600.
      - Without this option, such secrets are saved only with O(return_secrets=true).
    type: path
  return_secrets:
    description:
      - Whether to return new secrets of hosts that name no file in RV(secrets), if O(secret_dir) is not set. Ansible
        prints results, so set C(no_log) on such a task.
      - Otherwise these secrets are dropped, with a warning. O(rotate) makes new ones. C(secret=none) of a host, or in
        C(defaults), says that this is intended.
    type: bool
    default: false
  rotate:
    description:
      - Full names of hosts that get a new secret each time the task runs.
    type: list
    elements: str
    default: []
  verify_secrets:
    description:
      - Whether to ask the service if the stored secrets of the declared hosts still work, about all at once. A host
        whose file is missing, or whose secret is no longer valid, gets a new one. The reason is in RV(changes), also in
        check mode.
      - Files of C(secret) and of O(secret_dir) are checked, and C(vault) files on the controller. Secrets that a
        command keeps are not. Use it only where all files are, because the machine that has the present secret stops
        updating.
    type: bool
    default: false
    aliases: [verify]
  journal:
    description:
      - A file on the task's host that records what has been done, as C(ddnsctl apply) keeps one. It contains no secret,
        and is deleted when all changes are made.
      - If the task fails or dies before that, it stays. The next task with the same file either continues it, with
        O(resume=true), or deletes it if its own plan covers everything that is left. Otherwise it fails.
    type: path
  resume:
    description:
      - Whether to continue O(journal) first, if an earlier task has left one. Then the declaration is applied as
        always.
      - If the answer of the service was lost, the same request is sent again, and the service repeats its answer, with
        the same secrets. This is possible for a day and with the same token. Otherwise a host that may have been
        registered gets a new secret. A change that the service has refused stays refused.
      - C(ddnsctl apply --resume --journal FILE) continues the same files.
    type: bool
    default: false
  wait:
    description:
      - How many seconds to wait while somebody else applies a declaration of the same stack. V(0) fails at once.
      - While the task runs, it holds the lease of the stack, and renews it. The lease of a run that died ends within a
        minute. In check mode, no lease is needed.
    type: int
    default: 0
attributes:
  idempotent:
    support: partial
    details: Not with O(rotate). With O(verify_secrets), a second run changes nothing.
seealso:
  - module: fedcloud.ddns.ddns_host
"""

EXAMPLES = r"""
- name: Apply a file, and delete other hosts of its stack
  fedcloud.ddns.ddns_sync:
    src: hosts.yml
    prune: true
    secret_dir: /etc/ddns/secrets

- name: Declare two hosts
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
    secret_dir: /etc/ddns/more

- name: Apply the environment for production, with another network
  fedcloud.ddns.ddns_sync:
    src: environments.yml
    env: prod
    vars:
      net: 198.51.100
    secret_dir: /etc/ddns/secrets

- name: Apply all declarations of a folder, continue an interrupted run, and replace secrets that no longer work
  fedcloud.ddns.ddns_sync:
    src: dns
    secret_dir: /etc/ddns/secrets
    verify_secrets: true
    journal: /etc/ddns/dns.journal
    resume: true

- name: Apply only some hosts of a file, and refuse to change more than three
  fedcloud.ddns.ddns_sync:
    src: servers.yml
    only: ["web-*"]
    max_changes: "3"
    secret_dir: /etc/ddns/secrets

- name: Delete all hosts and domains of a stack
  fedcloud.ddns.ddns_sync:
    declaration:
      stack: web-prod
    state: absent
"""

RETURN = r"""
changes:
  description: The changes in order. In check mode, those that would be made.
  type: list
  elements: dict
  returned: if the declaration is valid
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
      description: V(host), V(domain), V(key), V(stack) or V(certificate).
      type: str
      returned: always
      sample: host
    name:
      description: The full name.
      type: str
      returned: always
      sample: www.dyn.example.org
    before:
      description: The registered values that the change depends on.
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
      returned: for a move
      sample: old.dyn.example.org
    secret:
      description: The file for the new secret, if the declaration names one.
      type: dict
      returned: if a secret is made and a file is declared
      sample: {file: /etc/ddns/secrets/www}
    reason:
      description: Why the host is registered again, or gets a new secret.
      type: str
      returned: for a replacement, and with O(verify_secrets=true)
      sample: the name is in another domain
    status:
      description:
        - V(applied), V(pending) if it is saved but not in DNS yet, V(unchanged) if there was nothing to do, V(failed),
          or V(stale) if someone else has changed the host.
      type: str
      returned: not in check mode
      sample: applied
    error:
      description: The error.
      type: str
      returned: if it failed
      sample: the service refused the address
resumed:
  description:
    - The changes that an earlier task had left in O(journal), with the same values as RV(changes). In check mode, they
      are not made. They are not in RV(counts) and RV(diff).
  type: list
  elements: dict
  returned: if O(resume=true) and there is a journal
  sample:
    - action: create
      kind: host
      name: www.dyn.example.org
      before: {}
      after: {ipv4: 192.0.2.10}
      status: applied
counts:
  description:
    - The number of hosts and domains to C(add), C(change), C(replace), C(delete), C(move), C(adopt) and C(rotate), and
      of C(unchanged) ones.
  type: dict
  returned: if the declaration is valid
  sample: {add: 1, change: 1, replace: 0, delete: 0, move: 0, adopt: 0, rotate: 0, unchanged: 12}
hosts:
  description: The hosts that would be deleted, replaced or changed, if these are more than the limits allow.
  type: list
  elements: str
  returned: if O(max_deletes), O(max_changes) or a protection refuses the changes
  sample: [www.dyn.example.org]
secrets:
  description:
    - New secrets that are written to no file, by full host name. They cannot be read again later.
    - A failed task returns no secrets, because Ansible prints its result.
  type: dict
  returned: success and O(return_secrets=true)
  sample: {vm-7.dyn.example.org: the-new-secret}
diff:
  description: The changes as YAML, before and after. It is the same in check mode. Both are empty without changes.
  type: dict
  returned: if the declaration is valid
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
    """Run the module."""
    run(sync.SPEC, sync.run)


if __name__ == "__main__":
    main()
