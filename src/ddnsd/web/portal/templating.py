# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates: one environment for each language."""

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ddnsd.web.portal.i18n import Language, languages
from ddnsd.web.portal.static_files import Static

FOLDER = Path(__file__).parent / "templates"


def environments(static: Static, **everywhere: object) -> dict[str, Environment]:
    """An environment by the language's tag; `everywhere` are names that all templates know."""
    return {code: _environment(language, static, everywhere) for code, language in languages().items()}


def _environment(language: Language, static: Static, everywhere: dict[str, object]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
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
    environment.filters |= {"number": language.number, "path": lambda text: quote(text, safe="")}
    environment.globals |= {
        "language": language,
        "languages": list(languages().values()),
        "static": static.url,
        "moment": lambda microseconds: _moment(language, microseconds),
    } | everywhere
    return environment


def _moment(language: Language, microseconds: int) -> Markup:
    """A time as people say it; the exact one is in its title."""
    iso = datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat(timespec="seconds")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        iso, language.moment(microseconds), language.ago(microseconds)
    )
