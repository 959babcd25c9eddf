# SPDX-License-Identifier: GPL-3.0-or-later
"""`/update` of Duck DNS. The answer is `OK` or `KO`, for all names together."""

import contextlib

from ddnsd.auth.authenticate import SignIn
from ddnsd.auth.caller import SignInError
from ddnsd.auth.oidc import ProviderDown
from ddnsd.dns.errors import NotAcknowledged
from ddnsd.registry import addresses, names
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.errors import NoHost, RegistryError, StoreDown, UnknownPeer
from ddnsd.registry.host_access import HostAccess
from ddnsd.registry.hosts import still
from ddnsd.registry.records import RRsets
from ddnsd.registry.rows import Author, Host
from ddnsd.registry.unknown_fronts import Fronts
from ddnsd.registry.update_requests import MOST_NAMES, UpdateRequests
from ddnsd.registry.updates import check_takes_records
from ddnsd.web.asgi import Handler, Reply, Request, text_reply
from ddnsd.web.context import author
from ddnsd.web.dyndns.agents import Agents
from ddnsd.web.dyndns.peer import note_silent_front
from ddnsd.web.dyndns.return_codes import counter

CHALLENGE = "_acme-challenge", "TXT"
"""The name below a host, and the type, of the record that `txt` sets."""


class DuckDnsView:
    """The handler of `/update`. With `txt` it sets TXT records of `_acme-challenge` below the hosts, for ACME clients.

    Duck DNS answers with the text at each name below a host. Here the host's own TXT records stay as they are.

    `other` handles requests of other protocols at this path, which UniFi sends."""

    def __init__(
        self,
        signin: SignIn,
        hosts: HostAccess,
        requests: UpdateRequests,
        agents: Agents,
        fronts: Fronts,
        other: Handler,
        rrsets: RRsets,
        *,
        loopback_peers: bool,
    ) -> None:
        self._signin, self._hosts, self._requests, self._agents = signin, hosts, requests, agents
        self._fronts, self._other, self._rrsets, self._loopback_peers = fronts, other, rrsets, loopback_peers

    async def update(self, request: Request) -> Reply:
        """`/update?domains=&token=&ip=&ipv6=&txt=&clear=`: update all names and return `OK`, else `KO`."""
        if "domains" not in request.params and "token" not in request.params:
            return await self._other(request)
        try:
            done = await self._update(request)
        except UnknownPeer:
            note_silent_front(self._fronts, request)
            done = False
        except (SignInError, ProviderDown, RegistryError, NotAcknowledged, StoreDown):
            done = False
        code = "OK" if done else "KO"
        counter(code).inc()
        return text_reply(200, code)

    async def _update(self, request: Request) -> bool:
        labels = [names.fold(name) for name in request.params.get("domains", "").split(",") if name.strip()]
        token = request.params.get("token", "").strip()
        if not labels or len(labels) > MOST_NAMES or not token:
            return False
        caller = await self._signin.by_secret(token, labels[0], request.peer)
        if self._agents.refused(request.agent):
            return False
        by = author(caller, request.peer, request.agent)
        if "txt" in request.params:
            hosts = [await self._hosts.by_label(caller, label) for label in labels]
            for host in hosts:
                await self._set_text(host, "" if _clears(request) else request.params["txt"], by)
            return True
        update = self._parse(request)
        hosts = [await self._hosts.by_label(caller, label) for label in labels]
        await self._requests.apply_to_all(caller, hosts, update, tls=request.tls, author=by)
        return True

    async def _set_text(self, host: Host, text: str, by: Author) -> None:
        """Set the TXT record of an ACME client; "" removes it. Raises RegistryError, StoreDown."""
        check_takes_records(host)
        expect = still(host, check_takes_records)
        if text:
            await self._rrsets.put(host, *CHALLENGE, [text], None, by, expect)
            return
        with contextlib.suppress(NoHost):  # there is none
            await self._rrsets.remove(host, *CHALLENGE, by, expect)

    def _parse(self, request: Request) -> AddressUpdate:
        """The wanted addresses. Raises InvalidAddress, UnknownPeer."""
        if _clears(request):
            return AddressUpdate(remove=frozenset({"ipv4", "ipv6"}))
        values = [request.params[name] for name in ("ip", "ipv6") if name in request.params]
        return addresses.parse(values, request.peer, loopback_peers=self._loopback_peers)


def _clears(request: Request) -> bool:
    return request.params.get("clear", "").lower() == "true"
