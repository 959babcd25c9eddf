# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls Infrastructure Manager's EGI connector; runs in the clients' own environment.

Standard input: `{"url", "token"?, "calls": [["add"|"del"|"certify", hostname, domain, ip], …]}`. Standard output: one
line of JSON for each call, `{"result", "log"}`, where the log also holds what the connector prints; of `certify` also
`name`, `key` and `chain`, as the manager hands them to the machine.
"""

import contextlib
import io
import json
import logging
import sys

from IM.auth import Authentication
from IM.connectors.EGI import EGICloudConnector


class Machine:
    """Takes what the connector stores of a certificate."""

    def __init__(self) -> None:
        self.stored: dict[str, str] = {}

    def set_tls_certificate(self, hostname: str, domain: str, key: str, chain: str) -> None:
        self.stored = {"name": f"{hostname}.{domain}", "key": key, "chain": chain}


def main() -> None:
    task = json.load(sys.stdin)
    EGICloudConnector.DYDNS_URL = task["url"]
    manager = {"type": "InfrastructureManager"} | ({"token": task["token"]} if "token" in task else {"username": "im"})
    connector = EGICloudConnector(None, None)
    for operation, *arguments in task["calls"]:
        log = io.StringIO()
        handler = logging.StreamHandler(log)
        connector.logger.setLevel(logging.DEBUG)
        connector.logger.handlers = [handler]
        connector.logger.propagate = False
        machine = Machine()
        with contextlib.redirect_stdout(log):
            if operation == "certify":
                result = connector.create_tls_certificate(machine, *arguments, Authentication([manager]))
            else:
                result = getattr(connector, f"{operation}_dns_entry")(*arguments, Authentication([manager]))
        print(json.dumps({"result": result, "log": log.getvalue(), **machine.stored}), flush=True)


if __name__ == "__main__":
    main()
