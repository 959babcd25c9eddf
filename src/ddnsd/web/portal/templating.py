# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates, with one environment per language, and the static files of pages."""

import hashlib
import mimetypes
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ddnsd.dns.conflicts import Obstacle
from ddnsd.web.portal import messages
from ddnsd.web.portal.i18n import Language, languages

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"
KEPT = "public, max-age=31536000, immutable"


class Static:
    """Style sheet, script and icon, read once. URLs contain a hash of the content, so browsers may cache it forever."""

    def __init__(self) -> None:
        self._urls: dict[str, str] = {}
        self._files: dict[str, tuple[bytes, str]] = {}
        for file in sorted(STATIC.iterdir()):
            content = file.read_bytes()
            name = f"{file.stem}.{hashlib.sha256(content).hexdigest()[:12]}{file.suffix}"
            self._urls[file.name] = f"/static/{name}"
            self._files[name] = content, mimetypes.guess_type(file.name)[0] or "application/octet-stream"

    def url(self, name: str) -> str:
        """The URL of the file."""
        return self._urls[name]

    def routes(self) -> list[Route]:
        """The route of all static files."""
        return [Route("/static/{name}", self._serve)]

    async def _serve(self, request: Request) -> Response:
        found = self._files.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return Response(found[0], headers={"Cache-Control": KEPT}, media_type=found[1])


def environments(static: Static, **everywhere: object) -> dict[str, Environment]:
    """The environments by the tag of their language; `everywhere` are variables of all templates."""
    return {code: _environment(language, static, everywhere) for code, language in languages().items()}


def _environment(language: Language, static: Static, everywhere: dict[str, object]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        language.gettext, language.ngettext, newstyle=True
    )
    environment.filters |= {
        "number": language.number,
        "path": lambda text: quote(text, safe=""),
        "obstacle": lambda stored: messages.obstacle_text(language, Obstacle.from_stored(stored)),
    }
    environment.globals |= {
        "language": language,
        "languages": list(languages().values()),
        "static": static.url,
        "moment": lambda microseconds: _moment(language, microseconds),
    } | everywhere
    return environment


def _moment(language: Language, microseconds: int) -> Markup:
    """A relative time, such as "2 hours ago", with the exact time in the title."""
    iso = datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat(timespec="seconds")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        iso, language.moment(microseconds), language.ago(microseconds)
    )
