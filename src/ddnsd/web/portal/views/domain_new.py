# SPDX-License-Identifier: GPL-3.0-or-later
"""Adding a domain with its zone: made on our own BIND, or one that somebody brings, with its key."""

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.dns.bind.rndc import BindError
from ddnsd.dns.errors import DnsError
from ddnsd.dns.tsig import ALGORITHMS, GENERATED, TsigKey
from ddnsd.registry import names
from ddnsd.registry.errors import Code, Invalid, NoBind, Reason
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.handing_over import FIELD, PARAMETER, hand_over, handed_over
from ddnsd.web.portal.request import Access, Form, PageRequest, get, post
from ddnsd.web.portal.views.domains import wanted

BRING, PROVISION = "bring", "provision"
USUAL = Form([("zone", PROVISION), ("use", "private"), ("available", "on"), ("algorithm", "hmac-sha256")])


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def new(page: PageRequest) -> Response:
        filled = await handed_over(page)
        if filled is None:
            return form(page, USUAL, {}, gone=PARAMETER in page.query)
        values = Form(filled)
        key = TsigKey(values["key_name"], algorithm=values["algorithm"], secret=values["secret"])
        return form(page, values, {}, made=key)

    async def make_key(page: PageRequest) -> Response:
        """A key for a zone of somebody's own; it is kept nowhere until the zone takes it."""
        name = names.fold(page.text("name"))
        if problem := names.domain_problem(name):
            return form(page, page.form, page.reasons({"name": problem}))
        algorithm = page.text("algorithm") if page.text("algorithm") in GENERATED else "hmac-sha256"
        key = TsigKey.generate(f"ddnsd.{name}", algorithm)
        filled = dict(page.form) | {
            "zone": BRING,
            "name": name,
            "key_name": key.name,
            "algorithm": key.algorithm,
            "secret": key.secret,
        }
        filled = {name: value for name, value in filled.items() if name not in ("csrf", FIELD)}
        return await hand_over(page, "/domains/new", filled, nothing_else)

    async def add(page: PageRequest) -> Response:
        check_only = page.text("do") == "check"
        try:
            name, zone = names.fold(page.text("name")), brought(page)
            asked = {"columns": wanted(page), **zone}
            owner = page.text("owner") or page.caller.user
            if check_only:
                await portal.zones.check_new(name, owner, **asked)
                return form(page, page.form, {}, checked=True)
            await portal.zones.add(name, owner, actor=page.caller.user, client_ip=page.client_ip, **asked)
        except (Invalid, DnsError, NoBind, BindError) as error:
            return form(page, page.form, reasons(page, error))
        return page.redirect(f"/domains/{name}", page.gettext("%(name)s was added.", name=name))

    def form(
        page: PageRequest,
        values: Form,
        errors: dict[str, str],
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

    return [
        get("/domains/new", new, Access.ADMINISTRATOR),
        post("/domains/key", make_key, Access.ADMINISTRATOR),
        post("/domains", add, Access.ADMINISTRATOR),
    ]


async def nothing_else() -> None:
    """A key is kept nowhere before the domain is added."""


def brought(page: PageRequest) -> dict[str, Any]:
    """Primary and key of a zone that somebody brings; nothing where it is to be made. Raises Invalid."""
    if page.text("zone") != BRING:
        return {}
    if not page.text("primary"):
        raise Invalid(primary=Reason(Code.PRIMARY_MISSING))
    try:
        key = TsigKey(page.text("key_name"), algorithm=page.text("algorithm"), secret=page.text("secret"))
    except ValueError as error:
        raise Invalid(secret=Reason(Code.KEY_INVALID, cause=str(error))) from None
    return {"primary": page.text("primary"), "key": key}


def reasons(page: PageRequest, error: Exception) -> dict[str, str]:
    """What is wrong, by field; of a name server its own words."""
    if isinstance(error, Invalid):
        return {{"user": "owner"}.get(n, n): text for n, text in page.reasons(error.fields).items()}
    if isinstance(error, NoBind):
        return {"__all__": page.explain(error)}
    if isinstance(error, DnsError) and page.text("zone") == BRING:
        return page.reasons({"primary": Reason(Code.PRIMARY_UNUSABLE, cause=str(error))})
    return {"__all__": page.gettext("Nothing was changed: %(reason)s", reason=str(error))}
