# SPDX-License-Identifier: GPL-3.0-or-later
"""Security headers: on every route of the API and every status, and on the fixed paths."""

from collections.abc import Iterator

import pytest
import requests
from support.clients.rest_api import Api
from support.clients.routes import ROUTES, PathValues
from support.servers.service import Service, dev

POLICY = "default-src 'none'; frame-ancestors 'none'"

FIXED = ("/nic/update", "/update", "/nic/delete", "/myip", "/nic/hosts", "/nic/domains", "/healthz", "/readyz")


def check(answer: requests.Response, status: int | None = None) -> None:
    """Check the headers of an answer of the API."""
    assert status is None or answer.status_code == status, answer.text
    where = f"{answer.request.method} {answer.request.url} {answer.status_code}"
    assert answer.headers["Content-Security-Policy"] == POLICY, where
    assert answer.headers["X-Content-Type-Options"] == "nosniff", where
    assert answer.headers["Cache-Control"] == "no-store", where


@pytest.fixture(scope="module")
def api(service: Service) -> Api:
    return Api(service, service.admin_token)


def test_every_route_of_the_document(service: Service, api: Api) -> None:
    """Without a token, with one, with a wrong body, and with a method that the path does not have."""
    document = service.get("/api/schema/").json()
    routes = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert set(ROUTES) == routes
    statuses = set()
    nothing = PathValues("nothing.dyn.example.org", "nothing.example.org", "0", "0", "ddnsk_no", "nobody", "0")
    for method, template in sorted(routes):
        path = "/api" + nothing.path(template)
        answers = [
            service.request(method, path),
            service.request(method, path, service.admin_token),
            service.request(method, path, service.admin_token, data=b"{", headers={"Content-Type": "application/json"}),
            service.request("TRACE", path, service.admin_token),
            service.request("OPTIONS", path),
            service.request("HEAD", path),
        ]
        for answer in answers:
            check(answer)
        statuses |= {answer.status_code for answer in answers}
    assert {200, 400, 401, 404, 405} <= statuses


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/status",
        "/api/schema",
        "/api/schema/",
        "/api/declaration.schema.json",
        "/api/nothing",
        "/api/nothing/",
    ],
)
def test_answers_without_a_token(service: Service, path: str) -> None:
    check(service.get(path), 404 if "nothing" in path else 200)


def test_other_errors(service: Service, api: Api) -> None:
    path, token = "/api/hosts", service.admin_token
    check(service.request("POST", path, token, json={"comment": "x" * 100_000}), 413)
    check(service.request("POST", path, token, data="x", headers={"Content-Type": "text/plain"}), 415)
    check(service.request("POST", path, token, json={"ttl": "long"}), 422)
    made = api.host()
    check(service.request("PATCH", f"{path}/{made['fqdn']}", token, json={"ttl": 60}, headers={"If-Match": '"x"'}), 412)
    check(service.request("POST", path, token, json={"fqdn": made["fqdn"]}), 409)
    check(service.request("DELETE", f"{path}/{made['fqdn']}", token), 204)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("narrow"), rules="on", api_writes_per_minute="1") as running:
        yield running


def test_over_a_quota(narrow: Service) -> None:
    token = narrow.user("alice")
    answers = [narrow.request("POST", "/api/hosts", token, json={}) for _ in range(3)]
    check(answers[-1], 429)


def test_the_page_with_the_documentation_has_its_own_policy(service: Service) -> None:
    answer = service.get("/api/docs")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", FIXED)
def test_fixed_paths(service: Service, path: str) -> None:
    for answer in (service.get(path), service.request("PUT", path), service.request("POST", path, data=b"x" * 70_000)):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
