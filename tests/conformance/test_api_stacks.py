# SPDX-License-Identifier: GPL-3.0-or-later
"""§3, `/api/stacks`: stacks with their hosts, protection, renaming, and leases. Each test has a user of its own."""

import asyncio
from itertools import count
from typing import Any

import pytest
from sqlalchemy import update
from support.clients.rest_api import Api, Content, new_name, problem
from support.servers.service import Service

from ddnsd.db import schema
from ddnsd.operations import store_access

numbers = count(1)
LOST = "urn:ddns:lease-lost"
RULE = "urn:ddns:rule"


@pytest.fixture
def api(service: Service) -> Api:
    user = f"stacker{next(numbers)}"
    service.cli("user", "add", user)
    return Api(service, service.cli("token", "add", user, "--name", "ci-deploy").stdout.strip())


def host(api: Api, stack: str) -> str:
    fqdn = new_name(api.service)
    content = {"action": "create", "fqdn": fqdn, "set": {"ipv4": "192.0.2.1", "stack": stack}}
    (result,) = api.call("POST", "/changes", {"changes": [content]}).json()["results"]
    assert result["status"] in ("applied", "pending")
    return fqdn


def lease(api: Api, stack: str, **body: str) -> str:
    answer = api.call("POST", f"/stacks/{stack}/lease", body)
    assert answer.status_code == 201, answer.text
    assert set(answer.json()) == {"id", "holder", "since", "expires"}
    found: str = answer.json()["id"]
    return found


def change(api: Api, fqdn: str, lease_id: str | None = None, **values: Any) -> Any:
    headers = {"Stack-Lease": lease_id} if lease_id else {}
    content = {"changes": [{"action": "update", "fqdn": fqdn, "set": values}]}
    return api.call("POST", "/changes", content, headers=headers)


def test_a_stack_is_what_its_hosts_name(api: Api) -> None:
    fqdn = host(api, "web")
    host(api, "web")
    host(api, "db")
    shown = {"domains": 0, "protect": False, "gives": {}, "last_apply": None, "lease": None}
    found = api.call("GET", "/stacks").json()
    assert [(one["name"], one["hosts"]) for one in found["items"]] == [("db", 1), ("web", 2)]
    assert found["next"] is None
    assert api.call("GET", "/stacks/web").json().items() >= shown.items()
    first = api.call("GET", "/stacks?limit=1").json()
    assert [one["name"] for one in first["items"]] == ["db"]
    assert [one["name"] for one in api.call("GET", f"/stacks?cursor={first['next']}").json()["items"]] == ["web"]
    assert change(api, fqdn, stack=None).status_code == 200
    assert api.call("GET", "/stacks/web").json()["hosts"] == 1
    problem(api.call("GET", "/stacks/nothing"), 404)


def test_stacks_of_others_are_not_shown(api: Api, service: Service, alice: str) -> None:
    host(api, "mine")
    others = Api(service, alice)
    problem(others.call("GET", "/stacks/mine"), 404)
    assert "mine" not in [one["name"] for one in others.call("GET", "/stacks").json()["items"]]
    everything = Api(service, service.admin_token).call("GET", "/stacks?limit=1000").json()["items"]
    owner = api.call("GET", "/users/me").json()["name"]
    assert {"name": "mine", "owner": owner}.items() <= next(o for o in everything if o["owner"] == owner).items()


def test_one_at_a_time(api: Api) -> None:
    mine = lease(api, "web", note="job 4711", commit="abc123")
    refused = problem(api.call("POST", "/stacks/web/lease", {}), 409, "urn:ddns:leased")
    assert refused["detail"].startswith("web is being applied by ci-deploy (job 4711) since ")
    assert refused["lease"]["holder"] == "ci-deploy (job 4711)"
    shown = api.call("GET", "/stacks/web").json()
    assert shown["lease"] == refused["lease"]
    assert mine not in str(shown)
    lease(api, "db")
    own = {"Stack-Lease": mine}
    renewed = api.call("PUT", "/stacks/web/lease", headers=own)
    assert renewed.status_code == 200
    assert renewed.json()["since"] == shown["lease"]["since"]
    assert renewed.json()["expires"] > shown["lease"]["expires"]
    assert api.call("DELETE", "/stacks/web/lease", headers=own).status_code == 204
    problem(api.call("DELETE", "/stacks/web/lease", headers=own), 409, LOST)
    lease(api, "web")


