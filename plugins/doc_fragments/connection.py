# SPDX-License-Identifier: GPL-3.0-or-later
"""Options for the connection to the service."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of all modules."""

    DOCUMENTATION = r"""
options:
  api_url:
    description:
      - Base URL of the service, such as V(https://ddns.example.org).
      - The default is the environment variable E(DDNS_SERVER).
    type: str
    required: true
  api_token:
    description:
      - Your token, from the portal or C(ddnsd token add). With EGI's service, an access token.
      - The default is the environment variable E(DDNS_TOKEN).
    type: str
    required: true
  validate_certs:
    description:
      - Whether to check the server's certificate.
      - Without the check, an attacker on the network can read the token.
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
notes:
  - The requests are sent from the task's host. With a local connection (C(connection=local),
    C(delegate_to=localhost)), the task runs in the controller's own process, so a loop does not start Python for each
    item. Set the variable C(ddns_in_process) to V(true) or V(false) to choose this for a task, a play or a host.
  - Set the connection options once for all modules, in C(module_defaults) of the group C(group/fedcloud.ddns.ddns).
"""
