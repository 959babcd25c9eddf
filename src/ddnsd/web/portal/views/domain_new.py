# SPDX-License-Identifier: GPL-3.0-or-later
"""Adding a domain: with a new zone on the service's own BIND, or with an existing zone and its key."""

from typing import Any

from starlette.responses import Response

from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.errors import DnsError
from ddnsd.dns.tsig import ALGORITHMS, GENERATED, TsigKey
from ddnsd.registry import names
from ddnsd.registry.errors import Code, Invalid, NoBind, Reason
from ddnsd.web.portal import show_once
from ddnsd.web.portal.request import Form, PageRequest
from ddnsd.web.portal.routing import Access, get, post
from ddnsd.web.portal.views.domains import form_columns

BRING, PROVISION = "bring", "provision"
USUAL = Form([("zone", PROVISION), ("use", "private"), ("available", "on"), ("algorithm", "hmac-sha256")])


async def new(page: PageRequest) -> Response:
    """The form. After `create_key` it shows the new key once."""
    filled = await show_once.take_content(page)
    if filled is None:
        return _form(page, USUAL, {}, gone=show_once.PARAMETER in page.query)
    values = Form(filled)
    key = TsigKey(values["key_name"], algorithm=values["algorithm"], secret=values["secret"])
    return _form(page, values, {}, made=key)


async def create_key(page: PageRequest) -> Response:
    """Generate a key for an existing zone. It is stored only when the domain is added."""
    name = names.fold(page.text("name"))
    if problem := names.domain_problem(name):
        return _form(page, page.form, page.reasons({"name": problem}))
    algorithm = page.text("algorithm") if page.text("algorithm") in GENERATED else "hmac-sha256"
    key = TsigKey.generate(f"ddnsd.{name}", algorithm)
    filled = dict(page.form) | {
        "zone": BRING,
        "name": name,
        "key_name": key.name,
        "algorithm": key.algorithm,
        "secret": key.secret,
    }
    content = {name: value for name, value in filled.items() if name not in ("csrf", show_once.FIELD)}
    return await show_once.create_and_redirect(page, "/domains/new", content, _nothing)


async def _nothing() -> None:
    """Create nothing: the key is not stored yet."""


async def add(page: PageRequest) -> Response:
    """Add the domain, or only check whether it can be added."""
    zones = page.portal.zones
    try:
        name, owner = names.fold(page.text("name")), page.text("owner") or page.caller.user
        zone = {**brought_zone(page), "columns": form_columns(page)}
        if page.text("do") == "check":
            await zones.check_new(name, owner, **zone)
            return _form(page, page.form, {}, checked=True)
        await zones.add(name, owner, actor=page.caller.user, client_ip=page.client_ip, **zone)
    except (Invalid, DnsError, NoBind, BindError) as error:
        return _form(page, page.form, zone_errors(page, error))
    return page.redirect(f"/domains/{name}", page.gettext("%(name)s was added.", name=name))


def _form(
    page: PageRequest,
    values: Form,
    errors: dict[str, str],
    *,
    made: TsigKey | None = None,
    checked: bool = False,
    gone: bool = False,
) -> Response:
    return page.render(
        "domains/new.html",
        422 if errors else 200,
        values=values,
        errors=errors,
        made=made,
        checked=checked,
        gone=gone,
        algorithms=[(name, name) for name in ALGORITHMS],
    )


def brought_zone(page: PageRequest) -> dict[str, Any]:
    """Primary and key of an existing zone; empty for a new zone on the service's BIND. Raises Invalid."""
    if page.text("zone") != BRING:
        return {}
    if not page.text("primary"):
        raise Invalid(primary=Reason(Code.PRIMARY_MISSING))
    try:
        key = TsigKey(page.text("key_name"), algorithm=page.text("algorithm"), secret=page.text("secret"))
    except ValueError as error:
        raise Invalid(secret=Reason(Code.KEY_INVALID, cause=str(error))) from None
    return {"primary": page.text("primary"), "key": key}


def zone_errors(page: PageRequest, error: Exception) -> dict[str, str]:
    """Errors by field. The error of a name server is shown unchanged."""
    if isinstance(error, Invalid):
        return {{"user": "owner"}.get(n, n): text for n, text in page.reasons(error.fields).items()}
    if isinstance(error, NoBind):
        return {"__all__": page.explain(error)}
    if isinstance(error, DnsError) and page.text("zone") == BRING:
        return page.reasons({"primary": Reason(Code.PRIMARY_UNUSABLE, cause=str(error))})
    return {"__all__": page.gettext("Nothing was changed: %(reason)s", reason=str(error))}


ROUTES = [
    get("/domains/new", new, Access.ADMINISTRATOR),
    post("/domains/key", create_key, Access.ADMINISTRATOR),
    post("/domains", add, Access.ADMINISTRATOR),
]