def test_a_call_with_a_lease_is_the_last_apply(api: Api) -> None:
    fqdn = host(api, "web")
    mine = lease(api, "web", note="job 7", commit="abc")
    assert change(api, fqdn, mine, comment="x").status_code == 200
    applied = api.call("GET", "/stacks/web").json()["last_apply"]
    assert (applied["by"], applied["commit"]) == ("ci-deploy (job 7)", "abc")
    assert change(api, fqdn, comment="without").status_code == 200


def test_a_lease_that_was_taken_away_fails_the_call(api: Api) -> None:
    fqdn = host(api, "web")
    mine = lease(api, "web")
    own = {"Stack-Lease": mine}
    assert api.call("DELETE", "/stacks/web/lease?force=true").status_code == 204
    for answer in (
        change(api, fqdn, mine, comment="x"),
        api.call("PUT", "/stacks/web/lease", headers=own),
        change(api, fqdn, "never", comment="x"),
    ):
        problem(answer, 409, LOST)
    assert api.call("GET", f"/hosts/{fqdn}").json()["comment"] is None
    events = api.call("GET", "/events?action=stack.unlock").json()["items"]
    assert [event["object"] for event in events] == ["web"]


def let_expire(service: Service) -> None:
    """What else takes a minute."""
    url = service.settings.get("DDNSD_DATABASE_URL") or f"sqlite:///{service.dir}/ddnsd.db"
    past = update(schema.stacks).values(lease_expires=1)
    assert asyncio.run(store_access.with_store(url, lambda connection: connection.execute(past).rowcount))


def test_a_lease_ends_by_itself(api: Api, service: Service) -> None:
    fqdn = host(api, "web")
    mine = lease(api, "web")
    let_expire(service)
    problem(change(api, fqdn, mine, comment="x"), 409, LOST)
    problem(api.call("PUT", "/stacks/web/lease", headers={"Stack-Lease": mine}), 409, LOST)
    assert api.call("GET", "/stacks/web").json()["lease"] is None
    other = lease(api, "web")
    assert change(api, fqdn, other, comment="y").status_code == 200


def test_renaming_is_one_change(api: Api) -> None:
    names = [host(api, "web") for _ in range(3)]
    host(api, "db")
    problem(api.call("PATCH", "/stacks/web", {"name": "db"}), 409, "urn:ddns:taken", {"name"})
    renamed = api.call("PATCH", "/stacks/web", {"name": "web-prod", "protect": True}).json()
    assert (renamed["name"], renamed["hosts"], renamed["protect"]) == ("web-prod", 3, True)
    assert {api.call("GET", f"/hosts/{name}").json()["stack"] for name in names} == {"web-prod"}
    problem(api.call("GET", "/stacks/web"), 404)
    problem(api.call("PATCH", "/stacks/web", {"name": "other"}), 404)


def test_nobody_renames_a_stack_that_is_being_applied(api: Api) -> None:
    host(api, "web")
    mine = lease(api, "web")
    problem(api.call("PATCH", "/stacks/web", {"name": "new"}), 409, "urn:ddns:leased")
    new = lease(api, "new")
    problem(api.call("PATCH", "/stacks/web", {"name": "new"}, headers={"Stack-Lease": new}), 409, "urn:ddns:leased")
    api.call("DELETE", "/stacks/web/lease", headers={"Stack-Lease": mine})
    assert api.call("PATCH", "/stacks/web", {"name": "new"}, headers={"Stack-Lease": new}).status_code == 200
    assert api.call("GET", "/stacks/new").json()["lease"] is not None
    assert api.call("PUT", "/stacks/new/lease", headers={"Stack-Lease": new}).status_code == 200


