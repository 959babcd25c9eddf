# SPDX-License-Identifier: GPL-3.0-or-later
"""One request of a browser: its user, its language, its form, and the possible answers.

A view is a module-level function of a `PageRequest`, and its module lists it in `ROUTES`:

    async def show(page: PageRequest) -> Response:
        return page.render("things/show.html", things=await page.portal.things.of(page.caller))

    ROUTES = [get("/things", show)]

`routing` turns errors that a view raises into pages.
"""

import secrets
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from jinja2 import Environment
from starlette.datastructures import ImmutableMultiDict
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ddnsd.auth.caller import Caller
from ddnsd.auth.permissions import SERVICE, Action, can
from ddnsd.auth.sessions import COOKIE as SESSION_COOKIE
from ddnsd.auth.sessions import Session
from ddnsd.registry.errors import Reason, RegistryError, Unconfirmed
from ddnsd.registry.inputs import row_id
from ddnsd.registry.rows import Author
from ddnsd.web.context import author
from ddnsd.web.portal import cookies, flash, messages
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.i18n import N_, Language, choose

LANGUAGE_COOKIE = "ddns-language"
PATH_CHARACTERS = "/:@!$&'()*+,;=~"
"""Characters that stay as they are in the path of a URL, in addition to letters, digits and `._-`."""

UNCONFIRMED = N_("The name server has not confirmed it yet. The service keeps trying.")

Form = ImmutableMultiDict[str, str]


@dataclass
class PageRequest:
    """A request of a browser. `form` holds the fields of a posted form.

    `session` is None for users who have not signed in. `flash_message` is the message that the page shows once.
    """

    request: Request
    portal: Portal
    language: Language
    session: Session | None = None
    form: Form = field(default_factory=Form)
    flash_message: flash.Flash | None = None

    @property
    def caller(self) -> Caller:
        """The user who has signed in, without an administrator's rights; for pages that need a user."""
        assert self.session is not None
        return self.session.user

    @property
    def signed_in(self) -> bool:
        return self.session is not None

    @property
    def admin(self) -> bool:
        """Whether an administrator has signed in."""
        return self.session is not None and can(self.session.user, Action.ADMINISTER, SERVICE)

    @property
    def caller_with_rights(self) -> Caller:
        """The same user, with an administrator's rights if they have them; for pages that show owners."""
        return self.caller._replace(admin=self.admin)

    @property
    def csrf(self) -> str:
        """The CSRF token of the session's forms; "" without a session."""
        return self.session.csrf if self.session else ""

    def random(self) -> str:
        """A random value that identifies this form."""
        return secrets.token_urlsafe(16)

    @property
    def author(self) -> Author:
        """The author of changes, for the history of hosts."""
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

    def id_param(self) -> int:
        """The number `{id}` of the path; 0, which is no row's id, for other texts."""
        return row_id(self.param("id"))

    def cursor(self, name: str) -> int:
        """The id at which a page of a list begins; 0 for the first page."""
        return row_id(self.query.get(name, ""))

    def search_text(self, name: str, length: int) -> str:
        """A search text of the query, without blanks around it, cut to `length` characters."""
        return self.query.get(name, "").strip()[:length].replace("\0", "")

    def text(self, name: str) -> str:
        """A field of the form, without blanks around it; "" if it is missing."""
        return self.form.get(name, "").strip()

    def long_text(self, name: str) -> str:
        """Likewise, with Unix line ends."""
        return self.text(name).replace("\r\n", "\n")

    def words(self, name: str) -> list[str]:
        """The words of a field that holds several, separated by blanks or line ends."""
        return self.text(name).split()

    def checked(self, name: str) -> bool:
        """Whether a box of the form is checked."""
        return name in self.form

    def gettext(self, text: str, **values: object) -> str:
        """The text in the user's language."""
        return self.language.gettext(text, **values)

    def ngettext(self, one: str, many: str, number: int, **values: object) -> str:
        """Likewise, for a number."""
        return self.language.ngettext(one, many, number, **values)

    def reasons(self, fields: Mapping[str, Reason]) -> dict[str, str]:
        """The errors of each field (`Invalid.fields`), in the user's language."""
        return {name: messages.translated(self.language, reason) for name, reason in fields.items()}

    def explanations(self, reasons: Iterable[Reason]) -> list[str]:
        """The reasons in the user's language."""
        return [messages.translated(self.language, reason) for reason in reasons]

    def explain(self, error: RegistryError) -> str:
        """The reasons of the registry's error, in the user's language."""
        return " ".join(self.explanations(error.reasons))

    def url(self, **changed: object) -> str:
        """This page's URL with other values in its query; None removes a value."""
        merged = {**self.query, **changed}
        kept = {name: value for name, value in merged.items() if value not in (None, "")}
        return quote(self.path, safe=PATH_CHARACTERS) + ("?" + urlencode(kept) if kept else "")

    def render(self, template: str, status: int = 200, **values: object) -> Response:
        """Render the template, in which this request is `page`."""
        environment: Environment = self.request.app.state.environments[self.language.code]
        self.flash_message = flash.read(self.request, self.csrf)
        content = environment.get_template(template).render(page=self, **values)
        response = Response(content, status, media_type="text/html")
        if self.flash_message is not None:
            flash.forget(response)
        return response

    def redirect(self, path: str, flash_message: str = "", kind: str = "done") -> Response:
        """Redirect to a local path, which shows `flash_message` once; `kind` is `done` or `warning`."""
        response = RedirectResponse(path, 303)
        if flash_message:
            flash.write(response, self.csrf, flash.Flash(flash_message, kind))
        return response

    async def saved(self, change: Awaitable[object], path: str, flash_message: str) -> Response:
        """Wait for a change, and redirect to a local path, with a warning if DNS has not confirmed the change."""
        try:
            await change
        except Unconfirmed:
            return self.redirect(path, f"{flash_message} {self.gettext(UNCONFIRMED)}", "warning")
        return self.redirect(path, flash_message)

    def refuse(self, status: int, title: str, text: str) -> Response:
        """An error page."""
        return self.render("error.html", status, title=title, text=text)


async def load_request(request: Request) -> PageRequest:
    """The page request of an HTTP request, with its session. Raises StoreDown."""
    page = anonymous(request)
    if cookie := cookies.value(request, SESSION_COOKIE):
        page.session = await page.portal.sessions.find(cookie, page.client_ip)
    return page


def anonymous(request: Request) -> PageRequest:
    """The page request of an HTTP request, without its session; for use while the database is down."""
    language = choose(cookies.value(request, LANGUAGE_COOKIE), request.headers.get("accept-language", ""))
    return PageRequest(request, request.app.state.portal, language)
