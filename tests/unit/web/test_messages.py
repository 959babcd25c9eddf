# SPDX-License-Identifier: GPL-3.0-or-later
"""Every code of the registry has a sentence in every language; every place that uses a code gives its parameters."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

import ddnsd
from ddnsd.auth.passwords import Weakness
from ddnsd.dns.conflicts import Kind, Obstacle
from ddnsd.registry.errors import Code, Held, Reason
from ddnsd.web.portal.i18n import FOLDER, languages
from ddnsd.web.portal.messages import MESSAGES, enum_messages, message, obstacle_text, translated

CATALOGUES = {file.parts[-3]: file for file in sorted(FOLDER.glob("*/LC_MESSAGES/ddnsd.po"))}
SOURCE = Path(ddnsd.__file__).parent


def parameters(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)[rs]", text))


@pytest.fixture(scope="module", params=CATALOGUES)
def catalogue(request: pytest.FixtureRequest) -> Catalog:
    with CATALOGUES[request.param].open("rb") as handle:
        return read_po(handle, locale=request.param)


@pytest.mark.parametrize("code", Code)
def test_a_code_has_a_sentence_that_uses_its_parameters(code: Code) -> None:
    assert parameters(message(code)) == parameters(code.value)


@pytest.mark.parametrize("code", MESSAGES)
def test_a_sentence_has_one_place(code: Code) -> None:
    assert MESSAGES[code] != code.value


@pytest.mark.parametrize("code", Code)
def test_a_code_is_translated(catalogue: Catalog, code: Code) -> None:
    found = catalogue.get(message(code))
    assert found is not None, "scripts/messages brings the catalogue up to date"
    assert isinstance(found.string, str)
    assert found.string
    assert parameters(found.string) == parameters(code.value)


def test_no_sentence_for_pages_holds_a_command_or_a_setting(catalogue: Catalog) -> None:
    for msgid in (*MESSAGES.values(), *enum_messages()):
        found = catalogue.get(msgid)
        for text in (msgid, str(found and found.string)):
            assert not re.search(r"\bddnsd |DDNSD_|`", text), text


def test_a_sentence_with_its_parameters() -> None:
    reason = Reason(Code.USER_EXISTS, user="alice")
    assert str(reason) == "The user alice already exists."
    assert translated(languages()["en"], reason) == "The user alice already exists."
    assert translated(languages()["de"], reason) == "Den Benutzer alice gibt es schon."


def test_a_reason_within_a_reason_is_translated() -> None:
    hidden = Reason(Code.DOMAIN_HIDES_RELATED, name="nas.a.example.org", host="a.example.org")
    reason = Reason(Code.CATALOG_HIDES, catalog="cat.example.org", reason=hidden)
    assert str(reason).endswith("nas.a.example.org is a related name of the host a.example.org. Remove it first.")
    assert translated(languages()["de"], reason).endswith("Entfernen Sie ihn zuerst.")


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.TEXT])
def test_what_is_in_the_way_in_dns_is_translated(catalogue: Catalog, kind: Kind) -> None:
    there = catalogue.get(kind.sentence)
    assert there is not None
    assert there.string
    assert parameters(str(there.string)) == parameters(kind.sentence)
    found = kind.at("lab.example.org")
    assert obstacle_text(languages()["en"], found) == str(found)
    assert obstacle_text(languages()["de"], found) != str(found)


def test_an_obstacle_within_a_reason_is_translated() -> None:
    found = Kind.ALIAS.at("a.example.org")
    german = "a.example.org ist ein fremder Alias (CNAME-Eintrag)"
    reason = Reason(Code.NAME_UNAVAILABLE, obstacle=found)
    assert str(reason) == "The name cannot be used: a.example.org is an alias that is not ours (CNAME record)."
    assert translated(languages()["de"], reason) == f"Der Name kann nicht verwendet werden: {german}."
    (held,) = Held(found).reasons
    assert german in translated(languages()["de"], held)


def test_a_text_of_a_name_server_is_shown_as_it_is() -> None:
    for text in ("the name server answers REFUSED", "100 %(name)s %"):
        assert obstacle_text(languages()["de"], Obstacle.from_stored(text)) == text


@pytest.mark.parametrize("weakness", Weakness)
def test_what_is_wrong_with_a_password_is_translated(catalogue: Catalog, weakness: Weakness) -> None:
    found = catalogue.get(weakness.value)
    assert found is not None
    assert parameters(str(found.string)) == parameters(weakness.value) == set(weakness.parameters)


def test_a_parameter_may_hold_percent_signs() -> None:
    reason = Reason(Code.NETWORK_INVALID, network="100 %(x)s %")
    assert translated(languages()["en"], reason) == "100 %(x)s % is not an address or a network such as 192.0.2.0/24."


# ---- the places that use codes


def uses() -> Iterator[tuple[str, str, set[str] | None]]:
    """(place, code, parameters) of each call with a code as its first argument; None: they are not spelled out."""
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and node.args and (code := _code(node.args[0])):
                names = {keyword.arg for keyword in node.keywords}
                yield f"{file.relative_to(SOURCE)}:{node.lineno}", code, {name for name in names if name}


def _code(node: ast.expr) -> str | None:
    named = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Code"
    return node.attr if named and isinstance(node, ast.Attribute) else None


def test_each_use_of_a_code_gives_its_parameters() -> None:
    found = list(uses())
    assert len(found) > 80
    wrong = [(place, code) for place, code, given in found if given != parameters(Code[code].value)]
    assert wrong == []


def test_each_code_is_used() -> None:
    text = "".join(file.read_text() for file in SOURCE.rglob("*.py") if file.name != "messages.py")
    assert [code.name for code in Code if not re.search(rf"\bCode\.{code.name}\b", text)] == []
