# SPDX-License-Identifier: GPL-3.0-or-later
"""How to reach the service."""

from __future__ import annotations


class ModuleDocFragment:
    """Options that every module has."""

    DOCUMENTATION = r"""
options:
  api_url:
    description:
      - Base URL of the service, such as V(https://ddns.example.org).
      - The environment variable E(DDNS_SERVER) counts where the option is not given.
    type: str
    required: true
  api_token:
    description:
      - The token of whoever makes the changes, from the portal or C(ddnsd token add); with EGI, an access token.
      - The environment variable E(DDNS_TOKEN) counts where the option is not given.
    type: str
    required: true
  validate_certs:
    description:
      - Whether to trust only a certificate that a known authority has signed.
      - Without that, anybody on the way can read the token.
    type: bool
    default: true
  ca_path:
    description:
      - A file of certificates (PEM) of the authorities to trust, instead of the system's.
    type: path
  timeout:
    description:
      - How long to wait for an answer, in seconds.
    type: int
    default: 30
notes:
  - The service is asked from the host that the task is for. With a local connection (C(connection=local),
    C(delegate_to=localhost)) that is done in the controller's own process, without starting Python for each item of a
    loop. The variable C(ddns_in_process) says otherwise, V(true) or V(false), for a task, a play or a host.
  - Set the connection options once for all modules by C(module_defaults) of the group C(group/fedcloud.ddns.ddns).
"""
