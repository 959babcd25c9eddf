# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's tokens for the API."""

import time

from starlette.responses import Response

from ddnsd.auth import secrets
from ddnsd.registry.errors import Invalid
from ddnsd.registry.inputs import TOKEN_LIMITS
from ddnsd.registry.token_scope import PATTERN, SCOPES, TokenScope, network
from ddnsd.web.portal import forms, show_once
from ddnsd.web.portal.i18n import N_
from ddnsd.web.portal.paging import paginate
from ddnsd.web.portal.request import Form, PageRequest
from ddnsd.web.portal.routing import get, post

SIZE = 100
DAY = 86_400
LIFETIMES = {
    "1": N_("a day"),
    "30": N_("30 days"),
    "90": N_("90 days"),
    "365": N_("a year"),
    "": N_("never expires"),
}
"""Days as text; "" is unlimited."""
USUAL = Form([("scopes", "read"), ("scopes", "write"), ("lifetime", "90")])


async def show(page: PageRequest) -> Response:
    """A page of tokens."""
    found = await page.portal.tokens.page(page.caller, page.cursor("after"), SIZE)
    return page.render("tokens/list.html", tokens=found.items, pages=paginate(page, found.next), now=time.time() * 1e6)


async def new(page: PageRequest) -> Response:
    """The form for a new token."""
    return _form(page, USUAL, {})


async def create(page: PageRequest) -> Response:
    """Create the token of the form."""
    name, secret = page.text("name"), secrets.new_token()
    scope, errors = _scope(page)
    if not forms.is_name(name):
        errors["name"] = page.gettext("A name has 1 to 100 printable characters.")
    if errors:
        return _form(page, page.form, errors)
    try:
        return await show_once.create_and_redirect(
            page,
            "/tokens/made",
            {"name": name, "secret": secret},
            lambda: page.portal.tokens.create(page.caller, name, scope, secret, client_ip=page.client_ip),
        )
    except Invalid as error:
        return _form(page, page.form, page.reasons(error.fields))


async def show_created(page: PageRequest) -> Response:
    """The new token, once."""
    return page.render("tokens/made.html", made=await show_once.take_content(page))


async def revoke(page: PageRequest) -> Response:
    """Delete a token."""
    token = await page.portal.tokens.revoke(
        page.caller.user_id, page.id_param(), actor=page.caller.user, client_ip=page.client_ip
    )
    return page.redirect("/tokens", page.gettext("The token %(name)s was revoked.", name=token.name))


def _form(page: PageRequest, values: Form, errors: dict[str, str]) -> Response:
    return page.render(
        "tokens/new.html",
        422 if errors else 200,
        values=values,
        chosen=values.getlist("scopes"),
        scopes=[scope for scope in SCOPES if scope in page.caller.scopes],
        errors=errors,
        lifetimes=[(days, page.gettext(text)) for days, text in LIFETIMES.items()],
    )


def _scope(page: PageRequest) -> tuple[TokenScope, dict[str, str]]:
    """The scope that the form asks for, and its errors by field."""
    _, errors = page.gettext, {}
    scopes = tuple(scope for scope in SCOPES if scope in page.form.getlist("scopes"))
    if not scopes:
        errors["scopes"] = _("Tick at least one.")
    elif not set(scopes) <= page.caller.scopes:
        errors["scopes"] = _("You do not have this right yourself.")
    patterns = {field: tuple(page.text(field).lower().split()) for field in ("domains", "hosts")}
    for field, texts in patterns.items():
        if wrong := [text for text in texts if not PATTERN.fullmatch(text)]:
            errors[field] = _("%(value)s is not a name or a pattern such as *.example.org.", value=wrong[0])
    networks = []
    for text in page.text("networks").split():
        try:
            networks.append(network(text))
        except Invalid as error:
            errors |= page.reasons(error.fields)
    for field in ("domains", "hosts", "networks"):
        if len(page.text(field).split()) > TOKEN_LIMITS:
            errors[field] = _("At most %(most)s.", most=TOKEN_LIMITS)
    if page.text("lifetime") not in LIFETIMES:
        errors["lifetime"] = _("Choose one of these.")
    return TokenScope(scopes, patterns["domains"], patterns["hosts"], tuple(networks), _expires(page)), errors


def _expires(page: PageRequest) -> int | None:
    """The end in microseconds since the epoch; None for a token without an end."""
    days = page.text("lifetime")
    return round((time.time() + int(days) * DAY) * 1e6) if days in LIFETIMES and days else None


ROUTES = [
    get("/tokens", show),
    get("/tokens/new", new),
    get("/tokens/made", show_created),
    post("/tokens", create),
    post("/tokens/{id}/revoke", revoke),
]
