# SPDX-License-Identifier: GPL-3.0-or-later
"""Forms in which ACME clients set TXT records for DNS-01: lego's `httpreq`, and the update of acme-dns.

Both send a JSON object by POST. No page of another site can make a browser do that: httpreq needs a media type, and
acme-dns headers, which such a page may not set.
"""

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping

from ddnsd.auth.authenticate import SignIn
from ddnsd.auth.caller import Caller, SignInError
from ddnsd.auth.oidc import ProviderDown
from ddnsd.registry import names
from ddnsd.registry.challenges import LABEL, Challenges
from ddnsd.registry.errors import NoHost, RegistryError, StoreDown
from ddnsd.registry.host_access import HostAccess
from ddnsd.registry.rows import Host
from ddnsd.web.asgi import Reply, Request, json_reply, text_reply
from ddnsd.web.context import author
from ddnsd.web.dyndns.agents import Agents
from ddnsd.web.error_status import status_of

CHALLENGE = (b"www-authenticate", b'Basic realm="Dynamic DNS"')
JSON = "application/json"
NEWEST = 2
"""Values that acme-dns keeps at a name: those of a host and of its wildcard."""


class BadForm(Exception):
    """The request lacks what the form needs."""


class DeniedAgent(Exception):
    """the operator denies this program"""


FAULTS = (BadForm, DeniedAgent, SignInError, RegistryError, ProviderDown, StoreDown)


class AcmeClientViews:
    """The handlers of `/acme/present`, `/acme/cleanup`, `/acme-dns/update` and `/acme-dns/register`."""

    def __init__(self, signin: SignIn, hosts: HostAccess, challenges: Challenges, agents: Agents) -> None:
        self._signin, self._hosts, self._challenges, self._agents = signin, hosts, challenges, agents

    # ---- lego's httpreq

    async def present(self, request: Request) -> Reply:
        """Publish the value of `{"fqdn", "value"}`, or of `{"domain", "keyAuth"}` in raw mode."""

        async def add(caller: Caller, host: Host, value: str) -> None:
            await self._challenges.present(host, value, author(caller, request.peer, request.agent))

        return await self._httpreq(request, add)

    async def cleanup(self, request: Request) -> Reply:
        """Remove the value again."""

        async def remove(caller: Caller, host: Host, value: str) -> None:
            await self._challenges.cleanup(host, value, author(caller, request.peer, request.agent))

        return await self._httpreq(request, remove)

    async def _httpreq(self, request: Request, act: Callable[[Caller, Host, str], Awaitable[None]]) -> Reply:
        try:
            if request.header("content-type").partition(";")[0].strip().lower() != JSON:
                raise BadForm(f"send a JSON object by POST, as {JSON}")
            name, value = _wanted(_fields(request))
            caller = await self._signin.by_header(request.header("authorization"), request.peer)
            await act(caller, await self._host(request, caller, name), value)
        except SignInError:
            return text_reply(401, "wrong name or secret", CHALLENGE)
        except FAULTS as error:
            return text_reply(_status(error), str(error))
        return text_reply(200, "OK")

    # ---- acme-dns

    async def update(self, request: Request) -> Reply:
        """Publish `txt` for the host of `X-Api-User`. The last two values stay."""
        try:
            fields = _fields(request)
            name, secret = request.header("x-api-user"), request.header("x-api-key")
            caller = await self._signin.by_password(name, secret, request.peer)
            subdomain = fields.get("subdomain", "")
            host = await self._host(request, caller, _host_name(subdomain if "." in subdomain else name))
            value, by = _needed(fields, "txt"), author(caller, request.peer, request.agent)
            await self._challenges.present(host, value, by, newest=NEWEST)
        except SignInError:
            return json_reply(401, {"error": "forbidden"})
        except FAULTS as error:
            return json_reply(_status(error), {"error": str(error)})
        return json_reply(200, {"txt": value})

    async def register(self, _: Request) -> Reply:
        """Refuse: hosts are registered by their owners, who have the credentials."""
        return json_reply(403, {"error": "register a host in the portal, and use its name and secret"})

    async def _host(self, request: Request, caller: Caller, name: str) -> Host:
        """The host of that name. Raises DeniedAgent, NoHost, StoreDown."""
        if self._agents.refused(request.agent):
            raise DeniedAgent(DeniedAgent.__doc__)
        if "." not in name:
            raise NoHost
        return await self._hosts.by_label(caller, name)


def _fields(request: Request) -> Mapping[str, str]:
    """The texts of the JSON object in the body. Raises BadForm."""
    try:
        content = json.loads(request.body)
    except ValueError:
        raise BadForm("the body is not JSON") from None
    if not isinstance(content, dict):
        raise BadForm("the body is not a JSON object")
    return {name: value for name, value in content.items() if isinstance(value, str)}


def _needed(fields: Mapping[str, str], name: str) -> str:
    if not fields.get(name):
        raise BadForm(f"{name} is missing")
    return fields[name]


def _wanted(fields: Mapping[str, str]) -> tuple[str, str]:
    """The host's name and the TXT value of httpreq, in both of its modes. Raises BadForm."""
    if "keyAuth" not in fields:
        return _host_name(_needed(fields, "fqdn")), _needed(fields, "value")
    digest = hashlib.sha256(_needed(fields, "keyAuth").encode()).digest()
    return _host_name(_needed(fields, "domain")), base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _host_name(name: str) -> str:
    """The host of a challenge's name, of a wildcard, or of a plain name."""
    return names.fold(name.removesuffix(".").removeprefix(f"{LABEL}.").removeprefix("*."))


def _status(error: Exception) -> int:
    if isinstance(error, BadForm):
        return 400
    return 403 if isinstance(error, DeniedAgent) else status_of(error) or 503
