# SPDX-License-Identifier: GPL-3.0-or-later
"""What pages read from a browser's request, and the links that they make of it."""

from typing import Any, cast
from urllib.parse import quote

import pytest
from starlette.requests import Request

from ddnsd.auth.oidc.login_state import local_path
from ddnsd.registry.errors import Invalid
from ddnsd.web.portal import forms
from ddnsd.web.portal.context import Portal
from ddnsd.web.portal.i18n import Language
from ddnsd.web.portal.paging import LARGEST, PageLinks, page_number, paginate
from ddnsd.web.portal.request import Form, PageRequest
from ddnsd.web.portal.views.tokens import LIFETIMES


def page(path: str = "/hosts", query: str = "", **form: str) -> PageRequest:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"host", b"ddns.example")],
        "scheme": "https",
        "path_params": {"id": path.rpartition("/")[2]},
    }
    return PageRequest(Request(scope), cast("Portal", None), Language("en"), form=Form(form))


def test_a_url_keeps_the_query_and_changes_a_part_of_it() -> None:
    here = page(query="q=a%20b&page=2")
    assert here.url() == "/hosts?q=a+b&page=2"
    assert here.url(page=3) == "/hosts?q=a+b&page=3"
    assert here.url(page=None, q="") == "/hosts"


@pytest.mark.parametrize("name", ["jörg", "a b", "a%2Fb", "a/b", "x@y", '"<'])
def test_a_url_of_any_name_leads_back_to_its_page(name: str) -> None:
    url = page(f"/admin/user/{name}").url()
    assert url == f"/admin/user/{quote(name, safe='/@')}"
    assert local_path(url) == url


def test_links_of_a_list() -> None:
    assert paginate(page(), None) == PageLinks(None, None)
    assert paginate(page(query="q=x"), 7) == PageLinks(None, "/hosts?q=x&after=7")
    assert paginate(page(query="q=x&after=7"), None) == PageLinks("/hosts?q=x", None)
    assert paginate(page(query="before=7"), "ann", "before") == PageLinks("/hosts", "/hosts?before=ann")


@pytest.mark.parametrize(
    ("text", "number"), [("", 1), ("3", 3), ("0", 1), ("-1", 1), ("x", 1), ("²", 1), ("9" * 18, LARGEST), ("9" * 19, 1)]
)
def test_the_number_of_a_page(text: str, number: int) -> None:
    assert page_number(page(query=f"page={quote(text)}")) == number


@pytest.mark.parametrize(
    ("text", "number"), [("7", 7), ("0", 0), ("", 0), ("-7", 0), ("7.0", 0), ("٧", 0), ("9" * 19, 0)]
)
def test_an_id(text: str, number: int) -> None:
    assert page(f"/tokens/{text}").id_param() == number
    assert page(query=f"after={quote(text)}").cursor("after") == number


def test_texts_fit_the_database() -> None:
    here = page(query=f"q=%20a%00b{'c' * 20}", reason=" one\r\ntwo ")
    assert here.search_text("q", 5) == "abcc"
    assert here.search_text("missing", 5) == ""
    assert here.long_text("reason") == "one\ntwo"


def test_a_field_may_hold_several_values() -> None:
    here = page(domains=" a.example.org\r\n\tb.example.org ", name="ci")
    assert here.words("domains") == ["a.example.org", "b.example.org"]
    assert here.words("missing") == []
    found = forms.read(here, forms.TokenFields, scopes=["read"], domains=here.words("domains"))
    assert (found.name, found.domains, found.hosts) == ("ci", ["a.example.org", "b.example.org"], [])


@pytest.mark.parametrize("lifetime", LIFETIMES)
def test_a_lifetime_that_the_form_offers(lifetime: str) -> None:
    found = forms.read(page(name="ci", lifetime=lifetime), forms.TokenFields, scopes=["read"])
    assert found.lifetime == (lifetime or None)


@pytest.mark.parametrize("text", ["a\x07b", "x" * 256])
def test_a_group_that_a_user_cannot_have(text: str) -> None:
    with pytest.raises(Invalid) as raised:
        forms.read(page(), forms.UserChangeFields, groups=["staff", text])
    assert raised.value.fields.keys() == {"groups"}
