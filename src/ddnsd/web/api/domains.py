# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api/domains`: the domains in which hosts are registered."""

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import Action, can
from ddnsd.dns.errors import DnsError
from ddnsd.dns.tsig import TsigKey
from ddnsd.registry import ds_views
from ddnsd.registry.domains import Freeze
from ddnsd.registry.errors import Code, Invalid, NotPermitted, Reason
from ddnsd.registry.inputs import Comment, FullName, Group, Primary, Stack, Ttl, UserName
from ddnsd.registry.reverse import shown_network
from ddnsd.registry.rows import Domain
from ddnsd.web.api import serializers
from ddnsd.web.api.dependencies import Administrator, ApiRoute, Changer, ClientIp, Context, Ctx, IfMatch, Reader
from ddnsd.web.api.errors import NO_CONTENT, Problem, changes, leads_to, problems, success
from ddnsd.web.api.schemas import Body, Moment, Next, Paging, Shown, unset
from ddnsd.web.preconditions import domain_tag, expect_domain, get_domain_or_404


class KeyIn(Body):
    """The TSIG key of an existing zone. It must be allowed to update and transfer the zone."""

    name: str = Field(max_length=253)
    algorithm: str = "hmac-sha256"
    secret: str = Field(description="In base64. It is never shown.")


Policy = Annotated[
    str | None,
    Field(max_length=63, description="The policy with which the service's own BIND signs the zone."),
]


Realm = Annotated[
    str | None,
    Field(
        max_length=255,
        description="The Kerberos realm, in capitals, whose members write their own addresses at the service's own "
        "BIND.",
    ),
]
GSS_HOSTS = "Whether hosts can be registered in a domain with a realm. Members can change hosts of the same name."


Net = Annotated[
    str | None,
    Field(max_length=43, description="The network of a reverse zone, if its name does not say it (RFC 2317)."),
]
ReverseMode = Literal["off", "verified", "all"]
REVERSE = (
    "Which hosts with `ptr` have names in this reverse zone: none; those from whose address the last update came, or "
    "whose address somebody set who may change this domain; or all."
)


class DomainCreate(Body):
    """A new domain. Without `primary` and `key`, the service creates the zone on its own BIND."""

    name: FullName
    public: bool = False
    available: bool = True
    dns_updates: bool = Field(True, description="Whether updates of its hosts are accepted at the port for DNS UPDATE.")
    comment: Comment | None = None
    ttl: Ttl | None = None
    group: Group | None = None
    stack: Stack | None = None
    owner: UserName | None = Field(None, description="A user's name. Default: your own.")
    primary: Primary | None = None
    key: KeyIn | None = None
    dnssec_policy: Policy = None
    gss_realm: Realm = None
    gss_hosts: bool = Field(False, description=GSS_HOSTS)
    network: Net = None
    reverse: ReverseMode = Field("off", description=REVERSE)


class FreezeIn(Body):
    """A freeze for maintenance."""

    reason: Comment | None = Field(None, description="Shown to the users of the domain.")


class FreezeOut(Shown):
    """A freeze for maintenance."""

    since: Moment
    reason: str | None


class DomainPatch(Body):
    """The fields to change. An absent field keeps its value."""

    public: bool = unset()
    available: bool = unset(description="Whether hosts accept updates and can be registered.")
    dns_updates: bool = unset(description="Whether updates of its hosts are accepted at the port for DNS UPDATE.")
    comment: Comment | None = None
    ttl: Ttl | None = None
    group: Group | None = None
    stack: Stack | None = None
    owner: UserName = unset(description="The new owner. Only administrators can change it; hosts keep their owners.")
    primary: Primary = unset(
        description="The new primary, which is tested first. Only administrators can change it, `key`, "
        "`dnssec_policy`, `gss_realm` and `gss_hosts`."
    )
    key: KeyIn = unset(description="The TSIG key of the zone there.")
    dnssec_policy: Policy = None
    gss_realm: Realm = None
    gss_hosts: bool = unset(description=GSS_HOSTS)
    network: Net = None
    reverse: ReverseMode = unset(description=REVERSE)
    frozen: FreezeIn | None = Field(
        None,
        description="Only administrators can change it. An object freezes the domain: changes are stored and not sent. "
        "null ends the freeze, and the stored changes are sent.",
    )


