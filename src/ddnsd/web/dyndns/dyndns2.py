# SPDX-License-Identifier: GPL-3.0-or-later
"""The update words: dyndns2 as No-IP, Dyn and EGI speak it, deletion, the caller's address, and Duck DNS's form.

Words of the answers: good nochg (done) · nohost notfqdn numhost dnserr badagent abuse badauth !donator (the client's
fault, for good) · 911 (ours, for now).
"""

import asyncio
import ipaddress
from collections.abc import Callable, Sequence
from functools import cache

import structlog
from prometheus_client import Counter

from ddnsd.auth.authenticate import SignIn
from ddnsd.auth.caller import BadCredentials, Caller, Kind, NoCredentials, NotFqdn, SignInError
from ddnsd.auth.oidc import ProviderDown
from ddnsd.auth.permissions import Action, can
from ddnsd.db.base import StoreDown
from ddnsd.db.lookups import Lookups
from ddnsd.db.rows import Host
from ddnsd.dns.errors import NotAcknowledged
from ddnsd.dns.writer import Fault, Writer
from ddnsd.registry import addresses, names
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.denylist import DenyList
from ddnsd.registry.errors import Blocked, DeniedAddress, Held, InvalidAddress, NoHost, RegistryError, UnknownPeer
from ddnsd.registry.last_seen import LastSeen
from ddnsd.registry.unknown_fronts import Fronts
from ddnsd.registry.updates import Updates
from ddnsd.web.asgi import Reply, Request, text_reply
from ddnsd.web.author import author

log = structlog.get_logger()

NAMES = 20
ADDRESS_PARAMETERS = ("myip", "myipv4", "ipv4", "ip", "myipv6", "ipv6", "ip6")
TRUE_STATUS = {"nohost": 404, "notfqdn": 400, "dnserr": 400, "numhost": 400, "abuse": 403, "badagent": 403}
CHALLENGE = (b"www-authenticate", b'Basic realm="Dynamic DNS"')
RECORD_TYPES = {"ipv4": "A", "ipv6": "AAAA"}

ANSWERS = Counter("ddnsd_answers_total", "Answers to update requests, by word", ["word"])
_counter = cache(ANSWERS.labels)


def answered() -> dict[str, float]:
    """How many requests were answered with each word since the process began."""
    (family,) = ANSWERS.collect()
    return {s.labels["word"]: s.value for s in family.samples if s.name.endswith("_total")}


class Agents:
    """User agents by their beginnings, in any case: denied, and those that see error words with an error status."""

    def __init__(
        self,
        deny: Sequence[str] = (),
        *,
        required: bool = False,
        true_status: Sequence[str] = (),
        also: DenyList | None = None,
    ) -> None:
        self._deny, self._also = tuple(d.lower() for d in deny), also or DenyList()
        self._true_status = tuple(t.lower() for t in true_status)
        self._required = required

    def refused(self, agent: str) -> bool:
        """Whether the agent is denied, or missing where one is required."""
        missing = self._required and not agent.strip()
        return missing or agent.lower().startswith(self._deny) or agent.lower().startswith(self._also.agents)

    def sees_status(self, agent: str) -> bool:
        """Whether the agent reads the status rather than the body."""
        return agent.lower().startswith(self._true_status)


class _ReturnCode(Exception):
    """Ends a request with one word."""


