# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes of pages: who may open a page, and which forms reach its view."""

from collections.abc import Awaitable, Callable
from enum import Enum
from urllib.parse import parse_qsl, urlencode

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ddnsd.auth.oidc.login_state import LINK_FIELD, local_path
from ddnsd.registry.errors import StoreDown
from ddnsd.web.asgi import FIELDS, is_encoded, signed_in
from ddnsd.web.portal import error_pages
from ddnsd.web.portal.csrf import is_from_portal
from ddnsd.web.portal.request import Form, PageRequest, anonymous, load_request

BODY_LIMIT = 64 * 1024
FORM_TYPE = "application/x-www-form-urlencoded"

REMOVING = frozenset({"remove", "delete", "revoke", "end", "withdraw", "logout"})
"""Parts of the paths of forms that are accepted also from a user who has made too many changes."""

FACTOR_PATHS = ("/account/second-factor", "/login", "/logout", "/account/language")
"""Beginnings of the paths that remain for an administrator who must add a second factor first."""

View = Callable[[PageRequest], Awaitable[Response]]


class Access(Enum):
    """Who may open a page; `auth.permissions` decides what they may do there."""

    EVERYBODY = "everybody"
    SIGNED_IN = "users who have signed in"
    ADMINISTRATOR = "administrators"


def get(path: str, view: View, access: Access = Access.SIGNED_IN) -> Route:
    """The route of a page. Its view must not change anything."""
    return Route(path, _endpoint(view, access), methods=["GET"])


def post(path: str, view: View, access: Access = Access.SIGNED_IN) -> Route:
    """The route of a form. A form from another site is refused before the view is called."""
    return Route(path, _endpoint(view, access), methods=["POST"])


def _endpoint(view: View, access: Access) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await _answer(request, view, access)

    return endpoint


async def _answer(request: Request, view: View, access: Access) -> Response:
    try:
        page = await load_request(request)
    except StoreDown as error:
        return error_pages.answer(anonymous(request), error)
    try:
        if refused := _check_access(page, access):
            return refused
        if page.signed_in:
            signed_in(request.scope)
        if request.method == "POST":
            page.form = await read_form(request)
            if not is_from_portal(page):
                return _refuse_form(page)
            if page.signed_in:
                removes = not REMOVING.isdisjoint(page.path.split("/"))
                await page.portal.rates.take_write(page.caller.user_id, refuse=not removes)
        return await view(page)
    except ClientDisconnect:
        return Response(status_code=408)  # the client has gone and does not get it
    except Exception as error:
        return error_pages.answer(page, error)


def _check_access(page: PageRequest, access: Access) -> Response | None:
    """The answer to a user who may not open the page; None if the user may."""
    _ = page.gettext
    if page.session is not None and page.session.must_add_factor and not _is_for_factors(page):
        return page.redirect("/account/second-factor")
    if access is Access.EVERYBODY or (page.signed_in and (access is Access.SIGNED_IN or page.admin)):
        return None
    if not page.signed_in:
        here = local_path(page.url()) if page.request.method == "GET" else "/"
        return page.redirect("/login" + ("?" + urlencode({"next": here}) if here != "/" else ""))
    return page.refuse(403, _("For administrators"), _("This page is for administrators of the service."))


def _is_for_factors(page: PageRequest) -> bool:
    """Whether the page is needed to add a second factor, or to sign in or out. Identities cannot be added before."""
    within = any(page.path == path or page.path.startswith(f"{path}/") for path in FACTOR_PATHS)
    return within and LINK_FIELD not in page.query


# ---- forms


async def read_form(request: Request) -> Form:
    """The fields of the body. Raises TooLarge, NoForm."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise error_pages.TooLarge
    if not body:
        return Form()
    if media_type != FORM_TYPE or is_encoded(request.headers.get("content-encoding", "")):
        raise error_pages.NoForm
    if body.count(b"&") >= FIELDS:
        raise error_pages.TooLarge
    return Form(parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="utf-8"))


def _refuse_form(page: PageRequest) -> Response:
    _ = page.gettext
    text = _("The form did not come from a current page of this portal. Go back, reload the page, and send it again.")
    return page.refuse(403, _("Nothing was changed"), text)
