# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of devices, which follow from a fleet key and a MAC address; and signed requests, for devices without TLS.

    device key  base64url without padding of HMAC-SHA256(fleet key, "ddnsd-device-1" 0x00 MAC)
    signature   hexadecimal HMAC-SHA256(device key, device "|" time "|" address)

Both keys are used as the text that people see. The service must know a fleet key to derive the keys of its devices, so
it is stored encrypted with a key outside the database.
"""

import base64
import hashlib
import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ddnsd.auth.sealing import SealingKeys
from ddnsd.db import queries
from ddnsd.db.fleets import FleetKey

CLOCK_SECONDS = 300
"""How far the clock of a device may be off."""

LOGIN_PREFIX = "f-"

_LABEL = b"ddnsd-device-1\0"
_LOGIN = re.compile(r"f-([1-9][0-9]{0,17})\.([0-9a-f]{12})")
_MAC = re.compile(r"[0-9a-f]{2}([:-]?)[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}")
_TIME = re.compile(r"[0-9]{1,12}")
_PURPOSE = "fleet"
_REMEMBERED = 1000


class DeviceLogin(NamedTuple):
    """The user name of a device: the id of its fleet, and its MAC address as 12 lower-case hexadecimal digits."""

    fleet_id: int
    mac: str

    @classmethod
    def of_text(cls, text: str) -> "DeviceLogin | None":
        """The login of a folded user name, or None. No host has such a name: its domain would have one label."""
        if not text.startswith(LOGIN_PREFIX) or (found := _LOGIN.fullmatch(text)) is None:
            return None
        return cls(int(found[1]), found[2])

    def __str__(self) -> str:
        return f"{LOGIN_PREFIX}{self.fleet_id}.{self.mac}"


class SignedRequest(NamedTuple):
    """An update without TLS: the parameters `device`, `time`, `myip` and `sig`, as they were sent."""

    device: str
    time: str
    myip: str
    sig: str

    @property
    def text(self) -> str:
        """What the signature covers."""
        return f"{self.device}|{self.time}|{self.myip}"


def mac_digits(text: str) -> str | None:
    """The 12 lower-case digits of a MAC address, with or without colons or hyphens; None if it is not valid."""
    folded = text.strip().lower()
    return folded.replace(":", "").replace("-", "") if _MAC.fullmatch(folded) else None


def device_key(fleet_key: str, mac: str) -> str:
    """The key of the device with these 12 lower-case digits."""
    digest = hmac.digest(fleet_key.encode(), _LABEL + mac.encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def signature(key: str, text: str) -> str:
    """The signature of a request with a device key."""
    return hmac.digest(key.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()


def seal(keys: SealingKeys, fleet: str, fleet_key: str) -> str:
    """Encrypt the key of the fleet with this name."""
    return keys.seal(_PURPOSE, fleet, fleet_key)


def fresh_time(text: str, clock: Callable[[], float] = time.time) -> int | None:
    """The time of a signed request in seconds, if a clock that is not far off may show it now; else None."""
    if not _TIME.fullmatch(text) or abs(int(text) - clock()) > CLOCK_SECONDS:
        return None
    return int(text)


class DeviceKeys:
    """Derives the keys of devices; none without `keys`."""

    def __init__(self, keys: SealingKeys | None) -> None:
        self._keys = keys
        self._opened: OrderedDict[str, str] = OrderedDict()

    def of(self, rows: Iterable[FleetKey], mac: str) -> list[str]:
        """The keys that the device may use now: one for each key of its fleet that has not ended."""
        moment = queries.now()
        opened = (self._open(row) for row in rows if row.until is None or row.until > moment)
        return [device_key(key, mac) for key in opened if key is not None]

    def _open(self, row: FleetKey) -> str | None:
        if (known := self._opened.get(row.sealed)) is not None:
            return known
        key = None if self._keys is None else self._keys.unseal(_PURPOSE, row.name, row.sealed)
        if key is not None:
            self._opened[row.sealed] = key
            if len(self._opened) > _REMEMBERED:
                self._opened.popitem(last=False)
        return key
