# SPDX-License-Identifier: GPL-3.0-or-later
"""Adding a host: the form, the check of a name while it is typed, and the secret with the next steps."""

from urllib.parse import quote

from starlette.responses import JSONResponse, Response

from ddnsd.auth import secrets
from ddnsd.auth.permissions import Action
from ddnsd.registry import addresses, names
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.domains import takes_hosts
from ddnsd.registry.errors import Code, Invalid, InvalidAddress, Reason, Taken, UnknownPeer
from ddnsd.registry.hosts import NewHost
from ddnsd.registry.validation import TAKEN
from ddnsd.web.portal import access, forms, show_once
from ddnsd.web.portal.client_configs import dns_configurations_of, secret_configurations
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.portal.routing import get, post


async def new(page: PageRequest) -> Response:
    """The form."""
    return await _form(page, {"domain": page.query.get("domain", "")}, {})


async def add(page: PageRequest) -> Response:
    """Register the host of the form."""
    fqdn, secret = _full_name(page.text("name"), page.text("domain")), secrets.new_secret()
    try:
        if not page.text("name"):
            raise Invalid(name=Reason(Code.NAME_MISSING))
        return await show_once.create_and_redirect(
            page, f"/hosts/{quote(fqdn, safe='')}/created", {"secret": secret}, lambda: _register(page, fqdn, secret)
        )
    except Invalid as error:
        return await _form(page, dict(page.form), page.reasons(error.fields))


async def show_created(page: PageRequest) -> Response:
    """The secret of the new host, once, and configurations of clients."""
    created = await show_once.take_content(page)  # first, because it waits for the registration
    host = (await access.get_host(page, Action.ROTATE)).host
    fqdn, warnings = host.fqdn, page.explanations((await page.portal.host_lists.notices(host)).warnings)
    secret = created["secret"] if created else None
    shown, tsig = secret_configurations(fqdn, page.portal.base_url, secret), None
    if secret is not None:
        shown += dns_configurations_of(page.portal.update_port, host, secret)
        tsig = page.portal.tsig_key(fqdn, secret).get("tsig")
    return page.render(
        "hosts/created.html", fqdn=fqdn, secret=secret, tsig=tsig, configurations=shown, warnings=warnings
    )


async def check(page: PageRequest) -> Response:
    """Whether a name is free, as JSON for the portal's script."""
    fqdn = _full_name(page.query.get("name", ""), page.query.get("domain", ""))
    try:
        domain = await access.domain_around(page, fqdn)
        await page.portal.hosts.check_name(domain, fqdn)
        if await page.portal.host_lists.is_taken(fqdn):
            raise Taken(name=TAKEN)
    except Invalid as error:
        return JSONResponse({"free": False, "text": page.explain(error)})
    return JSONResponse({"free": True, "text": page.gettext("%(name)s is free.", name=fqdn)})


async def _form(page: PageRequest, values: dict[str, str], errors: dict[str, str]) -> Response:
    usable = [domain for domain in await access.usable_domains(page) if takes_hosts(domain)]
    return page.render(
        "hosts/new.html",
        422 if errors else 200,
        values=values,
        errors=errors,
        options=[(domain.name, f".{domain.name}") for domain in usable if not domain.frozen],
        frozen=[domain for domain in usable if domain.frozen],
        browser=_browser_address(page),
    )


def _full_name(name: str, domain: str) -> str:
    """The name with the domain added, unless it already ends with the domain."""
    folded, domain = names.fold(name), names.fold(domain)
    return folded if not domain or folded.endswith("." + domain) or not folded else f"{folded}.{domain}"


async def _register(page: PageRequest, fqdn: str, secret: str) -> None:
    """Register the host of the form. Raises Invalid, NotPublished, StoreDown."""
    domain = await access.domain_around(page, fqdn)
    fields = forms.read(page, forms.HostFields if page.text("address") == "given" else forms.DomainFields)
    host = NewHost(
        fqdn,
        page.caller.user_id,
        page.caller.user,
        secrets.verifier(secret),
        _first_addresses(page, fields),
        wildcard=page.checked("wildcard"),
        ptr=page.checked("ptr"),
        comment=fields.comment,
        ttl=fields.ttl,
        tls=page.tls,
        client_ip=page.client_ip,
        author=page.author,
        caller=page.caller_with_rights,
    )
    try:
        await page.portal.hosts.register(domain, host)
    except Invalid as error:
        everywhere = error.fields.pop("__all__", None)
        error.fields |= {"name": everywhere} if everywhere else {}
        raise


def _first_addresses(page: PageRequest, fields: forms.DomainFields) -> AddressUpdate:
    """The addresses that the form chooses. Raises InvalidAddress."""
    if page.text("address") == "browser":
        found = _browser_address(page)
        if found is None:
            raise InvalidAddress(page.client_ip or "")
        return found
    return AddressUpdate(fields.ipv4, fields.ipv6) if isinstance(fields, forms.HostFields) else AddressUpdate()


def _browser_address(page: PageRequest) -> AddressUpdate | None:
    """The browser's address; None if it is unknown, or if no host may have it."""
    try:
        found = addresses.parse([], page.client_ip, loopback_peers=page.portal.policy.loopback_peers)
    except (InvalidAddress, UnknownPeer):
        return None
    return found._replace(explicit=True)


ROUTES = [
    get("/hosts/new", new),
    post("/hosts/new", add),
    get("/hosts/check", check),
    get("/hosts/{fqdn}/created", show_created),
]