class Dyndns2Views:
    """The handlers of `/nic/update`, `/nic/delete`, `/update` and `/myip`."""

    def __init__(
        self,
        signin: SignIn,
        lookups: Lookups,
        updates: Updates,
        writer: Writer,
        agents: Agents,
        contacts: LastSeen,
        fronts: Fronts,
        *,
        offline: bool,
        query_credentials: bool,
        loopback_peers: bool,
    ) -> None:
        self._signin, self._lookups, self._updates, self._writer = signin, lookups, updates, writer
        self._agents, self._offline, self._contacts, self._fronts = agents, offline, contacts, fronts
        self._query_credentials, self._loopback_peers = query_credentials, loopback_peers

    async def update(self, request: Request) -> Reply:
        """`GET|POST /nic/update`: one line for each name."""
        return await self._run(request, self._address_update)

    async def delete(self, request: Request) -> Reply:
        """`GET|POST /nic/delete`: remove records of the named families."""
        return await self._run(request, self._removal)

    async def update_or_duck(self, request: Request) -> Reply:
        """`/update` is Duck DNS's path, and what UniFi makes of ours."""
        if "domains" in request.params or "token" in request.params:
            return await self.duck(request)
        return await self.update(request)

    async def myip(self, request: Request) -> Reply:
        """`GET /myip`: the caller's bare address."""
        if request.peer is None:
            self._blame_front(request)
            return text_reply(503, "911")
        return text_reply(200, str(_bare(request.peer)))

    # ---- dyndns2

    async def _run(self, request: Request, wish: Callable[[Request], AddressUpdate]) -> Reply:
        try:
            caller = await self._caller(request)
        except NotFqdn:
            return self._reply(["notfqdn"], self._agents.sees_status(request.agent))
        except SignInError as error:
            if isinstance(error, BadCredentials) and error.host_id is not None:
                self._note(request, error.host_id, "badauth")
            _counter("badauth").inc()
            return text_reply(401, "badauth", CHALLENGE)
        except (StoreDown, ProviderDown):
            return self._reply(["911"], True)
        true_status = caller.kind is Kind.USER or self._agents.sees_status(request.agent)
        try:
            lines = await self._lines(request, caller, wish)
        except _ReturnCode as word:
            if str(word) != "!donator":
                await self._client_fault(caller)
            for host in caller.hosts[:NAMES]:
                self._note(request, host.id, str(word))
            lines = [str(word)]
        except StoreDown:
            lines = ["911"]
        return self._reply(lines, true_status)

    async def _caller(self, request: Request) -> Caller:
        if header := request.header("authorization"):
            return await self._signin.by_header(header, request.peer)
        name, password = request.params.get("username", ""), request.params.get("password", "")
        if not name or not password:
            raise NoCredentials
        caller = await self._signin.by_password(name, password, request.peer)
        if not (self._query_credentials or all(host.query_credentials for host in caller.hosts)):
            raise BadCredentials
        return caller

    async def _lines(self, request: Request, caller: Caller, wish: Callable[[Request], AddressUpdate]) -> list[str]:
        wanted_names = [names.fold(n) for n in request.params.get("hostname", "").split(",") if n.strip()]
        if caller.kind is Kind.HOST and not caller.hosts[0].owner_active:
            self._note(request, caller.hosts[0].id, "nohost")
            return ["nohost"] * min(max(len(wanted_names), 1), NAMES)
        if self._agents.refused(request.agent):
            raise _ReturnCode("badagent")
        if len(wanted_names) > NAMES:
            raise _ReturnCode("numhost")
        if wanted_names in ([], ["yes"]):
            wanted_names = [host.fqdn for host in caller.hosts] or [""]
        address_update: AddressUpdate | InvalidAddress | UnknownPeer
        try:
            address_update = wish(request)
        except InvalidAddress as error:
            address_update = error
        except UnknownPeer as error:
            self._blame_front(request)
            address_update = error
        if len(wanted_names) == 1:
            return [await self._line(request, caller, wanted_names[0], address_update)]
        return await asyncio.gather(*(self._line(request, caller, name, address_update) for name in wanted_names))

    async def _line(
        self, request: Request, caller: Caller, name: str, address_update: AddressUpdate | InvalidAddress | UnknownPeer
    ) -> str:
        if name and "." not in name:
            await self._client_fault(caller)
            return "notfqdn"
        host = await self._own(caller, name)
        if host is None:
            await self._client_fault(caller)
            return "nohost"
        if isinstance(address_update, UnknownPeer):
            return self._code_for(host, "911")
        line = await self._answer(request, caller, host, address_update)
        self._note(request, host.id, line.partition(" ")[0])
        return line

    async def _answer(
        self, request: Request, caller: Caller, host: Host, address_update: AddressUpdate | InvalidAddress
    ) -> str:
        try:
            self._updates.check_updatable(host)
            if isinstance(address_update, InvalidAddress):
                raise address_update
            by = author(caller, request.peer, request.agent)
            outcome = await self._updates.apply(host, address_update, tls=request.tls, author=by)
        except (InvalidAddress, DeniedAddress) as error:
            await self._writer.count(Fault(host.id, "client_faults"))
            return "dnserr" if isinstance(error, InvalidAddress) else "abuse"
        except Blocked:
            return "abuse"
        except NoHost:
            return "nohost"
        except Held as error:  # nobody's fault here: nothing is counted
            log.info("host held", host=host.fqdn, reason=error.cause)
            return "911"
        except (NotAcknowledged, StoreDown) as error:
            log.warning("update not acknowledged", host=host.fqdn, reason=str(error))
            self._writer.count_later(Fault(host.id, "server_faults"))
            return "911"
        return _success(request.path, address_update, outcome.changed, outcome.addresses)

    def _code_for(self, host: Host, word: str) -> str:
        """The word, or the one for what is wrong with the host in any case."""
        try:
            self._updates.check_updatable(host)
        except Blocked:
            return "abuse"
        except NoHost:
            return "nohost"
        return word

    def _blame_front(self, request: Request) -> None:
        """The caller's address is asked for and not known. A hop that cannot be read was noted as it came."""
        if request.fault is not None and request.fault.hop is None:
            self._fronts.note(*request.fault)

    def _note(self, request: Request, host_id: int, word: str) -> None:
        self._contacts.note(host_id, request.peer, request.agent, word, request.tls)

    async def _own(self, caller: Caller, name: str) -> Host | None:
        """The named host, if the caller may update it."""
        for host in caller.hosts:
            if host.fqdn == name:
                return host
        if caller.kind is not Kind.USER or not names.is_full(name):
            return None
        found = await self._lookups.host.one(name)
        return found if found is not None and can(caller, Action.UPDATE, found) else None

    async def _client_fault(self, caller: Caller) -> None:
        if caller.kind is Kind.HOST:
            await self._writer.count(Fault(caller.hosts[0].id, "client_faults"))

    def _address_update(self, request: Request) -> AddressUpdate:
        if request.params.get("offline", "").upper() == "YES":
            if not self._offline:
                raise _ReturnCode("!donator")
            return AddressUpdate(remove=frozenset({"ipv4", "ipv6"}))
        values = [request.params[name] for name in ADDRESS_PARAMETERS if name in request.params]
        return addresses.parse(values, request.peer, loopback_peers=self._loopback_peers)

    def _removal(self, request: Request) -> AddressUpdate:
        values = [request.params[name] for name in ADDRESS_PARAMETERS if name in request.params]
        items = [item for value in values for item in (p.strip() for p in value.split(",")) if item]
        if not items:
            if request.peer is None:
                raise UnknownPeer
            items = [request.peer]
        try:
            families = {f"ipv{_bare(item).version}" for item in items}
        except ValueError:
            raise InvalidAddress(",".join(items)) from None
        return AddressUpdate(remove=frozenset(families), explicit=False)

    def _reply(self, lines: list[str], true_status: bool) -> Reply:
        words = [line.partition(" ")[0] for line in lines]
        for word in words:
            _counter(word).inc()
        return text_reply(_status(words, true_status), "\n".join(lines))

    # ---- Duck DNS

    async def duck(self, request: Request) -> Reply:
        """`/update?domains=&token=&ip=&ipv6=&clear=`: all of it is done and `OK`, or `KO`."""
        try:
            done = await self._duck(request)
        except UnknownPeer:
            self._blame_front(request)
            done = False
        except (SignInError, ProviderDown, RegistryError, NotAcknowledged, StoreDown):
            done = False
        _counter("OK" if done else "KO").inc()
        return text_reply(200, "OK" if done else "KO")

    async def _duck(self, request: Request) -> bool:
        given = [names.fold(n) for n in request.params.get("domains", "").split(",") if n.strip()]
        token = request.params.get("token", "").strip()
        if not given or len(given) > NAMES or not token or "txt" in request.params:
            return False  # with `txt` Duck DNS means the TXT record alone, which this door does not set
        caller = await self._signin.by_secret(token, given[0], request.peer)
        if self._agents.refused(request.agent):
            return False
        hosts = [await self._labelled(caller, name) for name in given]
        address_update = self._duck_update(request)
        own = [host for host in hosts if host is not None]
        if len(own) != len(hosts):
            return False
        for host in own:
            self._updates.check_updatable(host)
        by = author(caller, request.peer, request.agent)
        await asyncio.gather(*(self._updates.apply(host, address_update, tls=request.tls, author=by) for host in own))
        return True

    def _duck_update(self, request: Request) -> AddressUpdate:
        if request.params.get("clear", "").lower() == "true":
            return AddressUpdate(remove=frozenset({"ipv4", "ipv6"}))
        values = [request.params[name] for name in ("ip", "ipv6") if name in request.params]
        return addresses.parse(values, request.peer, loopback_peers=self._loopback_peers)

    async def _labelled(self, caller: Caller, name: str) -> Host | None:
        """A host of the caller by its full name, or by its name within its domain where only one has it."""
        if own := [host for host in caller.hosts if name in (host.fqdn, host.name)]:
            return own[0] if len(own) == 1 else None
        if caller.kind is not Kind.USER or names.problem(name):
            return None
        found = await (self._lookups.host if "." in name else self._lookups.host_by_name).all(name)
        allowed = [host for host in found if can(caller, Action.UPDATE, host)]
        return allowed[0] if len(allowed) == 1 else None


def _bare(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Any address at all, without a zone id; IPv4-mapped IPv6 is IPv4. Raises ValueError."""
    address = ipaddress.ip_address((text or "").partition("/")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.scope_id is not None:
        raise ValueError("an address with a zone id means something on one machine only")
    return address.ipv4_mapped or address


def _success(path: str, address_update: AddressUpdate, changed: bool, texts: list[str]) -> str:
    if path == "/nic/delete":
        return "deleted " + ",".join(RECORD_TYPES[family] for family in sorted(address_update.remove))
    if address_update.remove:
        return "good"
    word = "good" if changed else "nochg"
    return f"{word} {','.join(texts)}" if texts else word


def _status(words: list[str], true_status: bool) -> int:
    if any(word in ("good", "nochg", "deleted") for word in words):
        return 200
    if words[0] == "911":
        return 503
    return TRUE_STATUS.get(words[0], 200) if true_status else 200
