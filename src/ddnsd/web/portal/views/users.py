# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, as administrators see and change them."""

from collections.abc import Sequence
from urllib.parse import quote

from starlette.responses import Response

from ddnsd.registry.account_removal import Removal
from ddnsd.registry.errors import Invalid, NoFactor, NotEmpty, Stale
from ddnsd.registry.inputs import USER_NAME_LENGTH
from ddnsd.registry.rows import User
from ddnsd.web.downloads import download
from ddnsd.web.portal import forms
from ddnsd.web.portal.error_pages import NotFound
from ddnsd.web.portal.messages import message
from ddnsd.web.portal.paging import paginate
from ddnsd.web.portal.request import PageRequest
from ddnsd.web.portal.routing import Access, get, post
from ddnsd.web.preconditions import user_tag

SIZE = 100
FLAGS = ("admin", "active", "withdrawn")


async def show_all(page: PageRequest) -> Response:
    """A page of users, by name."""
    text, after = (page.search_text(name, USER_NAME_LENGTH) for name in ("q", "after"))
    found = await page.portal.admin_stats.accounts(text, after, SIZE + 1)
    shown = found[:SIZE]
    return page.render(
        "admin/users.html",
        accounts=shown,
        pages=paginate(page, shown[-1].user.name if len(found) > SIZE else None),
        text=text,
    )


async def new(page: PageRequest) -> Response:
    """The form for a new user."""
    return page.render("admin/user_new.html", values={}, errors={})


async def add(page: PageRequest) -> Response:
    """Create the user of the form."""
    try:
        name = forms.read(page, forms.UserFields).name
        await page.portal.users.add(name, admin=page.checked("admin"), actor=page.caller.user, client_ip=page.client_ip)
    except Invalid as error:
        return page.render("admin/user_new.html", 422, values=page.form, errors=page.reasons(error.fields))
    return page.redirect(_path(name), page.gettext("%(name)s was added.", name=name))


async def show(page: PageRequest) -> Response:
    """A user, with a form to change them."""
    return await _show(page, await _find(page), {})


async def save(page: PageRequest) -> Response:
    """Change the user as the form says. Administrators do not change their own rights."""
    user = await _find(page)
    values: dict[str, bool | str | None] = {}
    if user.id != page.caller.user_id:
        values = {name: page.checked(name) for name in FLAGS}
    if values.get("active"):
        values["withdrawn"] = False  # their records are in DNS again

    def expect(found: User, assigned_groups: Sequence[str]) -> None:
        if page.form.get("tag") not in (None, user_tag(found, assigned_groups)):
            raise Stale

    try:
        fields = forms.read(page, forms.UserChangeFields, groups=page.text("groups").splitlines())
        if values.get("active") is False:
            values["suspension_reason"] = fields.reason
        await page.portal.users.change(
            user.name, values, frozenset(fields.groups), actor=page.caller.user, client_ip=page.client_ip, expect=expect
        )
    except Invalid as error:
        return await _show(page, user, page.reasons(error.fields), typed=True)
    return page.redirect(_path(user.name), page.gettext("Saved."))


async def end_sessions(page: PageRequest) -> Response:
    """Sign the user out everywhere; administrators keep their own session."""
    user = await _find(page)
    own = page.session.id if page.session and user.id == page.caller.user_id else None
    ended = await page.portal.sessions.end_all(user.id, but=own, actor=page.caller.user, client_ip=page.client_ip)
    done = page.ngettext("%(num)s session was ended.", "%(num)s sessions were ended.", ended)
    return page.redirect(_path(user.name), done)


async def remove_factors(page: PageRequest) -> Response:
    """Remove the user's second factors, and sign them out."""
    user = await _find(page)
    try:
        await page.portal.second_factors.remove_all(user.name, actor=page.caller.user, client_ip=page.client_ip)
    except NoFactor as none:
        return page.redirect(_path(user.name), page.gettext(message(none.code)))
    return page.redirect(_path(user.name), page.gettext("The second factors were removed."))


async def revoke_token(page: PageRequest) -> Response:
    """Delete one of the user's tokens."""
    user = await _find(page)
    token = await page.portal.tokens.revoke(user.id, page.id_param(), actor=page.caller.user, client_ip=page.client_ip)
    return page.redirect(_path(user.name), page.gettext("The token %(name)s was revoked.", name=token.name))


async def export(page: PageRequest) -> Response:
    """Everything that is stored about the user, as a file."""
    user = await _find(page)
    return await download(page.portal.account_export.parts(user, page.author), "account.json", "application/json")


async def remove(page: PageRequest) -> Response:
    """Remove the user."""
    user = await _find(page)
    try:
        removal = Removal(user.name, page.caller.user, page.client_ip, hosts=page.checked("hosts"))
        await page.portal.users.remove(removal)
    except NotEmpty as error:
        return await _show(page, user, {"__all__": page.explain(error)})
    return page.redirect("/admin/users", page.gettext("%(name)s was removed.", name=user.name))


async def _find(page: PageRequest) -> User:
    """The user of the path. Raises NotFound, StoreDown."""
    name = page.param("name").strip()[:USER_NAME_LENGTH].replace("\0", "")
    user = await page.portal.users.named(name)
    if user is None:
        raise NotFound
    return user


async def _show(page: PageRequest, user: User, errors: dict[str, str], *, typed: bool = False) -> Response:
    """The page of a user; with `typed` the form keeps what was sent."""
    details = await page.portal.users.details(user.id)
    values: dict[str, object] = {name: getattr(user, name) for name in FLAGS}
    values |= {"groups": "\n".join(details.assigned_groups), "reason": user.suspension_reason}
    if typed:
        values = {name: page.checked(name) for name in FLAGS}
        values |= {name: page.form.get(name, "") for name in ("groups", "reason")}
    return page.render(
        "admin/user.html",
        422 if errors else 200,
        user=user,
        values=values,
        errors=errors,
        tokens=details.tokens,
        identities=details.identities,
        claimed=details.claimed_groups,
        password=details.has_password,
        factors=await page.portal.second_factors.of_user(user.id),
        sessions=await page.portal.sessions.list(user.id),
        myself=user.id == page.caller.user_id,
        tag=user_tag(user, details.assigned_groups),
    )


def _path(name: str) -> str:
    return f"/admin/user/{quote(name, safe='')}"


ROUTES = [
    get("/admin/users", show_all, Access.ADMINISTRATOR),
    get("/admin/users/new", new, Access.ADMINISTRATOR),
    post("/admin/users", add, Access.ADMINISTRATOR),
    get("/admin/user/export/{name:path}", export, Access.ADMINISTRATOR),
    get("/admin/user/{name:path}", show, Access.ADMINISTRATOR),
    post("/admin/user/sessions/{name:path}", end_sessions, Access.ADMINISTRATOR),
    post("/admin/user/factors/{name:path}", remove_factors, Access.ADMINISTRATOR),
    post("/admin/user/tokens/{id}/{name:path}", revoke_token, Access.ADMINISTRATOR),
    post("/admin/user/remove/{name:path}", remove, Access.ADMINISTRATOR),
    post("/admin/user/save/{name:path}", save, Access.ADMINISTRATOR),
]