class KeyOut(Shown):
    """The TSIG key of an existing zone."""

    name: str
    algorithm: str
    fingerprint: str = Field(description="The first 8 hexadecimal digits of the SHA-256 of the secret.")


class DomainOut(Shown):
    """A domain."""

    name: str
    owner: str
    public: bool = Field(description="Whether every user may register hosts in it.")
    available: bool
    dns_updates: bool = Field(description="Whether updates of its hosts are accepted at the port for DNS UPDATE.")
    comment: str | None
    ttl: int | None = Field(description="Seconds; null: the service's default.")
    group: str | None
    stack: str | None
    primary: str
    key: KeyOut | None = Field(
        description="Only for administrators; null if the service created the zone on its own BIND."
    )
    dnssec_policy: str | None = Field(description="The signing policy of the service's own BIND; null: none.")
    gss_realm: str | None = Field(description="The Kerberos realm whose members write their own addresses; null: none.")
    gss_hosts: bool = Field(description=GSS_HOSTS)
    network: str | None = Field(description="The addresses whose names are in this reverse zone; null: it is none.")
    reverse: ReverseMode = Field(description=REVERSE)
    inline_signing: bool = Field(
        description="Whether the primary answers from a signed copy of the zone. If so, its answers contain a change "
        "only some milliseconds after it was acknowledged."
    )
    created: Moment
    frozen: FreezeOut | None = Field(
        description="The freeze for maintenance, or null. Changes are stored until it ends."
    )
    hosts: int


class MemberOut(Shown):
    """A name that a member of the domain's Kerberos realm has registered."""

    name: str
    addresses: list[str]


class MembersOut(Shown):
    """All names of members."""

    items: list[MemberOut]


class DsOut(Shown):
    """The DS records that belong into the parent of a zone, and those that it has."""

    signed: bool
    source: Literal["cds", "dnskey"] | None = Field(
        description="`cds`: the zone publishes CDS records. `dnskey`: they follow from its keys. null: not signed."
    )
    records: list[str] = Field(description="Values in presentation format: key tag, algorithm, digest type, digest.")
    lines: list[str] = Field(description="The same as whole records, for a registrar or a zone file.")
    state: Literal["matching", "missing", "outdated", "unknown"] = Field(
        description="`matching`: the parent has exactly these records, or rightly none. `missing`: it has none. "
        "`outdated`: it has others. `unknown`: it was not compared; `problem` says why."
    )
    parent: str | None = Field(description="The domain of this service whose zone is the parent; null: another zone.")
    parent_records: list[str] | None = Field(description="The values in the parent; null if they are unknown.")
    problem: str | None


class DomainPage(Shown):
    """A page of domains."""

    items: list[DomainOut]
    next: Next


router = APIRouter(prefix="/api/domains", tags=["domains"], route_class=ApiRoute)

ZONE_FIELDS = frozenset({"primary", "key", "dnssec_policy", "gss_realm", "gss_hosts"})
NEW_FIELDS = frozenset(
    {
        "public",
        "available",
        "dns_updates",
        "comment",
        "ttl",
        "group",
        "stack",
        "dnssec_policy",
        "gss_realm",
        "gss_hosts",
        "network",
        "reverse",
    }
)
ADMIN_FIELDS = ZONE_FIELDS | {"frozen", "owner"}

CREATED = success(DomainOut, "Location", "ETag") | leads_to("name", "read_domain", "change_domain", "delete_domain")