def test_hosts_of_a_protected_stack_stay(api: Api, service: Service) -> None:
    fqdn = host(api, "web")
    assert api.call("PATCH", "/stacks/web", {"protect": True}).json()["protect"] is True
    answers: list[Content] = [
        problem(api.call("DELETE", f"/hosts/{fqdn}"), 409, "urn:ddns:protected"),
        problem(api.call("PATCH", f"/hosts/{fqdn}", {"stack": "other"}), 409, "urn:ddns:protected"),
    ]
    delete = {"changes": [{"action": "delete", "fqdn": fqdn}]}
    for path in ("/changes?dry_run=true", "/changes"):
        (result,) = api.call("POST", path, delete).json()["results"]
        answers.append(result["error"])
    both = [{"action": "update", "fqdn": fqdn, "set": {"stack": None}}, *delete["changes"]]
    answers += [result["error"] for result in api.call("POST", "/changes", {"changes": both}).json()["results"]]
    assert {answer["status"] for answer in answers} == {409}
    assert {answer["detail"] for answer in answers} == {
        "The stack web is protected, so no host can be deleted or leave it. Take the protection away first."
    }
    unregistered = api.service.get("/nic/unregister", api.token, params={"fqdn": fqdn})
    assert (unregistered.status_code, unregistered.json()["message"]) == (403, answers[0]["detail"])
    (result,) = change(api, fqdn, ipv4="192.0.2.2", comment="still changes").json()["results"]
    assert result["status"] in ("applied", "pending")
    assert api.call("PATCH", "/stacks/web", {"protect": False}).json()["protect"] is False
    (result,) = api.call("POST", "/changes", delete).json()["results"]
    assert result["status"] in ("applied", "pending")


def test_protection_comes_before_the_first_host(api: Api) -> None:
    assert api.call("PATCH", "/stacks/new", {"protect": True}).json()["hosts"] == 0
    problem(api.call("DELETE", f"/hosts/{host(api, 'new')}"), 409, "urn:ddns:protected")


def test_a_protected_host_stays(api: Api) -> None:
    fqdn = host(api, "web")
    assert api.call("PATCH", f"/hosts/{fqdn}", {"protect": True}).json()["protect"] is True
    delete = {"action": "delete", "fqdn": fqdn}
    off = {"action": "update", "fqdn": fqdn, "set": {"protect": False}, "if": {"protect": True}}
    answers = [problem(api.call("DELETE", f"/hosts/{fqdn}"), 409, "urn:ddns:protected")]
    results = api.call("POST", "/changes?dry_run=true", {"changes": [off, delete]}).json()["results"]
    answers.append(results[1]["error"])
    results = api.call("POST", "/changes", {"changes": [off, delete], "atomic": True}).json()["results"]
    answers.append(results[1]["error"])
    assert {answer["detail"] for answer in answers} == {
        f"{fqdn} is protected, so it cannot be deleted. Take the protection away first."
    }
    change_of = api.call("GET", f"/hosts/{fqdn}/history").json()["items"][0]
    assert (change_of["before"], change_of["after"]) == ({"protect": False}, {"protect": True})
    results = api.call("POST", "/changes", {"changes": [off]}).json()["results"]
    assert results[0]["status"] == "applied"
    assert api.call("DELETE", f"/hosts/{fqdn}").status_code == 204


def test_a_stack_gives_a_host_to_another_one(api: Api, service: Service) -> None:
    fqdn, kept = host(api, "web"), host(api, "web")
    refused = problem(api.call("PATCH", f"/hosts/{fqdn}", {"stack": "db"}), 409, "urn:ddns:protected")
    assert refused["detail"].startswith(f"{fqdn} belongs to the stack web, which does not give it to db.")
    assert api.call("PATCH", "/stacks/web", {"gives": {fqdn.upper(): "db"}}).json()["gives"] == {fqdn: "db"}
    both = [{"action": "update", "fqdn": name, "set": {"stack": "db"}} for name in (fqdn, kept)]
    results = api.call("POST", "/changes", {"changes": both}).json()["results"]
    assert [result["status"] for result in results] == ["applied", "failed"]
    assert f"{kept} belongs to the stack web" in results[1]["error"]["detail"]
    problem(api.call("PATCH", f"/hosts/{fqdn}", {"stack": "web"}), 409, "urn:ddns:protected")
    for stack in (None, "web"):  # in two steps, its owner can do anything
        assert api.call("PATCH", f"/hosts/{fqdn}", {"stack": stack}).status_code == 200
    events = api.call("GET", "/events?action=stack.give").json()["items"]
    assert [event["detail"] for event in events] == [f"{fqdn} to db"]
    problem(api.call("PATCH", "/stacks/web", {"gives": {"x": "db"}}), 422, fields={"gives.x.[key]"})
    renamed = api.call("PATCH", "/stacks/web", {"name": "front"}).json()
    assert renamed["gives"] == {fqdn: "db"}


