# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens for the API: who uses them, what they may do, and their end."""

import time
from collections.abc import Callable

from starlette.responses import Response
from starlette.routing import Route

from ddnsd.auth import secrets
from ddnsd.auth.caller import Caller
from ddnsd.db import paging
from ddnsd.db.rows import Token, User
from ddnsd.registry import accounts
from ddnsd.registry.errors import Invalid
from ddnsd.registry.token_scope import PATTERN, TokenScope, network
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.error_pages import NotFound
from ddnsd.web.portal.handing_over import hand_over, handed_over
from ddnsd.web.portal.i18n import N_
from ddnsd.web.portal.request import Form, PageRequest, get, post

PAGE = 100
MOST = 100
DAY = 86_400
LIFETIMES = {
    "1": N_("a day"),
    "30": N_("30 days"),
    "90": N_("90 days"),
    "365": N_("a year"),
    "": N_("never expires"),
}
"""Days as text, "" for ever."""
USUAL = "90"


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def show(page: PageRequest) -> Response:
        after = _number(page.query.get("after", ""))
        found = await portal.store.read(lambda c: paging.page_of_tokens(c, page.caller.user_id, after, PAGE + 1))
        following = page.url(after=found[PAGE - 1].id) if len(found) > PAGE else None
        return page.render(
            "tokens/list.html",
            tokens=found[:PAGE],
            now=time.time() * 1e6,
            first=page.url(after=None) if after else None,
            following=following,
        )

    async def new(page: PageRequest) -> Response:
        return _form(page, Form([("scopes", "read"), ("scopes", "write"), ("lifetime", USUAL)]), {})

    async def make(page: PageRequest) -> Response:
        errors: dict[str, str] = {}
        wanted = _wanted(page, errors)
        name = page.text("name")
        if not name or len(name) > 100 or not name.isprintable():
            errors["name"] = page.gettext("A name has 1 to 100 printable characters.")
        if errors:
            return _form(page, page.form, errors, 422)
        secret = secrets.new_token()
        add = _add(page, name, wanted, secrets.digest(secret))
        try:
            content = {"name": name, "secret": secret}
            return await hand_over(page, "/tokens/made", content, lambda: portal.store.transact(add))
        except Invalid as error:
            return _form(page, page.form, page.reasons(error.fields), 422)

    async def show_made(page: PageRequest) -> Response:
        return page.render("tokens/made.html", made=await handed_over(page))

    async def revoke(page: PageRequest) -> Response:
        number = _number(page.param("id"))
        token = await portal.store.read(lambda c: paging.token(c, number))
        if token is None or token.user_id != page.caller.user_id:
            raise NotFound
        await portal.store.transact(lambda c: accounts.delete_token(c, token, page.caller.user, page.client_ip))
        return page.redirect("/tokens", page.gettext("The token %(name)s was revoked.", name=token.name))

    return [
        get("/tokens", show),
        get("/tokens/new", new),
        get("/tokens/made", show_made),
        post("/tokens", make),
        post("/tokens/{id}/revoke", revoke),
    ]


def _form(page: PageRequest, values: Form, errors: dict[str, str], status: int = 200) -> Response:
    scopes = [scope for scope in accounts.SCOPES if scope in page.caller.scopes]
    return page.render(
        "tokens/new.html",
        status,
        values=values,
        chosen=values.getlist("scopes"),
        scopes=scopes,
        errors=errors,
        lifetimes=[(days, page.gettext(text)) for days, text in LIFETIMES.items()],
    )


def _add(page: PageRequest, name: str, limits: TokenScope, hashed: bytes) -> Callable[..., Token]:
    caller: Caller = page.caller
    user = User(caller.user_id, caller.user, page.admin, True, 0)
    return lambda connection: accounts.add_token(
        connection,
        user,
        name,
        hashed,
        scopes=limits.scopes,
        domains=limits.domains,
        hosts=limits.hosts,
        networks=limits.networks,
        expires=limits.expires,
        actor=caller.user,
        client_ip=page.client_ip,
    )


def _wanted(page: PageRequest, errors: dict[str, str]) -> TokenScope:
    """What the form asks for; what is wrong with it goes into `errors`."""
    _ = page.gettext
    scopes = tuple(scope for scope in accounts.SCOPES if scope in page.form.getlist("scopes"))
    if not scopes:
        errors["scopes"] = _("Tick at least one.")
    elif not set(scopes) <= page.caller.scopes:
        errors["scopes"] = _("You do not have this right yourself.")
    names = {field: tuple(page.text(field).lower().split()) for field in ("domains", "hosts")}
    for field, patterns in names.items():
        if wrong := [pattern for pattern in patterns if not PATTERN.fullmatch(pattern)]:
            errors[field] = _("%(value)s is not a name or a pattern such as *.example.org.", value=wrong[0])
    networks = []
    for text in page.text("networks").split():
        try:
            networks.append(network(text))
        except ValueError:
            errors["networks"] = _("%(value)s is no network such as 192.0.2.0/24.", value=text)
    for field in ("domains", "hosts", "networks"):
        if len(page.text(field).split()) > MOST:
            errors[field] = _("At most %(most)s.", most=MOST)
    days = page.text("lifetime")
    if days not in LIFETIMES:
        errors["lifetime"] = _("Choose one of these.")
        days = ""
    expires = round((time.time() + int(days) * DAY) * 1e6) if days else None
    return TokenScope(scopes, names["domains"], names["hosts"], tuple(networks), expires)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0
