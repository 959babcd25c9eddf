# SPDX-License-Identifier: GPL-3.0-or-later
"""FreeDNS's forms: `/dynamic/update.php?TOKEN` and `/u/TOKEN/`. The token is the secret of a host or key.

The answers are those of FreeDNS, because its clients search them for words: a line per host. An error begins with
`ERROR`.
"""

from ddnsd.auth.authenticate import SignIn
from ddnsd.auth.caller import SignInError
from ddnsd.auth.oidc import ProviderDown
from ddnsd.registry import addresses
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.errors import InvalidAddress, StoreDown, UnknownPeer
from ddnsd.registry.last_seen import LastSeen
from ddnsd.registry.unknown_fronts import Fronts
from ddnsd.registry.update_requests import MOST_NAMES, Refusal, UpdateRequests
from ddnsd.registry.updates import Outcome
from ddnsd.web.asgi import Reply, Request, text_reply
from ddnsd.web.context import author
from ddnsd.web.dyndns.agents import Agents
from ddnsd.web.dyndns.peer import note_silent_front
from ddnsd.web.dyndns.return_codes import RETURN_CODES, counter

QUERY_PATH, TOKEN_PATH = "/dynamic/update.php", "/u/"
ADDRESS_PARAMETERS = ("address", "ip")
UNKNOWN = "ERROR: Invalid update URL"
LATER = "ERROR: 911, try again later"


class FreeDnsView:
    """The handler of both paths."""

    def __init__(
        self,
        signin: SignIn,
        requests: UpdateRequests,
        agents: Agents,
        last_seen: LastSeen,
        fronts: Fronts,
        *,
        loopback_peers: bool,
    ) -> None:
        self._signin, self._requests, self._agents = signin, requests, agents
        self._last_seen, self._fronts, self._loopback_peers = last_seen, fronts, loopback_peers

    async def update(self, request: Request) -> Reply:
        """Set the addresses of the token's hosts: those of `address`, else the caller's address."""
        try:
            lines, status = await self._lines(request)
        except SignInError:
            counter("badauth").inc()
            lines, status = [UNKNOWN], 200
        except (StoreDown, ProviderDown):
            counter("911").inc()
            lines, status = [LATER], 503
        return text_reply(status, "\n".join(lines))

    async def _lines(self, request: Request) -> tuple[list[str], int]:
        caller = await self._signin.by_secret(_token(request), "", request.peer)
        hosts = caller.hosts[:MOST_NAMES]
        if not hosts:  # a token of the API names no host
            return [UNKNOWN], 200
        update: AddressUpdate | Refusal = Refusal.BAD_AGENT
        if not self._agents.refused(request.agent):
            update = self._parse(request)
        if update is Refusal.UNKNOWN_PEER:
            note_silent_front(self._fronts, request)
        if update is Refusal.BAD_AGENT:
            await self._requests.count_refusal(caller, update)
            counter(RETURN_CODES[update]).inc()
            return [f"ERROR: {RETURN_CODES[update]}"], 200
        by = author(caller, request.peer, request.agent)
        lines, status = [], 200
        for host in hosts:
            _, result = await self._requests.apply(caller, host.fqdn, update, tls=request.tls, author=by)
            code, line = _answer(request.path, host.fqdn, result)
            counter(code).inc()
            if update is not Refusal.UNKNOWN_PEER:
                self._last_seen.note(host.id, request.peer, request.agent, code, request.tls)
            lines.append(line)
            status = 503 if code == "911" else status
        return lines, status

    def _parse(self, request: Request) -> AddressUpdate | Refusal:
        values = [request.params[name] for name in ADDRESS_PARAMETERS if name in request.params]
        try:
            return addresses.parse(values, request.peer, loopback_peers=self._loopback_peers)
        except InvalidAddress:
            return Refusal.BAD_ADDRESS
        except UnknownPeer:
            return Refusal.UNKNOWN_PEER


def _token(request: Request) -> str:
    """The secret in the path, or the name of the first parameter without a value; "" if there is none."""
    if request.path.startswith(TOKEN_PATH):
        return request.path.removeprefix(TOKEN_PATH)
    return next((name for name, value in request.params.items() if not value), "")


def _answer(path: str, fqdn: str, result: Outcome | Refusal) -> tuple[str, str]:
    """The return code, and the line as FreeDNS words it."""
    if isinstance(result, Refusal):
        code = RETURN_CODES[result]
        return code, LATER if code == "911" else f"ERROR: {code}"
    shown = ", ".join(result.addresses)
    if result.changed:
        return "good", f"Updated 1 host(s) {fqdn} to {shown}"
    if path == QUERY_PATH:
        return "nochg", f"ERROR: Address {shown} has not changed."
    return "nochg", f"No IP change detected for {fqdn} with IP {shown}, skipping update"
