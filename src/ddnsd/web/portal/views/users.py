# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, as administrators see and change them."""

from urllib.parse import quote

from sqlalchemy import Connection
from starlette.responses import Response
from starlette.routing import Route

from ddnsd.db import admin_stats, paging, queries
from ddnsd.db import identities as stored
from ddnsd.db.rows import User
from ddnsd.registry import accounts
from ddnsd.registry import identities as members
from ddnsd.registry.errors import Invalid, NotEmpty, Stale
from ddnsd.web.api.serializers import user_tag
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.error_pages import NotFound
from ddnsd.web.portal.request import Access, PageRequest, get, post

PAGE = 100
TOKENS = 100
NAME_LENGTH = 150
BOXES = ("admin", "active", "withdrawn")


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def show_all(page: PageRequest) -> Response:
        text, after = (_clean(page.query.get(name, "")) for name in ("q", "after"))
        found = await portal.store.read(lambda c: admin_stats.accounts(c, text, after, PAGE + 1))
        following = page.url(after=found[PAGE - 1].user.name) if len(found) > PAGE else None
        return page.render(
            "admin/users.html",
            accounts=found[:PAGE],
            text=text,
            following=following,
            first=page.url(after=None) if after else None,
        )

    async def new(page: PageRequest) -> Response:
        return page.render("admin/user_new.html", values={}, errors={})

    async def add(page: PageRequest) -> Response:
        name, admin = page.text("name"), page.checked("admin")
        try:
            await portal.store.transact(
                lambda c: accounts.new_user(c, name, admin=admin, actor=page.caller.user, client_ip=page.client_ip)
            )
        except Invalid as error:
            errors = page.reasons(error.fields)
            return page.render("admin/user_new.html", 422, values=page.form, errors=errors)
        return page.redirect(_path(name), page.gettext("%(name)s was added.", name=name))

    async def show(page: PageRequest) -> Response:
        return await form(page, await find(page), {})

    async def form(page: PageRequest, user: User, errors: dict[str, str], *, typed: bool = False) -> Response:
        given, every, identities, tokens, account = await portal.store.read(
            lambda c: (
                stored.groups_of(c, user.id, given=True),
                stored.groups_of(c, user.id),
                stored.identities_of(c, user.id),
                paging.page_of_tokens(c, user.id, 0, TOKENS),
                stored.has_password(c, user.id),
            )
        )
        values = {name: getattr(user, name) for name in BOXES} | {"groups": "\n".join(given)}
        if typed:
            boxes = {name: page.checked(name) for name in BOXES}
            values = boxes | {"groups": page.form.get("groups", "")}
        return page.render(
            "admin/user.html",
            422 if errors else 200,
            user=user,
            values=values,
            errors=errors,
            tokens=tokens,
            identities=identities,
            claimed=[group for group in every if group not in given],
            password=account,
            sessions=await portal.sessions.list(user.id),
            myself=user.id == page.caller.user_id,
            tag=user_tag(user, given),
        )

    async def save(page: PageRequest) -> Response:
        user = await find(page)
        myself = user.id == page.caller.user_id
        wanted = {} if myself else {name: page.checked(name) for name in BOXES}
        if wanted.get("active"):
            wanted["withdrawn"] = False  # their records are in DNS again
        groups = frozenset(line.strip() for line in page.text("groups").splitlines() if line.strip())

        def work(connection: Connection) -> None:
            def expect(found: User) -> None:
                given = stored.groups_of(connection, found.id, given=True)
                if page.form.get("tag") not in (None, user_tag(found, given)):
                    raise Stale

            accounts.set_user(
                connection, user.name, wanted, actor=page.caller.user, client_ip=page.client_ip, expect=expect
            )
            members.set_groups(connection, user.name, groups, actor=page.caller.user, client_ip=page.client_ip)

        try:
            await portal.store.transact(work)
        except Invalid as error:
            return await form(page, user, page.reasons(error.fields), typed=True)
        return page.redirect(_path(user.name), page.gettext("Saved."))

    async def end_sessions(page: PageRequest) -> Response:
        user = await find(page)
        own = page.session.id if page.session and user.id == page.caller.user_id else None
        ended = await portal.sessions.end_all(user.id, but=own)
        flash_message = page.ngettext("%(num)s session was ended.", "%(num)s sessions were ended.", ended)
        return page.redirect(_path(user.name), flash_message)

    async def revoke(page: PageRequest) -> Response:
        user, given = await find(page), page.param("id")
        number = int(given) if given.isascii() and given.isdigit() and len(given) <= 18 else 0
        token = await portal.store.read(lambda c: paging.token(c, number))
        if token is None or token.user_id != user.id:
            raise NotFound
        await portal.store.transact(lambda c: accounts.delete_token(c, token, page.caller.user, page.client_ip))
        return page.redirect(_path(user.name), page.gettext("The token %(name)s was revoked.", name=token.name))

    async def remove(page: PageRequest) -> Response:
        user = await find(page)
        try:
            await portal.store.transact(
                lambda c: accounts.delete_user(
                    c, user.name, actor=page.caller.user, client_ip=page.client_ip, expect=lambda _: None
                )
            )
        except NotEmpty as error:
            return await form(page, user, page.reasons({"__all__": [str(error)]}))
        return page.redirect("/admin/users", page.gettext("%(name)s was removed.", name=user.name))

    async def find(page: PageRequest) -> User:
        name = _clean(page.param("name"))
        user = await portal.store.read(lambda c: queries.user(c, name))
        if user is None:
            raise NotFound
        return user

    return [
        get("/admin/users", show_all, Access.ADMINISTRATOR),
        get("/admin/users/new", new, Access.ADMINISTRATOR),
        post("/admin/users", add, Access.ADMINISTRATOR),
        get("/admin/user/{name:path}", show, Access.ADMINISTRATOR),
        post("/admin/user/sessions/{name:path}", end_sessions, Access.ADMINISTRATOR),
        post("/admin/user/tokens/{id}/{name:path}", revoke, Access.ADMINISTRATOR),
        post("/admin/user/remove/{name:path}", remove, Access.ADMINISTRATOR),
        post("/admin/user/save/{name:path}", save, Access.ADMINISTRATOR),
    ]


def _path(name: str) -> str:
    return f"/admin/user/{quote(name, safe='')}"


def _clean(text: str) -> str:
    return text.strip()[:NAME_LENGTH].replace("\0", "")
