# SPDX-License-Identifier: GPL-3.0-or-later
"""One request of a browser: who it is, in which language, what it sends, and how it is answered.

A page module declares its routes with `get` and `post`; its handlers take a `PageRequest` and answer a `Response`:

    def routes(portal: Portal) -> list[Route]:
        async def show(page: PageRequest) -> Response:
            return page.render("things/show.html", things=...)

        async def add(page: PageRequest) -> Response:
            ...
            return page.redirect("/things", page.gettext("The thing was added."))

        return [get("/things", show), post("/things", add)]

What the registry raises and a handler does not catch becomes a page that says so (`error_pages`).
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qsl, urlencode

from jinja2 import Environment
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ddnsd.auth.caller import Caller
from ddnsd.auth.sessions import COOKIE as SESSION_COOKIE
from ddnsd.auth.sessions import Session
from ddnsd.db.base import StoreDown
from ddnsd.db.history import Author
from ddnsd.registry.errors import Unconfirmed
from ddnsd.web.asgi import FIELDS, signed_in
from ddnsd.web.author import author
from ddnsd.web.portal import error_pages, flash, messages
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.i18n import N_, Language, choose

LANGUAGE_COOKIE = "ddns-language"
BODY_LIMIT = 64 * 1024
FORM = "application/x-www-form-urlencoded"

UNCONFIRMED = N_("The name server has not confirmed it yet. The service keeps trying.")

Form = ImmutableMultiDict[str, str]


class Access(Enum):
    """Who may open a page at all; what they may do there is `auth.permissions`'s to say."""

    EVERYBODY = "everybody"
    SIGNED_IN = "whoever has signed in"
    ADMINISTRATOR = "administrators"


@dataclass
class PageRequest:
    """`form` is what was posted, `query` what is in the URL; `session` is None for somebody who has not signed in,
    `flash_message` is what the last page left to say."""

    request: Request
    portal: Portal
    language: Language
    session: Session | None
    form: Form = field(default_factory=Form)
    flash_message: flash.Flash | None = None

    @property
    def caller(self) -> Caller:
        """Who has signed in, on pages that need it; acting on their own things alone, administrator or not."""
        assert self.session is not None
        return self.session.user

    @property
    def signed_in(self) -> bool:
        return self.session is not None

    @property
    def admin(self) -> bool:
        """Whether an administrator has signed in."""
        return self.session is not None and "admin" in self.session.user.scopes

    @property
    def overseer(self) -> Caller:
        """Likewise, an administrator acting on everybody's things: for pages that say whose these are."""
        return self.caller._replace(admin=self.admin)

    @property
    def csrf(self) -> str:
        """What every form carries; "" for somebody who has not signed in."""
        return self.session.csrf if self.session else ""

    def random(self) -> str:
        """A number that no other form of ours has."""
        return secrets.token_urlsafe(16)

    @property
    def author(self) -> Author:
        """Who stands in a host's history."""
        return author(self.caller, self.client_ip, self.agent)

    @property
    def client_ip(self) -> str | None:
        """The browser's address."""
        return self.request.client.host if self.request.client else None

    @property
    def tls(self) -> bool:
        return self.request.url.scheme == "https"

    @property
    def agent(self) -> str:
        return self.request.headers.get("user-agent", "")

    @property
    def path(self) -> str:
        return self.request.url.path

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query_params

    def param(self, name: str) -> str:
        """A part of the path, such as `fqdn` of `/hosts/{fqdn}`."""
        value: str = self.request.path_params[name]
        return value

    def text(self, name: str) -> str:
        """A field of the form without blanks around it, "" when it is not there."""
        return self.form.get(name, "").strip()

    def checked(self, name: str) -> bool:
        """Whether a box of the form is ticked."""
        return name in self.form

    def gettext(self, text: str, **values: object) -> str:
        """The text in the visitor's language."""
        return self.language.gettext(text, **values)

    def ngettext(self, one: str, many: str, number: int, **values: object) -> str:
        """Likewise, for a number."""
        return self.language.ngettext(one, many, number, **values)

    def reasons(self, errors: Mapping[str, Iterable[str]]) -> dict[str, str]:
        """What the registry says of each field (`Invalid.fields`), in the visitor's language."""
        return {
            name: " ".join(messages.translated(self.language, text) for text in flash_message)
            for name, flash_message in errors.items()
        }

    def url(self, **changed: object) -> str:
        """This page's URL with other values in its query; None leaves one out."""
        merged = {**self.query, **changed}
        kept = {name: value for name, value in merged.items() if value not in (None, "")}
        return self.path + ("?" + urlencode(kept) if kept else "")

    def render(self, template: str, status: int = 200, **values: object) -> Response:
        """A page; templates know `page` beside the values."""
        environment: Environment = self.request.app.state.environments[self.language.code]
        self.flash_message = flash.read(self.request, self.csrf)
        content = environment.get_template(template).render(page=self, **values)
        response = Response(content, status, media_type="text/html")
        if self.flash_message is not None:
            flash.forget(response)
        return response

    def redirect(self, path: str, flash_message: str = "", kind: str = "done") -> Response:
        """Go on at a local path, where `flash_message` is shown once; `kind` is `done` or `warning`."""
        response = RedirectResponse(path, 303)
        if flash_message:
            flash.write(response, self.csrf, flash.Flash(flash_message, kind))
        return response

    async def saved(self, change: Awaitable[object], path: str, flash_message: str) -> Response:
        """Carry out a change, and go on at a local path; a name server that did not confirm it is no failure."""
        try:
            await change
        except Unconfirmed:
            return self.redirect(path, f"{flash_message} {self.gettext(UNCONFIRMED)}", "warning")
        return self.redirect(path, flash_message)

    def refuse(self, status: int, title: str, text: str) -> Response:
        """A page that says why not."""
        return self.render("error.html", status, title=title, text=text)


