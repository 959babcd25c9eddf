# SPDX-License-Identifier: GPL-3.0-or-later
"""EGI's management calls: GET or POST with a Bearer token, answered with the JSON that EGI's clients parse.

`{"status": "ok", …}` or `{"status": "error", "message": …}`; `errors` has the texts for wrong fields.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog

from ddnsd.auth import secrets
from ddnsd.auth.authenticate import SignIn
from ddnsd.auth.caller import BadCredentials, Caller, Kind, SignInError
from ddnsd.auth.oidc import ProviderDown
from ddnsd.auth.permissions import Action, acts_for_domain, can
from ddnsd.auth.tsig_secrets import TsigSecrets
from ddnsd.dns.errors import NotAcknowledged
from ddnsd.registry import addresses, names
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.domains import Domains, may_register
from ddnsd.registry.errors import (
    Blocked,
    Code,
    Invalid,
    InvalidAddress,
    NoDomain,
    NoHost,
    NotPublished,
    OverQuota,
    Protected,
    Reason,
    StoreDown,
    UnknownPeer,
)
from ddnsd.registry.host_access import HostAccess
from ddnsd.registry.host_columns import FAMILIES
from ddnsd.registry.host_lists import HostLists
from ddnsd.registry.hosts import Hosts, NewHost
from ddnsd.registry.rates import Rates
from ddnsd.registry.rows import Author, Domain, Host, ListedHost
from ddnsd.registry.unknown_fronts import Fronts
from ddnsd.web.asgi import Instead, Reply, Request, json_reply
from ddnsd.web.context import author
from ddnsd.web.dyndns.peer import note_silent_front

log = structlog.get_logger()

CHALLENGE = (b"www-authenticate", b'Bearer realm="Dynamic DNS"')
YES = ("true", "1", "yes")

Lists = dict[str, AsyncIterator[Iterable[str]]]
"""Long lists by name, in slices of JSON texts."""

Call = Callable[[Request, Caller], Awaitable[dict[str, Any]]]
LongCall = Callable[[Request, Caller], Awaitable[Lists]]


class BadRequest(Exception):
    """A wrong request, answered with 400 and this message."""


class EgiApi:
    """The handlers of `/nic/domains`, `hosts`, `register`, `unregister` and `generate_secret`."""

    def __init__(
        self,
        signin: SignIn,
        access: HostAccess,
        hosts: Hosts,
        host_lists: HostLists,
        domains: Domains,
        fronts: Fronts,
        rates: Rates,
        tsig: TsigSecrets,
        *,
        base_url: str,
        ipv6_url: str,
        loopback_peers: bool,
    ) -> None:
        self._signin, self._access, self._domains = signin, access, domains
        self._hosts, self._host_lists, self._fronts, self._rates = hosts, host_lists, fronts, rates
        self._tsig = tsig
        self._urls = {"IPv4": base_url} | ({"IPv6": ipv6_url} if ipv6_url else {})
        self._loopback_peers = loopback_peers

    async def domains(self, request: Request) -> Reply:
        """List domains. `private`: the caller's own; `public`: other domains that the caller may use."""
        return await self._run_long(request, self._list_domains)

    async def hosts(self, request: Request) -> Reply:
        """List the caller's hosts, of one domain or of all domains."""
        return await self._run_long(request, self._list_hosts)

    async def register(self, request: Request) -> Reply:
        """Register a host, and return its secret."""
        return await self._run(request, self._register)

    async def unregister(self, request: Request) -> Reply:
        """Remove a host and its records."""
        return await self._run(request, self._unregister, removes=True)

    async def generate_secret(self, request: Request) -> Reply:
        """Replace the secret of a host. The old one stops working."""
        return await self._run(request, self._generate_secret)

    async def _run(self, request: Request, call: Call, *, removes: bool = False) -> Reply:
        async def reply(caller: Caller) -> Reply:
            await self._rates.take_write(caller.user_id, refuse=not removes)
            return json_reply(200, await call(request, caller))

        return await self._answer(request, reply)

    async def _run_long(self, request: Request, call: LongCall) -> Reply:
        async def reply(caller: Caller) -> Reply:
            return Reply(200, b"", b"application/json", parts=_parts(await call(request, caller)))

        return await self._answer(request, reply)

    async def _answer(self, request: Request, reply: Callable[[Caller], Awaitable[Reply]]) -> Reply:
        try:
            return await reply(await self._caller(request))
        except SignInError:
            return _error(401, "badauth", CHALLENGE)
        except NoDomain:
            return _error(400, "nxdomain")
        except Invalid as error:
            return _form_error(error.fields)
        except OverQuota as error:
            return _form_error({"__all__": error.reasons[0]})
        except (BadRequest, InvalidAddress) as error:
            return _error(400, str(error))
        except NoHost:
            return _error(404, "nohost")
        except Blocked:
            return _error(403, "abuse")
        except Protected as error:
            return _error(403, str(error))
        except NotPublished as error:
            return _error(502, f"The name server does not confirm the change: {error.cause}.")
        except (StoreDown, NotAcknowledged) as error:
            return _unavailable(error)
        except ProviderDown:
            return _error(503, "911")
        except UnknownPeer:
            note_silent_front(self._fronts, request)
            return _error(503, "911")

    async def _caller(self, request: Request) -> Caller:
        caller = await self._signin.by_header(request.header("authorization"), request.peer)
        if caller.kind is not Kind.USER:
            raise BadCredentials
        return caller

    async def _list_domains(self, _request: Request, caller: Caller) -> Lists:
        return {"private": self._domain_slices(caller, own=True), "public": self._domain_slices(caller, own=False)}

    async def _domain_slices(self, caller: Caller, *, own: bool) -> AsyncIterator[Iterable[str]]:
        async for part in self._domains.slices(caller.user_id, own=own):
            yield [json.dumps(_domain(d)) for d in part if can(caller, Action.LIST, d)]

    async def _list_hosts(self, request: Request, caller: Caller) -> Lists:
        domain = None
        if name := names.fold(request.params.get("domain", "")):
            domain = await self._domains.named(name) if names.problem(name) is None else None
            if domain is None or not can(caller, Action.LIST, domain):
                raise NoDomain
        return {"hosts": self._host_slices(caller, domain)}

    async def _host_slices(self, caller: Caller, domain: Domain | None) -> AsyncIterator[Iterable[str]]:
        async for part in self._host_lists.own(caller.user_id, domain):
            yield await asyncio.to_thread(_rendered, caller, part)

    async def _register(self, request: Request, caller: Caller) -> dict[str, Any]:
        fqdn, domain_name = _full_name(request)
        wanted = self._address(request)
        domain = await self._usable(caller, fqdn, domain_name)
        comment = request.params.get("comment")
        if comment is not None and not comment.isprintable():
            raise Invalid(comment=Reason(Code.NOT_PRINTABLE))
        secret = secrets.new_secret()
        new = NewHost(
            fqdn,
            caller.user_id,
            caller.user,
            secrets.verifier(secret),
            wanted,
            wildcard=request.params.get("wildcard", "").strip().lower() in YES,
            comment=comment,
            tls=request.tls,
            client_ip=request.peer,
            author=_author(request, caller),
        )
        await self._tsig.keep([secret])
        try:
            host = await self._hosts.register(domain, new)
        except Invalid as error:
            if FAMILIES.keys() & error.fields.keys():
                raise InvalidAddress(request.params.get("ip") or ",".join(wanted.addresses)) from None
            raise
        shown = _host(host) | {"update_secret": secret} | self._update_urls(host.fqdn, secret)
        return {"status": "ok", "message": "Host registered.", "host": shown}

    def _address(self, request: Request) -> AddressUpdate:
        text = request.params.get("ip", "").strip()
        if not text:
            return addresses.inferred(request.peer, loopback_peers=self._loopback_peers)
        address = addresses.parse_address(text)
        return AddressUpdate(ipv4=str(address)) if address.version == 4 else AddressUpdate(ipv6=str(address))

    async def _usable(self, caller: Caller, fqdn: str, domain_name: str | None) -> Domain:
        """The domain of a new name. Raises Invalid, and NoDomain for both an unknown and a forbidden domain."""
        if domain_name is None:
            if problem := names.problem(fqdn):
                raise Invalid(fqdn=problem)
            domain = await self._domains.around(fqdn)
        else:
            domain = await self._domains.named(domain_name) if names.problem(domain_name) is None else None
        if domain is None or not may_register(caller, domain, fqdn, None):
            raise NoDomain
        return domain

    def _update_urls(self, fqdn: str, secret: str) -> dict[str, str]:
        urls = {}
        for family, base in self._urls.items():
            scheme, _, rest = base.partition("://")
            urls[f"{family}_update_url_basic_auth"] = f"{scheme}://{fqdn}:{secret}@{rest}/nic/update"
            urls[f"{family}_update_url_bearer_auth"] = f"{base}/nic/update?hostname={fqdn}&myip=${{myip}}"
        return urls

    async def _unregister(self, request: Request, caller: Caller) -> dict[str, Any]:
        host = await self._own(request, caller, Action.DELETE)
        await self._hosts.unregister(host, caller.user, request.peer, for_domain=acts_for_domain(caller, host))
        kept = ("fqdn", "name", "domain", "wildcard", "comment")
        shown = {key: value for key, value in _host(host).items() if key in kept}
        return {"status": "ok", "message": "Host unregistered.", "host": shown}

    async def _generate_secret(self, request: Request, caller: Caller) -> dict[str, Any]:
        host = await self._own(request, caller, Action.ROTATE)
        secret = secrets.new_secret()
        by = _author(request, caller)
        await self._tsig.keep([secret])
        await self._hosts.new_secret(host, secrets.verifier(secret), caller.user, request.peer, by)
        return {"status": "ok", "secret": secret}

    async def _own(self, request: Request, caller: Caller, action: Action) -> Host:
        fqdn, _ = _full_name(request)
        return await self._access.get(caller, fqdn, action)