def test_a_token_is_for_some_stacks(api: Api, service: Service) -> None:
    own, foreign = host(api, "web-a"), host(api, "db")
    made = api.call("POST", "/tokens", {"name": "web", "stacks": ["web-*"]}).json()
    assert made["stacks"] == ["web-*"]
    limited = Api(service, made["token"])
    assert {one["fqdn"] for one in limited.items("/hosts")} == {own}
    assert [one["name"] for one in limited.items("/stacks")] == ["web-a"]
    new = {"fqdn": new_name(service), "stack": "web-new"}
    for stack in (None, "db"):
        answer = limited.call("POST", "/hosts", new | {"stack": stack})
        said = problem(answer, 422, RULE, {"stack"})["errors"]["stack"]
        assert said == ["Your token is limited to other stacks."]
        problem(limited.call("PATCH", f"/hosts/{own}", {"stack": stack}), 422, RULE, {"stack"})
        assert limited.service.get("/nic/register", limited.token, params={"fqdn": new["fqdn"]}).status_code == 400
        create = {"action": "create", "fqdn": new["fqdn"], "set": {"stack": stack} if stack else {}}
        leave = {"action": "update", "fqdn": own, "set": {"stack": stack}}
        results = limited.call("POST", "/changes", {"changes": [create, leave]}).json()["results"]
        assert [result["error"]["errors"] for result in results] == [
            {"stack": ["Your token is limited to other stacks."]}
        ] * 2
    assert limited.call("POST", "/hosts", new).status_code == 201
    assert limited.call("PATCH", f"/hosts/{own}", {"stack": "web-new", "comment": "x"}).status_code == 409
    assert limited.call("PATCH", "/stacks/web-a", {"protect": True}).status_code == 200
    for answer in (
        limited.call("GET", "/stacks/db"),
        limited.call("PATCH", "/stacks/db", {"protect": True}),
        limited.call("PATCH", "/stacks/web-a", {"name": "db-2"}),
        limited.call("POST", "/stacks/db/lease", {}),
        limited.call("DELETE", "/stacks/db/lease?force=true"),
        limited.call("GET", f"/hosts/{foreign}"),
    ):
        problem(answer, 404)
    wider = limited.call("POST", "/tokens", {"name": "more", "stacks": ["*"]})
    problem(wider, 422, RULE, {"stacks"})
    assert limited.call("POST", "/tokens", {"name": "same"}).json()["stacks"] == ["web-*"]


def test_a_token_for_a_stack_takes_only_what_is_given_to_it(api: Api, service: Service) -> None:
    given, kept = host(api, "db"), host(api, "db")
    limited = Api(service, api.call("POST", "/tokens", {"name": "web", "stacks": ["web"]}).json()["token"])
    take = {"action": "update", "fqdn": given, "set": {"stack": "web", "comment": "taken"}}
    (result,) = limited.call("POST", "/changes", {"changes": [take]}).json()["results"]
    assert result["error"]["status"] == 404
    api.call("PATCH", "/stacks/db", {"gives": {given: "web", kept: "other"}})
    assert {one["fqdn"] for one in limited.items("/hosts")} == {given}
    for answer in (
        limited.call("PATCH", f"/hosts/{given}", {"comment": "not yet"}),
        limited.call("POST", f"/hosts/{given}/secret"),
        limited.call("DELETE", f"/hosts/{given}"),
    ):
        assert answer.status_code in (403, 404)
    only = take | {"set": {"comment": "not yet"}}
    results = limited.call("POST", "/changes", {"changes": [only, take | {"fqdn": kept}]}).json()["results"]
    assert [result["error"]["status"] for result in results] == [404, 404]
    (result,) = limited.call("POST", "/changes", {"changes": [take]}).json()["results"]
    assert result["status"] == "applied"
    taken = limited.call("GET", f"/hosts/{given}").json()
    assert (taken["stack"], taken["comment"]) == ("web", "taken")


