# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding out what answers at a URL, and what is said when it is nothing that is known."""

import pytest
from support.clients.transport import Scripted

from ddnsctl.sync.connect import open_server
from ddnsctl.sync.egi import EgiServer
from ddnsctl.sync.errors import ServerError, Unauthorized, Unreachable
from ddnsctl.sync.model import HOST_FIELDS
from ddnsctl.sync.rest import ALL, RestServer

ABOUT = {
    "service": "ddnsd",
    "version": "0.1.0",
    "features": sorted(ALL | {"changes", "rotate"}),
}
PAGE = b"<html>Not Found</html>"
BADAUTH = {"status": "error", "message": "badauth"}


def test_our_service_is_found_with_one_request() -> None:
    for _ in range(2):
        script = Scripted().expect("GET /api/", ABOUT)
        server = open_server(script)
        script.done()
        assert [asked.anonymous for asked in script.asked] == [True]
        assert isinstance(server, RestServer)
        assert server.capabilities.server == "ddnsd 0.1.0"
        assert server.capabilities.edits == {*HOST_FIELDS, "fqdn", "owner"}
        assert server.capabilities.bulk
        assert server.capabilities.domains
        assert server.capabilities.verifies
        assert server.capabilities.enrols
        assert server.stacks is not None


def test_what_our_service_does_not_list_it_cannot_do() -> None:
    server = open_server(Scripted().expect("GET /api/", ABOUT | {"features": ["changes"]}))
    assert server.capabilities.edits == {*HOST_FIELDS, "owner"} - {"alias", "protect", "ptr", "records", "related"}
    assert not server.capabilities.domains
    assert not server.capabilities.verifies
    assert not server.capabilities.enrols
    assert not server.capabilities.stacks
    assert server.stacks is None


@pytest.mark.parametrize(
    ("status", "first"), [(404, PAGE), (200, PAGE), (301, b""), (200, {"service": "x"}), (200, [1]), (500, PAGE)]
)
def test_egis_api_is_found_by_its_domains(status: int, first: object) -> None:
    script = Scripted().expect("GET /api/", first, status=status)
    script.expect("GET /nic/domains", BADAUTH, status=401)
    script.expect("GET /nic/domains", {"status": "ok", "private": [], "public": []})
    server = open_server(script)
    script.done()
    assert [asked.anonymous for asked in script.asked] == [True, True, False]
    assert isinstance(server, EgiServer)
    assert server.capabilities.fields == {"ipv4", "ipv6", "wildcard", "comment", "stack"}
    assert server.capabilities.edits == {"ipv4", "ipv6"}
    features = ("clears", "bulk", "domains", "verifies", "enrols")
    assert [getattr(server.capabilities, name) for name in features] == [False] * 5


@pytest.mark.parametrize(("kind", "type_"), [("ddnsd", RestServer), ("egi", EgiServer)])
def test_a_known_kind_is_not_asked_for(kind: str, type_: type) -> None:
    assert isinstance(open_server(Scripted(), kind), type_)


def test_a_refused_token_says_where_to_get_one() -> None:
    script = Scripted().expect("GET /api/", PAGE, status=404)
    for _ in range(2):
        script.expect("GET /nic/domains", BADAUTH, status=401)
    with pytest.raises(Unauthorized, match=r"http://ddns\.example\.org does not accept the token.*DDNS_TOKEN"):
        open_server(script)
    script.done()


def test_something_else_is_named_by_what_it_answers() -> None:
    script = Scripted().expect("GET /api/", PAGE, status=200)
    script.expect("GET /nic/domains", b"", status=302, location="https://other.example.org/")
    with pytest.raises(ServerError, match=r"/api/ answered 200 \(text/html\).*302.*https://other\.example\.org/"):
        open_server(script)
    script.done()


@pytest.mark.parametrize("status", [200, 302, 403, 404, 500])
def test_something_else_never_gets_the_token(status: int) -> None:
    script = Scripted().expect("GET /api/", PAGE, status=200)
    script.expect("GET /nic/domains", {"status": "ok", "private": [], "public": []}, status=status)
    text = {302: "redirects: ", 403: "refuses requests: "}.get(status, "is not a known Dynamic DNS service: ")
    with pytest.raises(ServerError, match=rf"^http://ddns\.example\.org {text}.*answered {status} "):
        open_server(script)
    script.done()
    assert all(asked.anonymous for asked in script.asked)


@pytest.mark.parametrize(
    ("status", "text"), [(429, "refuses requests for now: .* Try again later"), (301, "redirects: "), (403, "refuses ")]
)
def test_a_refusal_is_not_taken_for_another_service(status: int, text: str) -> None:
    script = Scripted().expect("GET /api/", PAGE, status=status).expect("GET /nic/domains", PAGE, status=status)
    with pytest.raises(ServerError, match=text) as raised:
        open_server(script)
    assert "known" not in str(raised.value)
    assert f"/api/ answered {status}" in str(raised.value)


def test_a_service_that_is_starting_is_not_taken_for_another() -> None:
    script = Scripted().expect("GET /api/", PAGE, status=503)
    with pytest.raises(ServerError, match=r"not ready: answered 503"):
        open_server(script)
    script.done()


def test_nothing_there() -> None:
    with pytest.raises(Unreachable):
        open_server(Scripted().expect("GET /api/", Unreachable("refused")))