def _author(request: Request, caller: Caller) -> Author:
    return author(caller, request.peer, request.agent)


def _full_name(request: Request) -> tuple[str, str | None]:
    """(full name, domain), both folded, from `name` and `domain`; or (full name, None), from `fqdn`.

    Raises BadRequest, Invalid.
    """
    if "fqdn" in request.params:
        fqdn = names.fold(request.params["fqdn"])
        if "." not in fqdn:
            raise Invalid(fqdn=Reason(Code.NAME_WITHOUT_DOMAIN))
        return fqdn, None
    for name in ("name", "domain"):
        if name not in request.params:
            raise BadRequest(f"Missing parameter: {name}")
    name, domain = (names.fold(request.params[key]) for key in ("name", "domain"))
    if problem := names.problem(name):
        raise Invalid(name=problem)
    return f"{name}.{domain}", domain


async def _parts(lists: Lists) -> AsyncGenerator[bytes, None]:
    """The object with `status` and the lists, as JSON in parts. Raises Instead if the database is not available."""
    yield b'{"status": "ok"'
    try:
        for name, slices in lists.items():
            before = f', "{name}": ['
            async for part in slices:
                if text := ", ".join(part):
                    yield (before + text).encode()
                    before = ", "
            yield b"]" if before == ", " else f"{before}]".encode()
    except StoreDown as error:
        raise Instead(_unavailable(error)) from None
    yield b"}"