def test_secrets_of_a_run_that_died_can_be_had_again(api: Api, service: Service) -> None:
    others = Api(service, api.call("POST", "/tokens", {"name": "other"}).json()["token"])
    made = {}
    first = lease(api, "web")
    for by, number in ((api, 2), (api, 1), (others, 1)):
        names = [new_name(service) for _ in range(number)]
        items = [{"action": "create", "fqdn": name, "set": {"stack": "web"}} for name in names]
        headers = {"Stack-Lease": first, "Idempotency-Key": new_name(service)}
        results = by.call("POST", "/changes", {"changes": items}, headers=headers).json()["results"]
        made.update({result["fqdn"]: result["secret"] for result in results})
    quiet = {"Stack-Lease": first, "Idempotency-Key": "without-secrets"}
    update_of = {"action": "update", "fqdn": names[0], "set": {"comment": "x"}}
    assert api.call("POST", "/changes", {"changes": [update_of]}, headers=quiet).status_code == 200
    problem(api.call("POST", "/stacks/web/lease/secrets"), 409, LOST)
    let_expire(service)
    problem(api.call("POST", "/stacks/web/lease/secrets", headers={"Stack-Lease": first}), 409, LOST)

    def again(by: Api, held: str) -> dict[str, str]:
        found: dict[str, str] = {}
        cursor = 0
        while cursor is not None:
            path = f"/stacks/web/lease/secrets?cursor={cursor}"
            answer = by.call("POST", path, headers={"Stack-Lease": held}).json()
            found.update(answer["secrets"])
            cursor = answer["next"]
        assert answer["other_tokens"] == (1 if by is api else 2)
        return found

    second = lease(api, "web")
    mine = again(api, second)
    theirs = again(others, second)
    assert len(mine) == 3
    assert len(theirs) == 1
    assert mine | theirs == made
    own = {"Stack-Lease": second}
    assert api.call("DELETE", "/stacks/web/lease", headers=own).status_code == 204
    third = lease(api, "web")
    assert again(api, third) == mine
    assert api.call("DELETE", "/stacks/web/lease?stored=true", headers={"Stack-Lease": third}).status_code == 204
    fourth = {"Stack-Lease": lease(api, "web")}
    nothing: Content = {"secrets": {}, "next": None, "other_tokens": 1}
    assert api.call("POST", "/stacks/web/lease/secrets", headers=fourth).json() == nothing


def test_many_secrets_are_checked_at_once(api: Api, service: Service, alice: str) -> None:
    fqdn, others = new_name(service), new_name(service)
    secret = api.call("POST", "/hosts", {"fqdn": fqdn}).json()["secret"]
    Api(service, alice).call("POST", "/hosts", {"fqdn": others})
    given = {fqdn.upper(): secret, others: secret, "nothing.example.org": "x"}
    assert api.call("POST", "/verify-secrets", {"secrets": given}).json() == {"valid": {fqdn: True}}
    assert api.call("POST", "/verify-secrets", {"secrets": {fqdn: "old"}}).json() == {"valid": {fqdn: False}}
    many = {f"n{number}.example.org": "x" for number in range(401)}
    problem(api.call("POST", "/verify-secrets", {"secrets": many}), 422, fields={"secrets"})


def test_what_is_malformed(api: Api) -> None:
    for name in ("a b", "-a", "x" * 64, "%00"):
        problem(api.call("POST", f"/stacks/{name}/lease", {}), 404)
        problem(api.call("PATCH", f"/stacks/{name}", {"protect": True}), 404)
    problem(api.call("PATCH", "/stacks/web", {"name": "a b"}), 422, fields={"name"})
    problem(api.call("PATCH", "/stacks/web", {"protect": None}), 422, fields={"protect"})
    problem(api.call("PUT", "/stacks/web/lease"), 409, LOST)
    problem(api.call("DELETE", "/stacks/web/lease"), 409, LOST)
    problem(api.call("POST", "/stacks/web/lease", {"note": "a\nb"}), 422, fields={"note"})


def test_a_limited_token_takes_leases_and_changes_no_stack(api: Api, service: Service) -> None:
    host(api, "web")
    token = api.call("POST", "/tokens", {"name": "some", "hosts": ["web-*"]}).json()["token"]
    limited = Api(service, token)
    lease(limited, "web")
    problem(limited.call("PATCH", "/stacks/web", {"protect": True}), 403)
    reader = Api(service, api.call("POST", "/tokens", {"name": "reader", "scopes": ["read"]}).json()["token"])
    problem(reader.call("POST", "/stacks/web/lease", {}), 403)
    assert reader.call("GET", "/stacks/web").status_code == 200