@router.get("", responses=problems() | {200: success(DomainPage)})
async def list_domains(caller: Reader, context: Ctx, query: Paging) -> Response:
    """List your own domains, those of your groups, and public ones; with an administrator's token, all domains."""
    page = await context.domains.page(query.after, query.limit)
    counts = await context.domains.host_counts()
    items = [json.dumps(_domain(d, counts.get(d.id, 0), caller)) for d in page.items if can(caller, Action.LIST, d)]
    return serializers.page(items, page.next)


@router.post("", status_code=201, responses=changes(409) | {201: CREATED})
async def create_domain(caller: Administrator, context: Ctx, client_ip: ClientIp, body: DomainCreate) -> Response:
    """Add a domain. Its zone must accept updates from the service."""
    check_pair(body.primary, body.key)
    columns = body.model_dump(include=set(NEW_FIELDS))
    try:
        domain = await context.zones.add(
            body.name,
            body.owner or caller.user,
            primary=body.primary,
            key=tsig_key(body.key),
            columns=columns,
            actor=caller.user,
            client_ip=client_ip,
        )
    except Invalid as error:
        if "user" in error.fields:
            raise Invalid(owner=error.fields["user"]) from None
        raise
    except DnsError as error:
        raise unusable(error, body.primary) from None
    return shown(domain, 0, caller, status=201, Location=f"/api/domains/{domain.name}")


@router.get("/{name}", responses=problems(404) | {200: success(DomainOut, "ETag")})
async def read_domain(caller: Reader, context: Ctx, name: str) -> Response:
    """Read one domain."""
    domain = await get_domain_or_404(context.domains, caller, name, Action.LIST)
    return shown(domain, await context.domains.host_count(domain.id), caller)


@router.patch("/{name}", responses=changes(404, 409, 412) | {200: success(DomainOut, "ETag")})
async def change_domain(
    caller: Changer, context: Ctx, client_ip: ClientIp, name: str, body: DomainPatch, if_match: IfMatch = None
) -> Response:
    """Change the given fields; null clears a field. A new TTL applies to all records."""
    domain = await get_domain_or_404(context.domains, caller, name, Action.EDIT)
    expect = expect_domain(caller, Action.EDIT, if_match)
    given = {field: getattr(body, field) for field in sorted(body.model_fields_set)}
    if not caller.admin and (refused := ADMIN_FIELDS & given.keys()):
        raise NotPermitted(Code.FIELDS_OF_ADMINISTRATORS, fields=", ".join(sorted(refused)))
    if "frozen" in given:
        given["frozen"] = Freeze(body.frozen.reason or None) if body.frozen is not None else None
    if zone := {field: given.pop(field) for field in ZONE_FIELDS & given.keys()}:
        await _change_zone(context, caller, client_ip, domain.name, zone, expect)
        expect = expect_domain(caller, Action.EDIT, None)
    changed = await context.domains.change(domain.name, actor=caller.user, client_ip=client_ip, expect=expect, **given)
    return shown(changed, await context.domains.host_count(changed.id), caller)


@router.get("/{name}/members", responses=problems(404, 503) | {200: success(MembersOut)})
async def list_members(caller: Reader, context: Ctx, name: str) -> Response:
    """List the names that members of the domain's Kerberos realm have registered in its zone, with their addresses."""
    domain = await get_domain_or_404(context.domains, caller, name, Action.OVERSEE)
    try:
        found = await context.zones.members(domain)
    except DnsError as error:
        raise Problem(503, f"The zone cannot be read: {error}.", kind="urn:ddns:name-server") from None
    return serializers.answer({"items": [member._asdict() for member in found]})


@router.get("/{name}/ds", responses=problems(404, 503) | {200: success(DsOut)})
async def read_ds(caller: Reader, context: Ctx, name: str) -> Response:
    """Ask the primary of the zone for its keys, and show the DS records that belong into the parent zone."""
    domain = await get_domain_or_404(context.domains, caller, name, Action.OVERSEE)
    try:
        found = await context.zones.ds(domain)
    except DnsError as error:
        raise Problem(503, f"The zone cannot be read: {error}.", kind="urn:ddns:name-server") from None
    return serializers.answer(ds_views.as_json(found))


