# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts: every catalogue is complete, languages are chosen as browsers ask, and pages speak them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from support.browser.portal import Browser
from support.servers.service import Service

import ddnsd.web.portal
from ddnsd.web.portal.i18n import FOLDER, choose, languages
from ddnsd.web.portal.messages import enum_messages

SOURCE = Path(ddnsd.web.portal.__file__).parent
CATALOGUES = sorted(FOLDER.glob("*/LC_MESSAGES/ddnsd.po"))
KEYWORDS = {"_": None, "gettext": None, "N_": None, "ngettext": (1, 2)}
PLACEHOLDER = re.compile(r"%\(\w+\)s")


def texts() -> Iterator[str | tuple[str, ...]]:
    """Everything in the source that is marked for translation."""
    methods = [("**.py", "python"), ("templates/**.html", "jinja2")]
    for _, _, message, _, _ in extract_from_dir(SOURCE, methods, keywords=KEYWORDS):
        yield message
    yield from enum_messages()


def catalogue(file: Path) -> Catalog:
    with file.open("rb") as handle:
        return read_po(handle, locale=file.parts[-3])


@pytest.mark.parametrize("file", CATALOGUES, ids=lambda file: file.parts[-3])
def test_a_catalogue_is_complete(file: Path) -> None:
    found = catalogue(file)
    known = {message.id: message for message in found if message.id}
    needed = set(texts())
    assert sorted(map(str, needed - set(known))) == [], "scripts/messages brings the catalogue up to date"
    assert sorted(map(str, set(known) - needed)) == []
    assert [message.id for message in known.values() if message.fuzzy or not all(_strings(message.string))] == []


@pytest.mark.parametrize("file", CATALOGUES, ids=lambda file: file.parts[-3])
def test_translations_hold_the_same_values(file: Path) -> None:
    for message in catalogue(file):
        if message.id:
            source = set(PLACEHOLDER.findall(_strings(message.id)[-1]))
            assert all(set(PLACEHOLDER.findall(text)) <= source for text in _strings(message.string)), message.id
            assert set(PLACEHOLDER.findall(_strings(message.string)[-1])) == source, message.id


def _strings(text: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ())


@pytest.mark.parametrize(
    ("chosen", "accepted", "code"),
    [
        ("", "", "en"),
        ("", "de", "de"),
        ("", "de-AT,de;q=0.9,en;q=0.8", "de"),
        ("", "fr,en;q=0.5,de;q=0.7", "de"),
        ("", "de;q=0,fr", "en"),
        ("", "de;q=x,*", "en"),
        ("en", "de", "en"),
        ("xx", "de", "de"),
        ("../../x", "", "en"),
    ],
)
def test_the_language_of_a_browser(chosen: str, accepted: str, code: str) -> None:
    assert choose(chosen, accepted).code == code


def test_a_page_in_german_and_the_choice_at_its_foot(service: Service) -> None:
    browser = Browser(service, headers={"Accept-Language": "de-DE,de"})
    page = browser.open("/")
    assert '<html lang="de">' in page.html
    assert "Namen für Maschinen, deren Adresse sich ändert" in page.text
    assert "Names for machines" in browser.send(page, "/account/language", language="en").text
    assert "Names for machines" in browser.open("/").text


def test_numbers_and_plurals() -> None:
    english, german = languages()["en"], languages()["de"]
    one, many = "%(num)s second", "%(num)s seconds"
    assert english.ngettext(one, many, 1) == "1 second"
    assert english.ngettext(one, many, 86400) == "86,400 seconds"
    assert german.ngettext(one, many, 86400) == "86.400 Sekunden"
    assert german.ago(1_000_000, now=3601.0) == "vor 1 Stunde"
    assert english.ago(1_000_000, now=2.0) == "just now"
