# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Inventory of registered hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
---
name: ddns
short_description: Registered hosts of a Dynamic DNS service
version_added: 0.1.0
description:
  - An inventory of your hosts by full name. With O(others=true) and an administrator's token, of all hosts.
  - Each field of a host becomes a variable, such as C(ddns_ipv4) and C(ddns_domain). The fields are listed in
    RV(ignore:hosts) of M(fedcloud.ddns.ddns_host_info). Their values are never evaluated as templates.
  - The source is a file whose name ends in C(ddns.yml) or C(ddns.yaml).
author:
  - fedcloud.ddns project (@fedcloud)
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description:
      - The name of this plugin.
    type: str
    required: true
    choices: [fedcloud.ddns.ddns]
  api_url:
    description:
      - Base URL of the service, such as V(https://ddns.example.org). It may be a template.
      - If E(DDNS_SERVER) is set, too, both must name the same service.
    type: str
    required: true
    env:
      - name: DDNS_SERVER
  api_token:
    description:
      - Your token. The scope C(read) is enough. It may be encrypted with C(ansible-vault), or a template.
      - The token in E(DDNS_TOKEN) is sent only to a service that E(DDNS_SERVER) names, and never to one that only the
        source names.
    type: str
    required: true
    env:
      - name: DDNS_TOKEN
  validate_certs:
    description:
      - Whether to check the server's certificate.
    type: bool
    default: true
  ca_path:
    description:
      - A file with the certificates (PEM) of the authorities to trust, instead of the system's.
    type: path
  timeout:
    description:
      - How many seconds to wait for an answer.
    type: int
    default: 30
  domain:
    description:
      - Only hosts in these domains.
    type: list
    elements: str
  stack:
    description:
      - Only hosts of these stacks.
    type: list
    elements: str
  labels:
    description:
      - Only hosts that have all of these labels.
    type: dict
    default: {}
  others:
    description:
      - Whether to list hosts of other users, too. This needs an administrator's token.
      - Their owners choose stacks and labels, and so the groups of these hosts. Use C(ddns_own) and C(ddns_owner) to
        tell hosts of other users from yours.
    type: bool
    default: false
  group_by:
    description:
      - The groups to create. V(domain) creates C(ddns_domain_dyn_example_org), V(stack) C(ddns_stack_web_prod),
        V(labels) C(ddns_label_role_worker).
    type: list
    elements: str
    choices: [domain, stack, labels]
    default: [domain, stack, labels]
seealso:
  - module: fedcloud.ddns.ddns_host_info
"""

EXAMPLES = r"""
# All hosts, grouped by domain, stack and label. DDNS_SERVER and DDNS_TOKEN are set.
plugin: fedcloud.ddns.ddns

---
# The hosts of one stack, reached by their registered addresses. A resolver's cache may still have older ones.
plugin: fedcloud.ddns.ddns
api_url: https://ddns.example.org
api_token: "{{ lookup('ansible.builtin.file', '~/.config/ddns/token') }}"
stack: [web-prod]
group_by: []
compose:
  ansible_host: ddns_ipv4 or ddns_ipv6
groups:
  workers: ddns_labels.role | default('') == 'worker'
keyed_groups:
  - key: ddns_labels.role
    prefix: role
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/ddns-inventory
cache_timeout: 300
"""

import os
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible import info
from ansible_collections.fedcloud.ddns.plugins.module_utils._ansible.task import Task, variable_of
from ansible_collections.fedcloud.ddns.plugins.module_utils._sync.connect import VARIABLE, Named
from ansible_collections.fedcloud.ddns.plugins.module_utils._sync.errors import SyncError

CONNECTION = ("validate_certs", "ca_path", "timeout")
FILTERS = ("domain", "stack", "labels", "others")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):  # type: ignore[misc]
    """The inventory plugin."""

    NAME = "fedcloud.ddns.ddns"

    def verify_file(self, path: str) -> bool:
        """Whether the file is for this plugin, by its name."""
        return bool(super().verify_file(path)) and path.endswith(("ddns.yml", "ddns.yaml"))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add the hosts to the inventory."""
        super().parse(inventory, loader, path)
        self._source = self._read_config_data(path)
        for host in self._cached(path, cache):
            self._add(wrap_var(host))

    def _cached(self, path: str, cache: bool) -> list[dict[str, Any]]:
        """The hosts from the cache or the service. The filters of the source are already applied to cached hosts."""
        self.load_cache_plugin()
        key = self.get_cache_key(path)
        usable = cache and self.get_option("cache")
        if usable and key in self._cache:
            kept: list[dict[str, Any]] = self._cache[key]
            return kept
        hosts = self._registered()
        if self.get_option("cache"):
            self._cache[key] = hosts
        return hosts

    def _registered(self) -> list[dict[str, Any]]:
        params = {name: self.get_option(name) for name in (*CONNECTION, *FILTERS)}
        url, token = self._templated("api_url"), self._templated("api_token")
        declared = url if self._source.get("api_url") else None
        servers = Named(None, os.environ.get(VARIABLE) or None, declared, "the inventory's source", flag="")
        try:
            params.update(api_url=servers.url_for(variable_of(token)), api_token=token, name=None)
            hosts: list[dict[str, Any]] = info.hosts(Task(params))["hosts"]
        except SyncError as error:
            raise AnsibleParserError(str(error)) from error
        return hosts

    def _templated(self, option: str) -> Any:
        value = self.get_option(option)
        return self.templar.template(value) if self.templar.is_template(value) else value

    def _add(self, host: dict[str, Any]) -> None:
        name = host["fqdn"]
        self.inventory.add_host(name)
        for fact, value in host.items():
            self.inventory.set_variable(name, f"ddns_{fact}", value)
        for group in self._groups(host):
            self.inventory.add_group(group)
            self.inventory.add_child(group, name)
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), self.inventory.get_host(name).get_vars(), name, strict)
        variables = self.inventory.get_host(name).get_vars()
        self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict)

    def _groups(self, host: dict[str, Any]) -> list[str]:
        wanted, groups = self.get_option("group_by"), []
        if "domain" in wanted:
            groups.append(f"ddns_domain_{host['domain']}")
        if "stack" in wanted and host["stack"] is not None:
            groups.append(f"ddns_stack_{host['stack']}")
        if "labels" in wanted:
            groups += [f"ddns_label_{key}_{value}" for key, value in sorted(host["labels"].items())]
        return [self._sanitize_group_name(group) for group in groups]
