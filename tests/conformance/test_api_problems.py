# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, what every path of `/api` has in common: sign-in, the shape of problems, methods, bodies, the description."""

import json
import re
from html.parser import HTMLParser

import pytest
import requests
from support import programs
from support.clients import raw_http
from support.clients.dyndns import Host
from support.clients.rest_api import Api, problem
from support.servers.service import Service

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}

FEATURES = [
    "alias",
    "changes",
    "domains",
    "dry-run",
    "enrol",
    "protect",
    "ptr",
    "records",
    "rename",
    "rotate",
    "stacks",
    "verify-secret",
    "verify-secrets",
]


@pytest.fixture
def api(service: Service, alice: str) -> Api:
    return Api(service, alice)


@pytest.fixture
def nobody(service: Service) -> Api:
    return Api(service, None)


def described(service: Service) -> dict[str, set[str]]:
    """Methods by path, of all that needs a token."""
    paths = service.get("/api/schema/").json()["paths"]
    found = {re.sub(r"{\w+}", "x.example.org", path): {m.upper() for m in methods} for path, methods in paths.items()}
    del found["/api"], found["/api/status"]
    assert len(found) >= 15
    return found


def test_the_service_says_what_it_is(nobody: Api) -> None:
    for path in ("", "/"):
        content = nobody.get(path)
        assert (content["service"], set(content)) == ("ddnsd", {"service", "version", "features"})
        assert re.fullmatch(r"\d+\.\d+\.\d+\S*", content["version"])
        assert content["features"] == FEATURES


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer ", "Bearer ddns_wrong", "Bearer x", "Digest x", "ddns_x", "Bearer \xff"]
)
def test_every_call_needs_a_token(service: Service, nobody: Api, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    for path, methods in described(service).items():
        for method in methods:
            answer = nobody.call(method, path.removeprefix("/api"), headers=headers)
            problem(answer, 401)
            assert answer.headers["www-authenticate"].startswith("Bearer realm=")


FOR_MACHINES = ("/certificate",)
"""Ends of paths for which a host's credentials are enough, if it is that host."""


def test_a_hosts_own_credentials_are_none_here(service: Service, host: Host) -> None:
    for path in described(service):
        answer = service.get(path, auth=host.auth)
        assert answer.status_code in ((404,) if path.endswith(FOR_MACHINES) else (401, 405))
    problem(service.get(f"/api/hosts/{host.fqdn}", auth=host.auth), 401)


def test_other_methods_are_named_and_do_nothing(service: Service, api: Api) -> None:
    for path, methods in described(service).items():
        for method in METHODS - methods:
            answer = api.call(method, path.removeprefix("/api"))
            if method in ("PATCH", "DELETE") and path == "/api/users/me":
                problem(answer, 403)  # that is the user of that name
                continue
            problem(answer, 405)
            assert answer.headers["allow"] == ", ".join(sorted(methods))
        head = _head(service, path)
        assert (head.status, head.content) == (405, b"")
        assert head.headers["allow"] == ", ".join(sorted(methods))


def _head(service: Service, path: str) -> raw_http.Answer:
    return raw_http.exchange(raw_http.request(path, method="HEAD"), service.http_port, method="HEAD")


@pytest.mark.parametrize("path", ["/nothing", "/hosts/a.b/c/d", "//hosts", "/hosts/%2e%2e/x/y", "/Hosts", "/v1/hosts"])
def test_unknown_paths(api: Api, nobody: Api, path: str) -> None:
    for caller in (api, nobody):
        problem(caller.call("GET", path), 404)


def test_a_slash_at_the_end_is_no_redirect(api: Api) -> None:
    made = api.host()
    for path in ("/hosts", f"/hosts/{made['fqdn']}", "/domains", "/users/me"):
        with_slash = api.call("GET", f"{path}/")
        assert (with_slash.status_code, with_slash.history) == (200, [])
        assert with_slash.json() == api.get(path)


def bodies(service: Service) -> list[tuple[str, str]]:
    """(method, path) of every call that takes a body from a user."""
    paths = service.get("/api/schema/").json()["paths"]
    return [
        (method.upper(), re.sub(r"{\w+}", "x.example.org", path).removeprefix("/api"))
        for path, methods in paths.items()
        for method, operation in methods.items()
        if "requestBody" in operation and operation["security"] == [{"token": []}]
    ]


def test_bodies_that_cannot_be_read(service: Service, api: Api) -> None:
    admin = Api(service, service.admin_token)
    json_type = {"Content-Type": "application/json"}
    no_objects: list[object] = [[], "text", 5]
    assert len(bodies(service)) >= 9
    for method, path in bodies(service):
        for _ in range(2):
            for octets in (b"{", b"{}x", b"\xff\xfe", b'{"a": "\xff"}', b"[" * 50_000, b"nul", b""):
                problem(admin.call(method, path, data=octets, headers=json_type), 400)
            for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
                problem(admin.call(method, path, data=b"{}", headers={"Content-Type": kind}), 415)
            for content in no_objects:
                problem(admin.call(method, path, content), 422, fields={"body"})


def test_a_body_that_is_too_large(service: Service, api: Api) -> None:
    for method, path in bodies(service):
        if path == "/changes":
            continue
        octets = json.dumps({"comment": "x" * 70_000}).encode()
        problem(api.call(method, path, data=octets, headers={"Content-Type": "application/json"}), 413)
        chunked = (octets[i : i + 1000] for i in range(0, len(octets), 1000))
        answer = service.request(
            method, f"/api{path}", api.token, data=chunked, headers={"Content-Type": "application/json"}
        )
        problem(answer, 413)


def test_secrets_that_were_sent_are_not_repeated(api: Api) -> None:
    answer = api.call("POST", "/hosts/a.dyn.example.org/verify-secret", {"secret": 5, "hunter2": "hunter3"})
    problem(answer, 422, fields={"secret", "hunter2"})
    assert "hunter3" not in answer.text
    lone = api.call(
        "POST", "/hosts", data=b'{"fqdn": "a.b", "\\ud800": "\\ud800"}', headers={"Content-Type": "application/json"}
    )
    assert problem(lone, 422, fields={"body"})


# ---- the description


def test_the_schema_describes_every_problem_of_every_call(service: Service) -> None:
    schema = service.get("/api/schema/").json()
    assert schema["openapi"].startswith("3.1.")
    assert set(schema["components"]["securitySchemes"]) == {"token", "enrolment", "machine"}
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            assert operation["description"]
            if path in ("/api", "/api/status"):
                continue
            responses = operation["responses"]
            assert {"401", "422", "503"} <= responses.keys()
            assert ("403" in responses) == ({"token": []} in operation["security"])
            assert ({"machine": []} in operation["security"]) == path.endswith(FOR_MACHINES)
            assert ("requestBody" in operation) == ("415" in responses)
            for status, response in responses.items():
                if status >= "400":
                    assert list(response["content"]) == ["application/problem+json"]


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action")]

    def handle_data(self, data: str) -> None:
        self.words += data + "\n"


def test_the_page_for_people_needs_nobody_else(service: Service) -> None:
    answer = requests.get(f"{service.url}/api/docs/", timeout=10)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    page = _Page(answer.text)
    assert page.tags & {"script", "img", "link", "iframe", "form"} == set()
    assert page.links == ["/api/schema/"]
    for path, methods in service.get("/api/schema/").json()["paths"].items():
        for method in methods:
            assert f"{method.upper()}\n \n{path}\n" in page.words


def test_the_schema_of_declarations_is_that_of_the_tool(service: Service) -> None:
    answer = requests.get(f"{service.url}/api/declaration.schema.json", timeout=10)
    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.text == programs.invoke(["ddnsctl", "validate", "--schema"], {}).stdout
