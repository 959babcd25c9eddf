# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol dyndns2 of No-IP, Dyn and EGI: updates, deletion, and the caller's address."""

from collections.abc import Callable, Sequence

from ddnsd.auth.authenticate import SignIn
from ddnsd.auth.caller import BadCredentials, Caller, Kind, NoCredentials, NotFqdn, SignInError
from ddnsd.auth.device_keys import SignedRequest
from ddnsd.auth.oidc import ProviderDown
from ddnsd.registry import addresses, names
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.errors import InvalidAddress, StoreDown, UnknownPeer
from ddnsd.registry.fleet_devices import FleetDevices
from ddnsd.registry.last_seen import LastSeen
from ddnsd.registry.rows import Host
from ddnsd.registry.unknown_fronts import Fronts
from ddnsd.registry.update_requests import (
    MOST_NAMES,
    Refusal,
    RequestRefused,
    UpdateRequests,
    check_count,
    is_suspended,
)
from ddnsd.registry.updates import Outcome
from ddnsd.web.asgi import Reply, Request, text_reply
from ddnsd.web.context import author
from ddnsd.web.dyndns.agents import Agents
from ddnsd.web.dyndns.peer import bare_address, note_silent_front
from ddnsd.web.dyndns.return_codes import RETURN_CODES, counter, status_of

ADDRESS_PARAMETERS = ("myip", "myipv4", "ipv4", "ip", "myipv6", "ipv6", "ip6")
CHALLENGE = (b"www-authenticate", b'Basic realm="Dynamic DNS"')
RECORD_TYPES = {"ipv4": "A", "ipv6": "AAAA"}
DELETE_PATH = "/nic/delete"

Parse = Callable[[Request], AddressUpdate | Refusal]


class _CrossSite(Exception):
    """a page of another site makes a browser send the credentials that it has stored"""


