# SPDX-License-Identifier: GPL-3.0-or-later
"""One request of a browser: who it is, in which language, what it sends, and how it is answered.

A page module declares its routes with `get` and `post`; its handlers take a `Visit` and answer a `Response`:

    def routes(portal: Portal) -> list[Route]:
        async def show(visit: Visit) -> Response:
            return visit.render("things/show.html", things=...)

        async def add(visit: Visit) -> Response:
            ...
            return visit.redirect("/things", visit.gettext("The thing was added."))

        return [get("/things", show), post("/things", add)]

What the registry raises and a handler does not catch becomes a page that says so (`refusals`).
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

UNCONFIRMED = N_("The name server did not confirm it yet; we keep trying.")

Form = ImmutableMultiDict[str, str]


class Access(Enum):
    """Who may open a page at all; what they may do there is `auth.permissions`'s to say."""

    EVERYBODY = "everybody"
    SIGNED_IN = "whoever has signed in"
    ADMINISTRATOR = "administrators"


@dataclass
class Visit:
    """`form` is what was posted, `query` what is in the URL; `session` is None for somebody who has not signed in,
    `said` is what the last page left to say."""

    request: Request
    portal: Portal
    language: Language
    session: Session | None
    form: Form = field(default_factory=Form)
    said: flash.Flash | None = None

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
        return author(self.caller, self.source, self.agent)

    @property
    def source(self) -> str | None:
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
            name: " ".join(messages.translated(self.language, text) for text in said) for name, said in errors.items()
        }

    def url(self, **changed: object) -> str:
        """This page's URL with other values in its query; None leaves one out."""
        merged = {**self.query, **changed}
        kept = {name: value for name, value in merged.items() if value not in (None, "")}
        return self.path + ("?" + urlencode(kept) if kept else "")

    def render(self, template: str, status: int = 200, **values: object) -> Response:
        """A page; templates know `visit` beside the values."""
        environment: Environment = self.request.app.state.environments[self.language.code]
        self.said = flash.read(self.request, self.csrf)
        content = environment.get_template(template).render(visit=self, **values)
        response = Response(content, status, media_type="text/html")
        if self.said is not None:
            flash.forget(response)
        return response

    def redirect(self, path: str, said: str = "", kind: str = "done") -> Response:
        """Go on at a local path, where `said` is shown once; `kind` is `done` or `warning`."""
        response = RedirectResponse(path, 303)
        if said:
            flash.write(response, self.csrf, flash.Flash(said, kind))
        return response

    async def saved(self, change: Awaitable[object], path: str, said: str) -> Response:
        """Carry out a change, and go on at a local path; a name server that did not confirm it is no failure."""
        try:
            await change
        except Unconfirmed:
            return self.redirect(path, f"{said} {self.gettext(UNCONFIRMED)}", "warning")
        return self.redirect(path, said)

    def refuse(self, status: int, title: str, text: str) -> Response:
        """A page that says why not."""
        return self.render("error.html", status, title=title, text=text)


Handler = Callable[[Visit], Awaitable[Response]]


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


async def arrive(request: Request) -> Visit:
    """The visit of a request. Raises StoreDown."""
    portal: Portal = request.app.state.portal
    source = request.client.host if request.client else None
    cookie = request.cookies.get(SESSION_COOKIE, "")
    session = await portal.sessions.find(cookie, source) if cookie else None
    return Visit(request, portal, _language(request), session)


def stranger(request: Request) -> Visit:
    """The visit of somebody of whom nothing can be known now."""
    return Visit(request, request.app.state.portal, _language(request), None)


def _language(request: Request) -> Language:
    return choose(request.cookies.get(LANGUAGE_COOKIE, ""), request.headers.get("accept-language", ""))


async def _answer(request: Request, handler: Handler, access: Access) -> Response:
    try:
        visit = await arrive(request)
    except StoreDown as error:
        return error_pages.answer(stranger(request), error)
    try:
        if refused := _not_for(visit, access):
            return refused
        if visit.signed_in:
            signed_in(request.scope)
        if request.method == "POST":
            visit.form = await _form(request)
            if not (_of_this_site(request, visit.portal) and _carries(visit)):
                return _foreign(visit)
        return await handler(visit)
    except ClientDisconnect:
        return Response(status_code=408)  # which nobody gets
    except Exception as error:
        return error_pages.answer(visit, error)


def _not_for(visit: Visit, access: Access) -> Response | None:
    _ = visit.gettext
    if access is Access.EVERYBODY or (visit.signed_in and (access is Access.SIGNED_IN or visit.admin)):
        return None
    if not visit.signed_in:
        here = visit.url() if visit.request.method == "GET" else "/"
        return visit.redirect("/login" + ("?" + urlencode({"next": here}) if here != "/" else ""))
    return visit.refuse(403, _("For administrators"), _("This page is for administrators of the service."))


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


def _carries(visit: Visit) -> bool:
    return not visit.signed_in or hmac.compare_digest(visit.form.get("csrf", "").encode(), visit.csrf.encode())


def _of_this_site(request: Request, portal: Portal) -> bool:
    """What the browser says of where the form was; nothing is said by what is no browser."""
    said = request.headers.get("sec-fetch-site")
    if said is not None:
        return said in ("same-origin", "none")
    origin = request.headers.get("origin")
    here = f"{request.url.scheme}://{request.headers.get('host', '')}"
    return origin is None or origin in (here, portal.base_url)


def _foreign(visit: Visit) -> Response:
    _ = visit.gettext
    text = _("The form was not sent from a current page of this portal. Go back, reload the page, and send it again.")
    return visit.refuse(403, _("Nothing was changed"), text)


def local(path: str) -> str:
    """The path, if it is one of this portal; else the first page. It never leads to another site."""
    harmless = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if harmless else "/"
