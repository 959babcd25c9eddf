# SPDX-License-Identifier: GPL-3.0-or-later
"""`/update` of Duck DNS. The answer is `OK` or `KO`, for all names together."""

from ddnsd.auth.authenticate import SignIn
from ddnsd.auth.caller import SignInError
from ddnsd.auth.oidc import ProviderDown
from ddnsd.dns.errors import NotAcknowledged
from ddnsd.registry import addresses, names
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.errors import RegistryError, StoreDown, UnknownPeer
from ddnsd.registry.host_access import HostAccess
from ddnsd.registry.unknown_fronts import Fronts
from ddnsd.registry.update_requests import MOST_NAMES, UpdateRequests
from ddnsd.web.asgi import Handler, Reply, Request, text_reply
from ddnsd.web.context import author
from ddnsd.web.dyndns.agents import Agents
from ddnsd.web.dyndns.peer import note_silent_front
from ddnsd.web.dyndns.return_codes import counter


class DuckDnsView:
    """The handler of `/update`. `other` handles requests of other protocols at this path, which UniFi sends."""

    def __init__(
        self,
        signin: SignIn,
        hosts: HostAccess,
        requests: UpdateRequests,
        agents: Agents,
        fronts: Fronts,
        other: Handler,
        *,
        loopback_peers: bool,
    ) -> None:
        self._signin, self._hosts, self._requests, self._agents = signin, hosts, requests, agents
        self._fronts, self._other, self._loopback_peers = fronts, other, loopback_peers

    async def update(self, request: Request) -> Reply:
        """`/update?domains=&token=&ip=&ipv6=&clear=`: update all names and return `OK`, else `KO`."""
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
        if not labels or len(labels) > MOST_NAMES or not token or "txt" in request.params:
            return False  # with `txt` Duck DNS sets only the TXT record, which is not supported here
        caller = await self._signin.by_secret(token, labels[0], request.peer)
        if self._agents.refused(request.agent):
            return False
        update = self._parse(request)
        hosts = [await self._hosts.by_label(caller, label) for label in labels]
        by = author(caller, request.peer, request.agent)
        await self._requests.apply_to_all(hosts, update, tls=request.tls, author=by)
        return True

    def _parse(self, request: Request) -> AddressUpdate:
        """The wanted addresses. Raises InvalidAddress, UnknownPeer."""
        if request.params.get("clear", "").lower() == "true":
            return AddressUpdate(remove=frozenset({"ipv4", "ipv6"}))
        values = [request.params[name] for name in ("ip", "ipv6") if name in request.params]
        return addresses.parse(values, request.peer, loopback_peers=self._loopback_peers)
