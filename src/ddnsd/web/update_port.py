# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients need to know of the port for DNS UPDATE: where it is, and the TSIG key that belongs to a secret."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from ddnsd.auth.tsig_secrets import tsig_secret
from ddnsd.dns.endpoint import Endpoint

OLD_DEVICES = "hmac-md5"
"""The only algorithm of some routers."""


EVERY = ("0.0.0.0", "::")  # noqa: S104 - only compared
"""Addresses of listeners at all addresses."""


@dataclass(frozen=True)
class UpdatePort:
    """`server` is a name or an address, `address` an address, or None if only the name is known.

    `algorithms` are those that the service accepts, by their names in TSIG.
    """

    server: str
    address: str | None
    port: int
    algorithms: tuple[str, ...]

    @classmethod
    def of(cls, listen: Sequence[str], algorithms: Sequence[str], public_host: str) -> Self | None:
        """The port of a service that listens at these addresses; None if there are none.

        A service that listens at all addresses has the name of its public URL.
        """
        if not listen:
            return None
        endpoint = Endpoint.from_text(listen[0])
        every = endpoint.host in EVERY
        server = public_host.strip("[]") if every else endpoint.host
        return cls(server, _address(server), endpoint.port, tuple(algorithms))

    @property
    def endpoint(self) -> str:
        """Server and port as one text."""
        return str(Endpoint(self.server, self.port))

    @property
    def algorithm(self) -> str:
        """The algorithm for clients that can choose."""
        return next((name for name in self.algorithms if name != OLD_DEVICES), self.algorithms[0])

    def key(self, name: str, secret: str) -> dict[str, str]:
        """The TSIG key of the host, key or token `name` with this secret."""
        return {"name": name, "algorithm": self.algorithm, "secret": tsig_secret(secret)}


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