async def _change_zone(
    context: Context,
    caller: Caller,
    client_ip: str | None,
    name: str,
    given: dict[str, Any],
    expect: Callable[[Domain], None],
) -> None:
    """Change the primary, the key, the policy or the realm of a domain. Raises what `Zones.set` raises, and Problem."""
    primary, key = given.pop("primary", None), tsig_key(given.pop("key", None))
    try:
        await context.zones.set(
            name,
            actor=caller.user,
            client_ip=client_ip,
            primary=primary,
            key=key,
            columns=given,
            expect=expect,
        )
    except DnsError as error:
        raise unusable(error, primary, key) from None


@router.delete("/{name}", status_code=204, responses=problems(404, 409, 412) | NO_CONTENT)
async def delete_domain(
    caller: Changer, context: Ctx, client_ip: ClientIp, name: str, if_match: IfMatch = None
) -> Response:
    """Remove a domain without hosts. A zone that the service created for it is removed from BIND."""
    domain = await get_domain_or_404(context.domains, caller, name, Action.DELETE)
    expect = expect_domain(caller, Action.DELETE, if_match)
    await context.zones.remove(domain.name, actor=caller.user, client_ip=client_ip, expect=expect)
    return Response(status_code=204)


def unusable(error: DnsError, primary: str | None, key: TsigKey | None = None) -> Exception:
    """The error for a zone that does not accept our updates."""
    if primary is None and key is not None:
        return Invalid(key=Reason(Code.PRIMARY_UNUSABLE, cause=str(error)))
    if primary is None:
        return Problem(503, f"Nothing was changed: {error}.", kind="urn:ddns:name-server")
    return Invalid(primary=Reason(Code.PRIMARY_UNUSABLE, cause=str(error)))


def check_pair(primary: str | None, key: KeyIn | None) -> None:
    """Check that primary and key are both given, or neither. Raises Invalid."""
    if (primary is None) != (key is None):
        missing = "key" if key is None else "primary"
        raise Invalid(**{missing: Reason(Code.PRIMARY_WITHOUT_KEY)})


def tsig_key(given: KeyIn | None) -> TsigKey | None:
    """The key as the registry needs it; None if none is given. Raises Invalid."""
    if given is None:
        return None
    try:
        return TsigKey(given.name, algorithm=given.algorithm, secret=given.secret)
    except ValueError as error:
        raise Invalid(key=Reason(Code.KEY_INVALID, cause=str(error))) from None


def shown(domain: Domain, hosts: int, caller: Caller, status: int = 200, **headers: str) -> Response:
    """An answer with a domain."""
    return serializers.answer(_domain(domain, hosts, caller), status, ETag=domain_tag(domain), **headers)


def _domain(domain: Domain, hosts: int, caller: Caller) -> dict[str, Any]:
    key = TsigKey.of(domain) if caller.admin and not domain.provisioned else None
    return {
        "name": domain.name,
        "owner": domain.owner,
        "public": bool(domain.public),
        "available": bool(domain.available),
        "dns_updates": bool(domain.dns_updates),
        "comment": domain.comment,
        "ttl": domain.ttl,
        "group": domain.group,
        "stack": domain.stack,
        "primary": domain.primary,
        "key": key and {"name": key.name, "algorithm": key.algorithm, "fingerprint": key.fingerprint},
        "dnssec_policy": domain.dnssec_policy,
        "gss_realm": domain.gss_realm,
        "gss_hosts": bool(domain.gss_hosts),
        "network": shown_network(domain),
        "reverse": domain.reverse,
        "inline_signing": bool(domain.inline_signing),
        "created": serializers.moment(domain.created),
        "frozen": _frozen(domain),
        "hosts": hosts,
    }


def _frozen(domain: Domain) -> dict[str, Any] | None:
    if not domain.frozen_since:
        return None
    return {"since": serializers.moment(domain.frozen_since), "reason": domain.frozen_reason}
