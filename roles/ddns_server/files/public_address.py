# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the first public address of the arguments, or 192.0.2.1 if there is none. Other words are ignored."""

import ipaddress
import sys


def public(words: list[str]) -> str:
    """The first address that everybody can reach."""
    for word in words:
        try:
            address = ipaddress.ip_address(word)
        except ValueError:
            continue
        if address.is_global and not address.is_multicast:
            return str(address)
    return "192.0.2.1"


if __name__ == "__main__":
    print(public(sys.argv[1:]))  # noqa: T201
