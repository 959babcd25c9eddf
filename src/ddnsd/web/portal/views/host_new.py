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
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.errors import Code, Invalid, InvalidAddress, Reason, Taken, UnknownPeer
from ddnsd.registry.hosts import NewHost
from ddnsd.registry.validation import TAKEN
from ddnsd.web.portal import access, forms
from ddnsd.web.portal.client_configs import Target, configurations
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.handing_over import hand_over, handed_over
from ddnsd.web.portal.request import PageRequest, get, post


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def form(page: PageRequest) -> Response:
        return await _form(page, {"domain": page.query.get("domain", "")}, {})

    async def add(page: PageRequest) -> Response:
        fqdn, secret = _full_name(page.text("name"), page.text("domain")), secrets.new_secret()
        try:
            if not page.text("name"):
                raise Invalid(name=Reason(Code.NAME_MISSING))
            return await hand_over(
                page, f"/hosts/{quote(fqdn, safe='')}/created", {"secret": secret}, lambda: _add(page, fqdn, secret)
            )
        except Invalid as error:
            return await _form(page, dict(page.form), page.reasons(error.fields), 422)

    async def created(page: PageRequest) -> Response:
        made = await handed_over(page)  # first: this waits for the host, too
        owned = await access.host(page, Action.ROTATE)
        shown = configurations(Target(owned.host.fqdn, portal.base_url, made["secret"])) if made else []
        return page.render(
            "hosts/created.html", fqdn=owned.host.fqdn, secret=made and made["secret"], configurations=shown
        )

    async def check(page: PageRequest) -> Response:
        fqdn = _full_name(page.query.get("name", ""), page.query.get("domain", ""))
        try:
            await _check(page, fqdn)
        except Invalid as error:
            return JSONResponse({"free": False, "text": page.explain(error)})
        return JSONResponse({"free": True, "text": page.gettext("%(name)s is free.", name=fqdn)})

    return [
        get("/hosts/new", form),
        post("/hosts/new", add),
        get("/hosts/check", check),
        get("/hosts/{fqdn}/created", created),
    ]


async def _form(page: PageRequest, values: dict[str, str], errors: dict[str, str], status: int = 200) -> Response:
    options = [(domain.name, f".{domain.name}") for domain in await access.domains(page)]
    return page.render(
        "hosts/new.html", status, values=values, errors=errors, options=options, browser=_of_browser(page)
    )


def _full_name(name: str, domain: str) -> str:
    """The name in the domain; one that ends with the domain already is as it is."""
    folded, domain = names.fold(name), names.fold(domain)
    return folded if not domain or folded.endswith("." + domain) or not folded else f"{folded}.{domain}"


async def _check(page: PageRequest, fqdn: str) -> Domain:
    """The domain of a name that is free. Raises Invalid, NotPublished, StoreDown."""
    domain = await access.domain_around(page, fqdn)
    await page.portal.hosts.check_name(domain, fqdn)
    if await page.portal.store.read(lambda c: queries.taken(c, fqdn)):
        raise Taken(name=TAKEN)
    return domain


async def _add(page: PageRequest, fqdn: str, secret: str) -> None:
    """Register the host of the form. Raises Invalid, NotPublished, StoreDown."""
    domain = await access.domain_around(page, fqdn)
    new = NewHost(
        fqdn,
        page.caller.user_id,
        page.caller.user,
        secrets.digest(secret),
        _wanted(page, domain),
        wildcard=page.checked("wildcard"),
        comment=forms.comment(page.text("comment")),
        ttl=forms.ttl(page.text("ttl")),
        tls=page.tls,
        client_ip=page.client_ip,
        author=page.author,
    )
    try:
        await page.portal.hosts.register(domain, new)
    except Invalid as error:
        everywhere = error.fields.pop("__all__", None)
        error.fields |= {"name": everywhere} if everywhere else {}
        raise


def _wanted(page: PageRequest, domain: Domain) -> AddressUpdate:
    if page.text("address") == "browser":
        found = _of_browser(page)
        if found is None:
            raise InvalidAddress(page.client_ip or "")
        wanted = found
    elif page.text("address") == "given":
        ipv4, ipv6 = (forms.address(family, page.text(family)) for family in host_columns.FAMILIES)
        wanted = AddressUpdate(ipv4=ipv4, ipv6=ipv6)
    else:
        wanted = AddressUpdate()
    values = {"ipv4": wanted.ipv4, "ipv6": wanted.ipv6}
    host_columns.check_policy(page.portal.policy, values, domain_takes_private=domain.private_addresses)
    return wanted


def _of_browser(page: PageRequest) -> AddressUpdate | None:
    """The visitor's address; None where it is not known, or a host cannot have it."""
    try:
        found = addresses.parse([], page.client_ip, loopback_peers=page.portal.policy.loopback_peers)
    except (InvalidAddress, UnknownPeer):
        return None
    return found._replace(explicit=True)