def _rendered(caller: Caller, part: Iterable[ListedHost]) -> list[str]:
    return [json.dumps(_host(h)) for h in part if can(caller, Action.LIST, h)]


def _unavailable(error: Exception) -> Reply:
    log.error("database not available", reason=str(error))
    return _error(503, "911")


def _form_error(fields: Mapping[str, Reason]) -> Reply:
    errors = {name: [str(reason)] for name, reason in fields.items()}
    return json_reply(400, {"status": "error", "message": "formerr", "errors": errors})


def _error(status: int, message: str, *headers: tuple[bytes, bytes]) -> Reply:
    return json_reply(status, {"status": "error", "message": message}, *headers)


def _domain(domain: Domain) -> dict[str, Any]:
    return {
        "name": domain.name,
        "public": bool(domain.public),
        "available": bool(domain.available),
        "comment": domain.comment or "",
        "owner": domain.owner,
    }


def _host(host: Host | ListedHost) -> dict[str, Any]:
    """A host with the sixteen keys of EGI's sample."""
    return {
        "fqdn": host.fqdn,
        "name": host.name,
        "domain": host.domain,
        "wildcard": bool(host.wildcard),
        "comment": host.comment,
        "available": bool(host.available and host.domain_available),
        "client_faults": host.client_faults,
        "server_faults": host.server_faults,
        "abuse_blocked": bool(host.abuse_blocked),
        "abuse": bool(host.abuse),
        "last_update_ipv4": _moment(host.updated_ipv4),
        "tls_update_ipv4": bool(host.tls_ipv4),
        "ipv4": _first(host.ipv4),
        "last_update_ipv6": _moment(host.updated_ipv6),
        "tls_update_ipv6": bool(host.tls_ipv6),
        "ipv6": _first(host.ipv6),
    }


def _first(addresses: str | None) -> str | None:
    """The first address of a family: EGI's API knows only one."""
    return addresses and addresses.partition(" ")[0]


def _moment(microseconds: int | None) -> str | None:
    if microseconds is None:
        return None
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat(timespec="microseconds")
