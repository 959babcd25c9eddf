# SPDX-License-Identifier: GPL-3.0-or-later
"""Languages: which one a browser gets, its texts, and how it writes times and numbers.

Texts are English in the source. A language is `locale/LANGUAGE/LC_MESSAGES/ddnsd.po`, which is read directly.
"""

import io
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from babel import Locale
from babel.dates import format_datetime, format_timedelta
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.support import Translations

SOURCE = "en"
FOLDER = Path(__file__).parent / "locale"
DOMAIN = "ddnsd"
NOW_SECONDS = 10


def N_(text: str) -> str:  # noqa: N802
    """Mark a text for translation. It is translated where it is shown."""
    return text


class Language:
    """One language: `code` is its tag, `name` its own name for itself."""

    def __init__(self, code: str) -> None:
        self.code, self.locale = code, Locale.parse(code)
        self.name = (self.locale.get_display_name(code) or code).capitalize()
        self._texts = Translations() if code == SOURCE else _read(FOLDER / code / "LC_MESSAGES" / f"{DOMAIN}.po")

    def gettext(self, text: str, **values: object) -> str:
        """The text in this language, with its `%(name)s` filled in."""
        found = self._texts.gettext(text)
        return found % values if values else found

    def ngettext(self, one: str, many: str, number: int, **values: object) -> str:
        """The singular or the plural for the number, which is `%(num)s` in the text."""
        return self._texts.ngettext(one, many, number) % {"num": self.number(number), **values}

    def number(self, value: float) -> str:
        """A number in the style of the language, such as 12,345."""
        return format_decimal(value, locale=self.locale)

    def ago(self, microseconds: int, now: float | None = None) -> str:
        """How long ago, or how soon, in words."""
        seconds = microseconds / 1e6 - (time.time() if now is None else now)
        if abs(seconds) < NOW_SECONDS:
            return self.gettext("just now")
        return format_timedelta(timedelta(seconds=seconds), add_direction=True, locale=self.locale)

    def moment(self, microseconds: int) -> str:
        """Date and time, UTC."""
        at = datetime.fromtimestamp(microseconds / 1e6, UTC)
        return format_datetime(at, "medium", locale=self.locale) + " UTC"


def _read(file: Path) -> Translations:
    with file.open("rb") as handle:
        catalog = read_po(handle, locale=file.parts[-3], domain=DOMAIN)
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return Translations(compiled, DOMAIN)


@cache
def languages() -> dict[str, Language]:
    """Every language by its tag, the source first."""
    others = sorted(file.parent.parent.name for file in FOLDER.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))
    return {code: Language(code) for code in (SOURCE, *others)}


def choose(chosen: str, accepted: str) -> Language:
    """The language that was chosen, else the best match of an `Accept-Language` header, else English."""
    known = languages()
    if chosen in known:
        return known[chosen]
    ranked = sorted((_weighed(part) for part in accepted[:200].split(",")), key=lambda r: -r[1])
    return next((known[code] for code, weight in ranked if weight > 0 and code in known), known[SOURCE])


def _weighed(part: str) -> tuple[str, float]:
    """A range of `Accept-Language` as (primary language, weight)."""
    tag, _, quality = part.partition(";")
    try:
        weight = float(quality.strip().removeprefix("q=")) if quality else 1.0
    except ValueError:
        weight = 0.0
    return tag.strip().partition("-")[0].lower(), weight