class Dyndns2Views:
    """The handlers of `/nic/update`, `/nic/delete` and `/myip`."""

    def __init__(
        self,
        signin: SignIn,
        requests: UpdateRequests,
        agents: Agents,
        last_seen: LastSeen,
        fronts: Fronts,
        devices: FleetDevices,
        *,
        offline: bool,
        query_credentials: bool,
        loopback_peers: bool,
    ) -> None:
        self._signin, self._requests, self._agents = signin, requests, agents
        self._last_seen, self._fronts, self._loopback_peers = last_seen, fronts, loopback_peers
        self._devices = devices
        self.use(offline=offline, query_credentials=query_credentials)

    def use(self, *, offline: bool, query_credentials: bool) -> None:
        """Allow or refuse `offline=YES` and credentials in the query from now on."""
        self._offline, self._query_credentials = offline, query_credentials

    async def update(self, request: Request) -> Reply:
        """`GET|POST /nic/update`: update hosts. The answer has one line per name."""
        return await self._run(request, self._parse_update)

    async def delete(self, request: Request) -> Reply:
        """`GET|POST /nic/delete`: remove the records of the given families."""
        return await self._run(request, _parse_removal)

    async def myip(self, request: Request) -> Reply:
        """`GET /myip`: return only the caller's address."""
        if request.peer is None:
            note_silent_front(self._fronts, request)
            return text_reply(503, "911")
        return text_reply(200, str(bare_address(request.peer)))

    async def _run(self, request: Request, parse: Parse) -> Reply:
        try:
            caller, request = await self._caller(request)
        except _CrossSite:
            counter("badauth").inc()
            return text_reply(403, "badauth")
        except NotFqdn:
            return _reply(["notfqdn"], self._agents.sees_status(request.agent))
        except SignInError as error:
            if isinstance(error, BadCredentials) and error.host_id is not None:
                # without the agent: a stranger would choose what the owner reads
                self._last_seen.note(error.host_id, request.peer, "", "badauth", request.tls)
            counter("badauth").inc()
            return text_reply(401, "badauth", CHALLENGE)
        except (StoreDown, ProviderDown):
            return _reply(["911"], True)
        true_status = caller.kind is Kind.USER or self._agents.sees_status(request.agent)
        try:
            return _reply(await self._lines(request, caller, parse), true_status)
        except StoreDown:
            return _reply(["911"], true_status)

    async def _caller(self, request: Request) -> tuple[Caller, Request]:
        """The caller, and the request without what a signature does not cover. Raises SignInError, _CrossSite."""
        if header := request.header("authorization"):
            if _is_basic(header) and request.header("sec-fetch-site") in ("cross-site", "same-site"):
                raise _CrossSite
            return await self._signin.by_header(header, request.peer), request
        if "sig" in request.params and request.path != DELETE_PATH:
            return await self._signed(request)
        name, password = request.params.get("username", ""), request.params.get("password", "")
        if not name or not password:
            raise NoCredentials
        caller = await self._signin.by_password(name, password, request.peer)
        new = caller.kind is Kind.DEVICE and not caller.hosts
        allowed = not new and all(host.query_credentials for host in caller.hosts)
        if not (self._query_credentials or allowed):
            raise BadCredentials
        return caller, request

    async def _signed(self, request: Request) -> tuple[Caller, Request]:
        signed = SignedRequest(*(request.params.get(name, "") for name in SignedRequest._fields))
        caller, at = await self._signin.by_signature(signed, request.peer)
        await self._devices.use_time(caller, at)
        return caller, request._replace(params={"myip": signed.myip} if signed.myip else {})

    async def _lines(self, request: Request, caller: Caller, parse: Parse) -> list[str]:
        fqdns = [names.fold(name) for name in request.params.get("hostname", "").split(",") if name.strip()]
        if is_suspended(caller):
            self._note(request, caller.hosts[0].id, "nohost")
            return ["nohost"] * min(max(len(fqdns), 1), MOST_NAMES)
        by = author(caller, request.peer, request.agent)
        try:
            if self._agents.refused(request.agent):
                raise RequestRefused(Refusal.BAD_AGENT)
            check_count(fqdns)
            update = parse(request)
            if caller.kind is Kind.DEVICE and not caller.hosts:
                caller = await self._devices.with_host(caller, by, tls=request.tls)
        except RequestRefused as error:
            return await self._refused(request, caller, error.refusal)
        if fqdns in ([], ["yes"]):
            fqdns = [host.fqdn for host in caller.hosts] or [""]
        if update is Refusal.UNKNOWN_PEER:
            note_silent_front(self._fronts, request)
        if len(fqdns) == 1:
            host, result = await self._requests.apply(caller, fqdns[0], update, tls=request.tls, author=by)
            return [self._line(request, update, host, result)]
        results = await self._requests.apply_each(caller, fqdns, update, tls=request.tls, author=by)
        return [self._line(request, update, host, result) for host, result in results]

    async def _refused(self, request: Request, caller: Caller, refusal: Refusal) -> list[str]:
        await self._requests.count_refusal(caller, refusal)
        code = RETURN_CODES[refusal]
        for host in caller.hosts[:MOST_NAMES]:
            self._note(request, host.id, code)
        return [code]

    def _line(
        self, request: Request, update: AddressUpdate | Refusal, host: Host | None, result: Outcome | Refusal
    ) -> str:
        """The answer's line for a name. A request from a known peer is noted as the last one for the host."""
        if isinstance(update, Refusal) or isinstance(result, Refusal):
            assert isinstance(result, Refusal)
            line = RETURN_CODES[result]
        else:
            line = _success(request.path, update, result)
        if host is not None and update is not Refusal.UNKNOWN_PEER:
            self._note(request, host.id, line.partition(" ")[0])
        return line

    def _note(self, request: Request, host_id: int, code: str) -> None:
        self._last_seen.note(host_id, request.peer, request.agent, code, request.tls)

    def _parse_update(self, request: Request) -> AddressUpdate | Refusal:
        """The wanted addresses. Raises RequestRefused."""
        if request.params.get("offline", "").upper() == "YES":
            if not self._offline:
                raise RequestRefused(Refusal.OFFLINE_DENIED)
            return AddressUpdate(remove=frozenset({"ipv4", "ipv6"}))
        try:
            return addresses.parse(_values(request), request.peer, loopback_peers=self._loopback_peers)
        except InvalidAddress:
            return Refusal.BAD_ADDRESS
        except UnknownPeer:
            return Refusal.UNKNOWN_PEER


def _is_basic(header: str) -> bool:
    return header.strip().partition(" ")[0].lower() == "basic"


def _values(request: Request) -> list[str]:
    return [request.params[name] for name in ADDRESS_PARAMETERS if name in request.params]


def _parse_removal(request: Request) -> AddressUpdate | Refusal:
    """The families of the records to remove: those of the given addresses, else the family of the caller's address."""
    try:
        items = addresses.elements(_values(request))
        if not items:
            if request.peer is None:
                return Refusal.UNKNOWN_PEER
            items = [request.peer]
        families = {f"ipv{bare_address(item).version}" for item in items}
    except ValueError:  # InvalidAddress is one
        return Refusal.BAD_ADDRESS
    return AddressUpdate(remove=frozenset(families), explicit=False)


def _success(path: str, update: AddressUpdate, outcome: Outcome) -> str:
    if path == DELETE_PATH:
        return "deleted " + ",".join(RECORD_TYPES[family] for family in sorted(update.remove))
    if update.remove:
        return "good"
    code = "good" if outcome.changed else "nochg"
    return f"{code} {','.join(outcome.addresses)}" if outcome.addresses else code


def _reply(lines: Sequence[str], true_status: bool) -> Reply:
    codes = [line.partition(" ")[0] for line in lines]
    for code in codes:
        counter(code).inc()
    return text_reply(status_of(codes, true_status), "\n".join(lines))
