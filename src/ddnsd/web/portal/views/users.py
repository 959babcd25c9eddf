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
from ddnsd.web.portal.request import Access, Visit, get, post

PAGE = 100
TOKENS = 100
NAME_LENGTH = 150
BOXES = ("admin", "active", "withdrawn")


def routes(portal: Portal) -> list[Route]:
    """The routes."""

    async def show_all(visit: Visit) -> Response:
        text, after = (_clean(visit.query.get(name, "")) for name in ("q", "after"))
        found = await portal.store.read(lambda c: admin_stats.accounts(c, text, after, PAGE + 1))
        following = visit.url(after=found[PAGE - 1].user.name) if len(found) > PAGE else None
        return visit.render(
            "admin/users.html",
            accounts=found[:PAGE],
            text=text,
            following=following,
            first=visit.url(after=None) if after else None,
        )

    async def new(visit: Visit) -> Response:
        return visit.render("admin/user_new.html", values={}, errors={})

    async def add(visit: Visit) -> Response:
        name, admin = visit.text("name"), visit.checked("admin")
        try:
            await portal.store.transact(
                lambda c: accounts.new_user(c, name, admin=admin, actor=visit.caller.user, source=visit.source)
            )
        except Invalid as error:
            errors = visit.reasons(error.fields)
            return visit.render("admin/user_new.html", 422, values=visit.form, errors=errors)
        return visit.redirect(_path(name), visit.gettext("%(name)s was added.", name=name))

    async def show(visit: Visit) -> Response:
        return await form(visit, await find(visit), {})

    async def form(visit: Visit, user: User, errors: dict[str, str], *, typed: bool = False) -> Response:
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
            boxes = {name: visit.checked(name) for name in BOXES}
            values = boxes | {"groups": visit.form.get("groups", "")}
        return visit.render(
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
            myself=user.id == visit.caller.user_id,
            tag=user_tag(user, given),
        )

    async def save(visit: Visit) -> Response:
        user = await find(visit)
        myself = user.id == visit.caller.user_id
        wanted = {} if myself else {name: visit.checked(name) for name in BOXES}
        if wanted.get("active"):
            wanted["withdrawn"] = False  # their records are in DNS again
        groups = frozenset(line.strip() for line in visit.text("groups").splitlines() if line.strip())

        def work(connection: Connection) -> None:
            def expect(found: User) -> None:
                given = stored.groups_of(connection, found.id, given=True)
                if visit.form.get("tag") not in (None, user_tag(found, given)):
                    raise Stale

            accounts.set_user(
                connection, user.name, wanted, actor=visit.caller.user, source=visit.source, expect=expect
            )
            members.set_groups(connection, user.name, groups, actor=visit.caller.user, source=visit.source)

        try:
            await portal.store.transact(work)
        except Invalid as error:
            return await form(visit, user, visit.reasons(error.fields), typed=True)
        return visit.redirect(_path(user.name), visit.gettext("Saved."))

    async def end_sessions(visit: Visit) -> Response:
        user = await find(visit)
        own = visit.session.id if visit.session and user.id == visit.caller.user_id else None
        ended = await portal.sessions.end_all(user.id, but=own)
        said = visit.ngettext("%(num)s session was ended.", "%(num)s sessions were ended.", ended)
        return visit.redirect(_path(user.name), said)

    async def revoke(visit: Visit) -> Response:
        user, given = await find(visit), visit.param("id")
        number = int(given) if given.isascii() and given.isdigit() and len(given) <= 18 else 0
        token = await portal.store.read(lambda c: paging.token(c, number))
        if token is None or token.user_id != user.id:
            raise NotFound
        await portal.store.transact(lambda c: accounts.delete_token(c, token, visit.caller.user, visit.source))
        return visit.redirect(_path(user.name), visit.gettext("The token %(name)s is void.", name=token.name))

    async def remove(visit: Visit) -> Response:
        user = await find(visit)
        try:
            await portal.store.transact(
                lambda c: accounts.delete_user(
                    c, user.name, actor=visit.caller.user, source=visit.source, expect=lambda _: None
                )
            )
        except NotEmpty as error:
            return await form(visit, user, visit.reasons({"__all__": [str(error)]}))
        return visit.redirect("/admin/users", visit.gettext("%(name)s was removed.", name=user.name))

    async def find(visit: Visit) -> User:
        name = _clean(visit.param("name"))
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
