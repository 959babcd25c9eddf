# SPDX-License-Identifier: GPL-3.0-or-later
"""Adding a host: the form, the check of a name while it is typed, and the secret with what to do next."""

from urllib.parse import quote

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ddnsd.auth import secrets
from ddnsd.auth.permissions import Action
from ddnsd.db import queries
from ddnsd.db.rows import Domain
from ddnsd.registry import addresses, host_columns, names
from ddnsd.registry.addresses import Wanted
from ddnsd.registry.errors import Invalid, InvalidAddress, Taken, UnknownPeer
from ddnsd.registry.hosts import TAKEN, NewHost
from ddnsd.web.portal import access, forms
from ddnsd.web.portal.client_configs import Target, configurations
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.handing_over import hand_over, handed_over
from ddnsd.web.portal.request import Visit, get, post


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def form(visit: Visit) -> Response:
        return await _form(visit, {"domain": visit.query.get("domain", "")}, {})

    async def add(visit: Visit) -> Response:
        fqdn, secret = _full_name(visit.text("name"), visit.text("domain")), secrets.new_secret()
        try:
            if not visit.text("name"):
                raise Invalid(name="A name is needed.")
            return await hand_over(
                visit, f"/hosts/{quote(fqdn, safe='')}/created", {"secret": secret}, lambda: _add(visit, fqdn, secret)
            )
        except Invalid as error:
            return await _form(visit, dict(visit.form), visit.reasons(error.fields), 422)

    async def created(visit: Visit) -> Response:
        made = await handed_over(visit)  # first: this waits for the host, too
        owned = await access.host(visit, Action.ROTATE)
        shown = configurations(Target(owned.host.fqdn, portal.base_url, made["secret"])) if made else []
        return visit.render(
            "hosts/created.html", fqdn=owned.host.fqdn, secret=made and made["secret"], configurations=shown
        )

    async def check(visit: Visit) -> Response:
        fqdn = _full_name(visit.query.get("name", ""), visit.query.get("domain", ""))
        try:
            await _check(visit, fqdn)
        except Invalid as error:
            return JSONResponse({"free": False, "text": " ".join(visit.reasons(error.fields).values())})
        return JSONResponse({"free": True, "text": visit.gettext("%(name)s is free.", name=fqdn)})

    return [
        get("/hosts/new", form),
        post("/hosts/new", add),
        get("/hosts/check", check),
        get("/hosts/{fqdn}/created", created),
    ]


async def _form(visit: Visit, values: dict[str, str], errors: dict[str, str], status: int = 200) -> Response:
    options = [(domain.name, f".{domain.name}") for domain in await access.domains(visit)]
    return visit.render(
        "hosts/new.html", status, values=values, errors=errors, options=options, browser=_of_browser(visit)
    )


def _full_name(name: str, domain: str) -> str:
    """The name in the domain; one that ends with the domain already is as it is."""
    folded, domain = names.fold(name), names.fold(domain)
    return folded if not domain or folded.endswith("." + domain) or not folded else f"{folded}.{domain}"


async def _check(visit: Visit, fqdn: str) -> Domain:
    """The domain of a name that is free. Raises Invalid, NotPublished, StoreDown."""
    domain = await access.domain_around(visit, fqdn)
    await visit.portal.hosts.check_name(domain, fqdn)
    if await visit.portal.store.read(lambda c: queries.taken(c, fqdn)):
        raise Taken(name=TAKEN)
    return domain


async def _add(visit: Visit, fqdn: str, secret: str) -> None:
    """Register the host of the form. Raises Invalid, NotPublished, StoreDown."""
    domain = await access.domain_around(visit, fqdn)
    new = NewHost(
        fqdn,
        visit.caller.user_id,
        visit.caller.user,
        secrets.digest(secret),
        _wanted(visit, domain),
        wildcard=visit.checked("wildcard"),
        comment=forms.comment(visit.text("comment")),
        ttl=forms.ttl(visit.text("ttl")),
        tls=visit.tls,
        source=visit.source,
        author=visit.author,
    )
    try:
        await visit.portal.hosts.register(domain, new)
    except Invalid as error:
        everywhere = error.fields.pop("__all__", None)
        error.fields |= {"name": everywhere} if everywhere else {}
        raise


def _wanted(visit: Visit, domain: Domain) -> Wanted:
    if visit.text("address") == "browser":
        found = _of_browser(visit)
        if found is None:
            raise InvalidAddress(visit.source or "")
        wanted = found
    elif visit.text("address") == "given":
        ipv4, ipv6 = (forms.address(family, visit.text(family)) for family in host_columns.FAMILIES)
        wanted = Wanted(ipv4=ipv4, ipv6=ipv6)
    else:
        wanted = Wanted()
    values = {"ipv4": wanted.ipv4, "ipv6": wanted.ipv6}
    host_columns.check_policy(visit.portal.policy, values, domain_takes_private=domain.private_addresses)
    return wanted


def _of_browser(visit: Visit) -> Wanted | None:
    """The visitor's address; None where it is not known, or a host cannot have it."""
    try:
        found = addresses.parse([], visit.source, loopback_peers=visit.portal.policy.loopback_peers)
    except (InvalidAddress, UnknownPeer):
        return None
    return found._replace(explicit=True)
