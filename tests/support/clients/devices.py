# SPDX-License-Identifier: GPL-3.0-or-later
"""A device of a fleet, as its maker programs it: nothing of the service's code."""

import base64
import hashlib
import hmac
import time
from dataclasses import dataclass

import requests

from support.servers.service import Service


@dataclass(frozen=True)
class FleetKey:
    """What `ddnsd fleet add` has printed."""

    service: Service
    name: str
    id: str
    key: str

    def device(self, mac: str) -> "Device":
        """A device that leaves the factory with its own key."""
        digest = hmac.digest(self.key.encode(), b"ddnsd-device-1\0" + mac.encode(), hashlib.sha256)
        return Device(self.service, self.id, mac, base64.urlsafe_b64encode(digest).decode().rstrip("="))


@dataclass(frozen=True)
class Device:
    """A device with its MAC address and its key."""

    service: Service
    fleet: str
    mac: str
    key: str

    @property
    def login(self) -> str:
        return f"{self.fleet}.{self.mac}"

    def get(self, path: str = "/nic/update", **params: str) -> requests.Response:
        """A request with the device's user name and password."""
        return self.service.get(path, auth=(self.login, self.key), params=params)

    def update(self, myip: str, **params: str) -> str:
        """The text of the answer to an update."""
        return self.get(myip=myip, **params).text

    def signed(self, myip: str, at: int | None = None) -> dict[str, str]:
        """The parameters of a signed update."""
        params = {"device": self.login, "time": str(int(time.time()) if at is None else at), "myip": myip}
        return params | {"sig": hmac.new(self.key.encode(), "|".join(params.values()).encode(), "sha256").hexdigest()}

    def send(self, params: dict[str, str], path: str = "/nic/update") -> str:
        """The text of the answer to a signed request."""
        return self.service.get(path, params=params).text


def add_fleet(service: Service, name: str, *options: str, pattern: str | None = None) -> FleetKey:
    """Create a fleet."""
    given = ("--domain", service.domain, "--pattern", pattern or f"{name}-{{mac}}", *options)
    fleet_id, _, key = service.cli("fleet", "add", name, *given).stdout.strip().partition(":")
    return FleetKey(service, name, fleet_id, key)
