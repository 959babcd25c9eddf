# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed queries and updates of one zone, for commands: calls block."""

import socket

import dns.exception
import dns.message
import dns.query
import dns.rcode

from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.endpoint import Endpoint
from ddnsd.dns.tsig import TsigKey

SECONDS = 5.0


class ZoneClient:
    """Sends messages about a zone to the primary at `endpoint`. `title` names the zone in errors."""

    def __init__(self, title: str, endpoint: Endpoint, key: TsigKey) -> None:
        self._title, self._endpoint, self._key = title, endpoint, key

    def ask(self, message: dns.message.Message) -> dns.message.Message:
        """Sign and send the message. Returns the answer, also NXDOMAIN; raises BindError for every other error."""
        message.use_tsig(self._key.dnspython)
        host, port = self._endpoint.host, self._endpoint.port
        try:
            with socket.create_connection((host, port), timeout=SECONDS) as connection:
                connection.setblocking(False)
                answer = dns.query.tcp(message, host, timeout=SECONDS, sock=connection)
        except (OSError, dns.exception.DNSException) as error:
            raise BindError(f"{self._title} at {self._endpoint}: {str(error) or type(error).__name__}") from None
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise BindError(f"{self._title} at {self._endpoint}: {dns.rcode.to_text(answer.rcode())}")
        return answer
