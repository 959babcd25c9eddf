# SPDX-License-Identifier: GPL-3.0-or-later
"""EGI's management calls, JSON over GET or POST with a Bearer token: the shapes that its clients parse.

`{"status": "ok", …}` or `{"status": "error", "message": …}`; fields that are not acceptable stand in `errors`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import structlog

from ddnsd.auth import secrets
from ddnsd.auth.authenticate import SignIn
from ddnsd.auth.caller import BadCredentials, Caller, Kind, SignInError
from ddnsd.auth.oidc import ProviderDown
from ddnsd.auth.permissions import Action, can
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
    Reason,
    StoreDown,
    UnknownPeer,
)
from ddnsd.registry.host_access import HostAccess
from ddnsd.registry.host_columns import FAMILIES
from ddnsd.registry.hosts import Hosts, NewHost
from ddnsd.registry.rows import Author, Domain, Host
from ddnsd.registry.unknown_fronts import Fronts
from ddnsd.web.asgi import Reply, Request, json_reply
from ddnsd.web.author import author
from ddnsd.web.dyndns.peer import note_silent_front

log = structlog.get_logger()

CHALLENGE = (b"www-authenticate", b'Bearer realm="Dynamic DNS"')
YES = ("true", "1", "yes")

Call = Callable[[Request, Caller], Awaitable[dict[str, Any]]]


class BadRequest(Exception):
    """Answered with 400 and this message."""


class EgiApi:
    """The handlers of `/nic/domains`, `hosts`, `register`, `unregister` and `generate_secret`."""

    def __init__(
        self,
        signin: SignIn,
        access: HostAccess,
        hosts: Hosts,
        domains: Domains,
        fronts: Fronts,
        *,
        base_url: str,
        ipv6_url: str,
        loopback_peers: bool,
    ) -> None:
        self._signin, self._access, self._hosts, self._domains = signin, access, hosts, domains
        self._fronts = fronts
        self._urls = {"IPv4": base_url} | ({"IPv6": ipv6_url} if ipv6_url else {})
        self._loopback_peers = loopback_peers

    async def domains(self, request: Request) -> Reply:
        """`private`: the caller's own; `public`: those of others that everybody may use."""
        return await self._run(request, self._list_domains)

    async def hosts(self, request: Request) -> Reply:
        """The caller's hosts, of one domain or of all."""
        return await self._run(request, self._list_hosts)

    async def register(self, request: Request) -> Reply:
        """A new host with its secret."""
        return await self._run(request, self._register)

    async def unregister(self, request: Request) -> Reply:
        """Remove a host and its records."""
        return await self._run(request, self._unregister)

    async def generate_secret(self, request: Request) -> Reply:
        """A new secret; the old one is void."""
        return await self._run(request, self._generate_secret)

    async def _run(self, request: Request, call: Call) -> Reply:
        try:
            content = await call(request, await self._caller(request))
        except SignInError:
            return _error(401, "badauth", CHALLENGE)
        except NoDomain:
            return _error(400, "nxdomain")
        except Invalid as error:
            errors = {name: [str(reason)] for name, reason in error.fields.items()}
            return json_reply(400, {"status": "error", "message": "formerr", "errors": errors})
        except (BadRequest, InvalidAddress) as error:
            return _error(400, str(error))
        except NoHost:
            return _error(404, "nohost")
        except Blocked:
            return _error(403, "abuse")
        except NotPublished as error:
            return _error(502, f"The name server does not confirm the change: {error.cause}.")
        except (StoreDown, NotAcknowledged) as error:
            log.error("store down", reason=str(error))
            return _error(503, "911")
        except ProviderDown:
            return _error(503, "911")
        except UnknownPeer:
            note_silent_front(self._fronts, request)
            return _error(503, "911")
        # a list of 10 000 hosts takes a while to encode
        body = await asyncio.to_thread(json.dumps, content) if "hosts" in content else json.dumps(content)
        return Reply(200, body.encode(), b"application/json")

    async def _caller(self, request: Request) -> Caller:
        caller = await self._signin.by_header(request.header("authorization"), request.peer)
        if caller.kind is not Kind.USER:
            raise BadCredentials
        return caller

    async def _list_domains(self, _request: Request, caller: Caller) -> dict[str, Any]:
        domains = [d for d in await self._domains.all() if can(caller, Action.LIST, d)]
        return {
            "status": "ok",
            "private": [_domain(d) for d in domains if d.owner_id == caller.user_id],
            "public": [_domain(d) for d in domains if d.owner_id != caller.user_id],
        }

    async def _list_hosts(self, request: Request, caller: Caller) -> dict[str, Any]:
        domain = None
        if name := names.fold(request.params.get("domain", "")):
            domain = await self._domains.named(name) if names.problem(name) is None else None
            if domain is None or not can(caller, Action.LIST, domain):
                raise NoDomain
        own = await self._hosts.of_owner(caller.user_id, domain)
        shown = await asyncio.to_thread(lambda: [_host(h) for h in own if can(caller, Action.LIST, h)])
        return {"status": "ok", "hosts": shown}

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
            secrets.digest(secret),
            wanted,
            wildcard=request.params.get("wildcard", "").strip().lower() in YES,
            comment=comment,
            tls=request.tls,
            client_ip=request.peer,
            author=_author(request, caller),
        )
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
        """The domain in which the name is to stand; one answer whether it is unknown or not the caller's to use."""
        if domain_name is None:
            if problem := names.problem(fqdn):
                raise Invalid(fqdn=problem)
            domain = await self._domains.around(fqdn)
        else:
            domain = await self._domains.named(domain_name) if names.problem(domain_name) is None else None
        if domain is None or not may_register(caller, domain, fqdn):
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
        await self._hosts.unregister(host, caller.user, request.peer)
        kept = ("fqdn", "name", "domain", "wildcard", "comment")
        shown = {key: value for key, value in _host(host).items() if key in kept}
        return {"status": "ok", "message": "Host unregistered.", "host": shown}

    async def _generate_secret(self, request: Request, caller: Caller) -> dict[str, Any]:
        host = await self._own(request, caller, Action.ROTATE)
        secret = secrets.new_secret()
        by = _author(request, caller)
        await self._hosts.new_secret(host, secrets.digest(secret), caller.user, request.peer, by)
        return {"status": "ok", "secret": secret}

    async def _own(self, request: Request, caller: Caller, action: Action) -> Host:
        fqdn, _ = _full_name(request)
        return await self._access.get(caller, fqdn, action)


def _author(request: Request, caller: Caller) -> Author:
    return author(caller, request.peer, request.agent)


def _full_name(request: Request) -> tuple[str, str | None]:
    """(folded full name, folded domain where it was given by itself), from `fqdn`, or `name` and `domain`."""
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


def _host(host: Host) -> dict[str, Any]:
    """The sixteen keys of EGI's sample."""
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
        "ipv4": host.ipv4,
        "last_update_ipv6": _moment(host.updated_ipv6),
        "tls_update_ipv6": bool(host.tls_ipv6),
        "ipv6": host.ipv6,
    }


def _moment(microseconds: int | None) -> str | None:
    if microseconds is None:
        return None
    seconds, rest = divmod(microseconds, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat(timespec="microseconds")