Handler = Callable[[PageRequest], Awaitable[Response]]


def get(path: str, handler: Handler, access: Access = Access.SIGNED_IN) -> Route:
    """A route that changes nothing."""

    async def endpoint(request: Request) -> Response:
        return await _answer(request, handler, access)

    return Route(path, endpoint, methods=["GET"])


def post(path: str, handler: Handler, access: Access = Access.SIGNED_IN) -> Route:
    """A route for a form of ours; one of somebody else's is refused before the handler sees it."""

    async def endpoint(request: Request) -> Response:
        return await _answer(request, handler, access)

    return Route(path, endpoint, methods=["POST"])


async def load_request(request: Request) -> PageRequest:
    """The page request of an HTTP request. Raises StoreDown."""
    portal: Portal = request.app.state.portal
    client_ip = request.client.host if request.client else None
    cookie = request.cookies.get(SESSION_COOKIE, "")
    session = await portal.sessions.find(cookie, client_ip) if cookie else None
    return PageRequest(request, portal, _language(request), session)


def anonymous(request: Request) -> PageRequest:
    """A request without a session: the database cannot be asked now."""
    return PageRequest(request, request.app.state.portal, _language(request), None)


def _language(request: Request) -> Language:
    return choose(request.cookies.get(LANGUAGE_COOKIE, ""), request.headers.get("accept-language", ""))


async def _answer(request: Request, handler: Handler, access: Access) -> Response:
    try:
        page = await load_request(request)
    except StoreDown as error:
        return error_pages.answer(anonymous(request), error)
    try:
        if refused := _not_for(page, access):
            return refused
        if page.signed_in:
            signed_in(request.scope)
        if request.method == "POST":
            page.form = await _form(request)
            if not (_of_this_site(request, page.portal) and _carries(page)):
                return _foreign(page)
        return await handler(page)
    except ClientDisconnect:
        return Response(status_code=408)  # which nobody gets
    except Exception as error:
        return error_pages.answer(page, error)


def _not_for(page: PageRequest, access: Access) -> Response | None:
    _ = page.gettext
    if access is Access.EVERYBODY or (page.signed_in and (access is Access.SIGNED_IN or page.admin)):
        return None
    if not page.signed_in:
        here = page.url() if page.request.method == "GET" else "/"
        return page.redirect("/login" + ("?" + urlencode({"next": here}) if here != "/" else ""))
    return page.refuse(403, _("For administrators"), _("This page is for administrators of the service."))


# ---- forms of ours


async def _form(request: Request) -> Form:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise error_pages.TooLarge
    if not body:
        return Form()
    if kind != FORM:
        raise error_pages.NoForm
    if body.count(b"&") >= FIELDS:
        raise error_pages.TooLarge
    return Form(parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="utf-8"))


def _carries(page: PageRequest) -> bool:
    return not page.signed_in or hmac.compare_digest(page.form.get("csrf", "").encode(), page.csrf.encode())


def _of_this_site(request: Request, portal: Portal) -> bool:
    """What the browser says of where the form was; nothing is said by what is no browser."""
    flash_message = request.headers.get("sec-fetch-site")
    if flash_message is not None:
        return flash_message in ("same-origin", "none")
    origin = request.headers.get("origin")
    here = f"{request.url.scheme}://{request.headers.get('host', '')}"
    return origin is None or origin in (here, portal.base_url)


def _foreign(page: PageRequest) -> Response:
    _ = page.gettext
    text = _("The form did not come from a current page of this portal. Go back, reload the page, and send it again.")
    return page.refuse(403, _("Nothing was changed"), text)


def local(path: str) -> str:
    """The path, if it is one of this portal; else the first page. It never leads to another site."""
    harmless = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if harmless else "/"
