# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of webhooks arrive, signed and in order, once DNS has what they tell, also after faults."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from support.clients.dyndns import new_label
from support.clients.rest_api import Api, Content, problem
from support.ports import wait_until
from support.servers.faults import hung
from support.servers.postgres import create_database, running
from support.servers.service import Service, beside, dev
from support.servers.webhook_receiver import Receiver, receiver

HOSTS = ["host.created", "host.updated", "host.deleted", "host.blocked"]


@pytest.fixture(scope="module")
def service(
    store_settings: Callable[[], dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    settings = {"webhook_networks": "127.0.0.0/8", "dns_deadline": "1", **store_settings()}
    with dev(tmp_path_factory.mktemp("webhooks"), **settings) as found:
        yield found


@pytest.fixture
def target() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def api(service: Service) -> Api:
    return Api(service, service.user(new_label()))


def subscribe(api: Api, target: Receiver, **fields: Any) -> Content:
    made = api.post("/webhooks", {"name": "w", "url": target.url, "types": HOSTS, **fields})
    target.secrets.append(made["secret"])
    return made


def update(service: Service, host: Content, address: str) -> str:
    auth = (host["fqdn"], host["secret"])
    return requests.get(f"{service.url}/nic/update", auth=auth, params={"myip": address}, timeout=20).text


def changes(number: int) -> list[tuple[str, str | None]]:
    return [("host.created", "192.0.2.1"), *(("host.updated", f"198.51.100.{n}") for n in range(number))]


def test_the_life_of_a_host(api: Api, service: Service, target: Receiver) -> None:
    subscribe(api, target)
    host = api.host(ipv4="192.0.2.1")
    fqdn, renamed = host["fqdn"], f"{new_label()}.{service.domain}"
    assert update(service, host, "192.0.2.2") == "good 192.0.2.2"
    api.patch(f"/hosts/{fqdn}", {"fqdn": renamed, "comment": "moved"})
    Api(service, service.admin_token).patch(f"/hosts/{renamed}", {"abuse_blocked": True, "block_reason": "spam"})
    Api(service, service.admin_token).patch(f"/hosts/{renamed}", {"abuse_blocked": False})
    api.delete(f"/hosts/{renamed}")
    wait_until(lambda: len(target.messages) == 6, 20, "all messages")
    contents = [content for _, content in target.messages]
    created, addressed, moved, blocked, unblocked, deleted = contents
    assert [one["type"] for one in contents] == [
        "host.created",
        "host.updated",
        "host.updated",
        "host.blocked",
        "host.updated",
        "host.deleted",
    ]
    assert [one["data"]["fqdn"] for one in contents] == [fqdn, fqdn, *[renamed] * 4]
    assert addressed["data"] == {
        "fqdn": fqdn,
        "before": {"ipv4": "192.0.2.1"},
        "after": {"ipv4": "192.0.2.2"},
        "actor": fqdn,
        "via": "host",
    }
    assert moved["data"]["before"] == {"fqdn": fqdn, "comment": None}
    assert blocked["data"]["after"]["block_reason"] == "spam"
    assert unblocked["data"]["after"]["abuse_blocked"] is False
    assert deleted["data"]["before"] == {"fqdn": renamed, "ipv4": "192.0.2.2"}
    assert created["data"]["via"] == "token"
    assert created["timestamp"] < deleted["timestamp"]
    assert len({number for number, _ in target.messages}) == 6


def test_messages_about_a_host_are_in_order(api: Api, service: Service, target: Receiver) -> None:
    subscribe(api, target)
    hosts = [api.host(ipv4="192.0.2.1") for _ in range(6)]
    with ThreadPoolExecutor(len(hosts)) as pool:
        for n in range(12):
            done = list(pool.map(lambda host, n=n: update(service, host, f"198.51.100.{n}"), hosts))
            assert set(done) == {f"good 198.51.100.{n}"}
    for host in hosts:
        wait_until(lambda fqdn=host["fqdn"]: target.told(fqdn) == changes(12), 20, "all messages in order")  # type: ignore[misc]


def test_a_message_comes_when_dns_has_the_change(api: Api, service: Service, target: Receiver) -> None:
    subscribe(api, target)
    host = api.host(ipv4="192.0.2.1")
    other = api.host()
    wait_until(lambda: len(target.messages) == 2, 20, "created")
    with hung(service.named_pid()):
        assert update(service, host, "192.0.2.2") == "911"
        assert api.call("DELETE", f"/hosts/{other['fqdn']}").status_code == 503
        domain = f"{new_label()}.example.org"
        api.post("/domain-requests", {"name": domain, "reason": "x"})  # other messages do not wait
        witness = subscribe(api, target, types=["domain_request.created"])
        api.delete(f"/webhooks/{witness['id']}")
        target.secrets.pop()
        wait_until(lambda: waiting(api) == ["host.deleted", "host.updated"], 20, "both wait for DNS")
        assert len(target.messages) == 2
    wait_until(lambda: len(target.messages) == 4, 20, "both come")
    assert target.told(host["fqdn"])[1:] == [("host.updated", "192.0.2.2")]
    assert target.told(other["fqdn"])[1:] == [("host.deleted", None)]
    assert service.dig(host["fqdn"]) == ["192.0.2.2"]


def waiting(api: Api) -> list[str]:
    (webhook,) = api.items("/webhooks")
    return sorted(
        one["type"] for one in api.items(f"/webhooks/{webhook['id']}/deliveries") if one["state"] == "waiting"
    )


def test_a_killed_service_delivers_what_is_left(api: Api, service: Service, target: Receiver) -> None:
    """Everything comes at least once, in order; what comes twice has the same id."""
    subscribe(api, target)
    host = api.host(ipv4="192.0.2.1")
    wait_until(lambda: len(target.messages) == 1, 20, "created")
    for n in range(20):
        assert update(service, host, f"198.51.100.{n}") == f"good 198.51.100.{n}"
        if n in (7, 13):
            service.kill()
            service.start()
    wait_until(lambda: target.told(host["fqdn"]) == changes(20), 40, "all messages in order")


def test_a_target_that_fails_gets_its_messages_later(api: Api, service: Service, target: Receiver) -> None:
    made = subscribe(api, target)
    target.status = 500
    host = api.host(ipv4="192.0.2.1")
    assert update(service, host, "198.51.100.0") == "good 198.51.100.0"
    wait_until(lambda: target.refused > 0, 20, "an attempt")
    failing = api.get(f"/webhooks/{made['id']}")
    wait_until(lambda: api.get(f"/webhooks/{made['id']}")["failures"] > 0, 20, "the failure is shown")
    failing = api.get(f"/webhooks/{made['id']}")
    assert (failing["active"], failing["problem"]) == (True, "answered with status 500")
    target.status = 200
    wait_until(lambda: target.told(host["fqdn"]) == changes(1), 30, "all messages in order")
    wait_until(lambda: api.get(f"/webhooks/{made['id']}")["failures"] == 0, 20, "no failures")


def test_a_target_that_is_gone_gets_nothing_more(api: Api, service: Service, target: Receiver) -> None:
    made = subscribe(api, target)
    target.status = 410
    api.host()
    wait_until(lambda: not api.get(f"/webhooks/{made['id']}")["active"], 20, "switched off")
    assert api.get(f"/webhooks/{made['id']}")["stopped"] == "the target answered with status 410"
    assert [event["object"] for event in api.items("/events", action="webhook.stop")] == ["w"]
    api.host()
    target.status = 200
    api.patch(f"/webhooks/{made['id']}", {"active": True})
    late = api.host(ipv4="192.0.2.1")
    wait_until(lambda: len(target.messages) > 0, 20, "on again")
    assert [content["data"]["fqdn"] for _, content in target.messages] == [late["fqdn"]]


def test_redirects_are_not_followed(api: Api, target: Receiver) -> None:
    made = subscribe(api, target)
    target.status = 302
    answer = api.call("POST", f"/webhooks/{made['id']}/test").json()
    assert (answer["state"], answer["status"], answer["problem"]) == (
        "failed",
        302,
        "answered with a redirection (302)",
    )
    assert [asked.path for asked in target.web.taken()] == ["/hook"]


def test_a_test_and_a_redelivery(api: Api, target: Receiver) -> None:
    made = subscribe(api, target)
    tested = api.call("POST", f"/webhooks/{made['id']}/test").json()
    assert (tested["state"], tested["status"], tested["type"]) == ("delivered", 200, "webhook.test")
    redelivered = api.call("POST", f"/webhooks/{made['id']}/deliveries/{tested['id']}/redelivery").json()
    assert redelivered["state"] == "due"
    wait_until(lambda: len(target.messages) == 2, 20, "again")
    assert target.messages[0] == target.messages[1]
    assert target.messages[0][0] == tested["message_id"]
    (shown,) = api.items(f"/webhooks/{made['id']}/deliveries")
    assert shown["body"] == target.messages[0][1]


def test_a_new_secret(api: Api, target: Receiver) -> None:
    """For a day, both secrets verify each message."""
    made = subscribe(api, target)
    answer = api.call("POST", f"/webhooks/{made['id']}/secret")
    target.secrets.append(answer.json()["secret"])
    assert len(set(target.secrets)) == 2
    tested = api.call("POST", f"/webhooks/{made['id']}/test").json()
    assert tested["state"] == "delivered"
    (asked,) = target.web.taken()
    assert len(asked.headers["webhook-signature"].split()) == 2
    assert api.get(f"/webhooks/{made['id']}")["former_secret_until"]


def test_filters_and_owners(api: Api, service: Service, target: Receiver) -> None:
    """An owner learns of their own hosts; an administrator of all, if they ask for it."""
    admin = Api(service, service.admin_token)
    with receiver() as every, receiver() as own:
        subscribe(api, target, hosts=["a-*"], domains=[service.domain])
        webhooks = [subscribe(admin, every, all_owners=True), subscribe(admin, own)]
        names = [f"{letter}-{new_label()}.{service.domain}" for letter in "ab"]
        for fqdn in names:
            api.host(fqdn=fqdn)
        mine = admin.host()["fqdn"]
        wait_until(lambda: len(every.messages) == 3, 20, "all")
        wait_until(lambda: [len(one.messages) for one in (target, own)] == [1, 1], 20, "the others")
        assert target.told(names[0]) == [("host.created", None)]
        assert own.told(mine) == [("host.created", None)]
        for webhook in webhooks:
            admin.delete(f"/webhooks/{webhook['id']}")


def test_requests_for_domains(api: Api, service: Service, target: Receiver) -> None:
    subscribe(api, target, types=["domain_request.created", "domain_request.declined"])
    name = f"{new_label()}.example.org"
    made = api.post("/domain-requests", {"name": name, "reason": "For us."})
    Api(service, service.admin_token).call("POST", f"/domain-requests/{made['id']}/decline", {"answer": "No."})
    wait_until(lambda: len(target.messages) == 2, 20, "both")
    asked, declined = (content for _, content in target.messages)
    assert (asked["type"], asked["data"]["domain"]) == ("domain_request.created", name)
    assert (declined["type"], declined["data"]) == (
        "domain_request.declined",
        {"domain": name, "actor": "admin", "detail": "No."},
    )


@pytest.mark.parametrize(
    "url", ["https://10.0.0.1/x", "https://[::ffff:192.168.1.1]/", "http://192.0.2.1/", "https://[fd00::1]:8443/x"]
)
def test_private_targets_are_refused(api: Api, url: str) -> None:
    answer = refused(api, {"url": url}, "url")
    assert "is not a public address" in answer["errors"]["url"][0]
    assert api.items("/webhooks") == []


@pytest.mark.parametrize("url", ["ftp://h.example.org/", "https://u:p@h.example.org/", "https://", "x", "https://h/#f"])
def test_what_is_no_target(api: Api, url: str) -> None:
    assert "Enter a URL" in refused(api, {"url": url}, "url")["detail"]


def refused(api: Api, given: Content, field: str) -> Content:
    body = {"name": "w", "url": "https://192.0.2.1/", "types": HOSTS} | given
    return problem(api.call("POST", "/webhooks", body), 422, "urn:ddns:rule", {field})


def test_another_user_sees_nothing_of_it(api: Api, service: Service, target: Receiver) -> None:
    made = subscribe(api, target)
    other = Api(service, service.user(new_label()))
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/secret"), ("GET", "/deliveries")):
        body = {"name": "x"} if method == "PATCH" else None
        assert other.call(method, f"/webhooks/{made['id']}{path}", body).status_code == 404
    assert other.items("/webhooks") == []
    refused(other, {"url": target.url, "all_owners": True}, "all_owners")


def test_a_token_that_cannot_administer_changes_no_webhook_of_all_owners(service: Service, target: Receiver) -> None:
    admin = Api(service, service.admin_token)
    made = subscribe(admin, target, all_owners=True)
    weak = Api(service, admin.post("/tokens", {"name": new_label(), "scopes": ["read", "write"]})["token"])
    path = f"/webhooks/{made['id']}"
    assert weak.get(path)["url"] == made["url"]
    for method, below in (("PATCH", ""), ("POST", "/secret"), ("POST", "/test"), ("GET", "/deliveries")):
        body = {"url": "https://elsewhere.example.com/"} if method == "PATCH" else None
        assert weak.call(method, path + below, body).status_code == 403
    assert admin.get(path)["url"] == made["url"]
    weak.delete(path)


@pytest.mark.long
def test_one_of_two_nodes_sends_and_the_other_takes_over(tmp_path: Path) -> None:
    with running() as server, receiver() as target:
        url = create_database(server.url, "webhooks")
        networks = "127.0.0.0/8"
        with dev(tmp_path / "one", database_url=url, webhook_networks=networks) as one:
            key = str(one.dir / "second_factor.key")
            with beside(one, tmp_path / "two", url, webhook_networks=networks, second_factor_key=key) as two:
                api = Api(one, one.admin_token)
                subscribe(api, target)
                host = api.host(ipv4="192.0.2.1")
                wait_until(lambda: len(target.messages) == 1, 20, "created")
                for n in range(20):
                    assert update((one, two)[n % 2], host, f"198.51.100.{n}") == f"good 198.51.100.{n}"
                wait_until(lambda: target.told(host["fqdn"]) == changes(20), 20, "all messages in order")
                assert len(target.messages) == 21, "each once"
                two.kill()
                two.start()
                assert update(two, host, "198.51.100.20") == "good 198.51.100.20"
                wait_until(lambda: target.told(host["fqdn"]) == changes(21), 40, "the node that is left sends")
