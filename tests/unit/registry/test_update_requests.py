# SPDX-License-Identifier: GPL-3.0-or-later
"""What each name of an update request leads to, and which results are faults of the client or ours."""

from typing import Any

import pytest

from ddnsd.auth.caller import Caller, Kind
from ddnsd.auth.permissions import Action
from ddnsd.db.base import StoreDown
from ddnsd.db.history import Author
from ddnsd.db.rows import Host
from ddnsd.dns.errors import NotAcknowledged
from ddnsd.dns.writer import Fault
from ddnsd.registry.addresses import AddressUpdate
from ddnsd.registry.errors import Blocked, DeniedAddress, Held, InvalidAddress, NoHost
from ddnsd.registry.update_requests import MOST_NAMES, Refusal, RequestRefused, UpdateRequests, check_count
from ddnsd.registry.updates import Outcome

UPDATE = AddressUpdate(ipv4="192.0.2.1")
AUTHOR = Author("www.example.org")
DONE = Outcome(True, ["192.0.2.1"])


def host(host_id: int = 1, fqdn: str = "www.example.org", **values: object) -> Host:
    flags = {"owner_active": True, "available": True, "domain_available": True, "abuse": False, "abuse_blocked": False}
    fields = dict.fromkeys(Host._fields) | {"id": host_id, "fqdn": fqdn} | flags | values
    return Host(**fields)  # type: ignore[arg-type]


def machine(*hosts: Host) -> Caller:
    return Caller(Kind.HOST, hosts[0].fqdn, 1, hosts=hosts)


USER = Caller(Kind.USER, "ann", 1, "ann", scopes=frozenset({"write"}))


class Updates:
    """Applies updates, or fails."""

    error: Exception | None = None

    def __init__(self) -> None:
        self.applied: list[str] = []

    async def apply(
        self, host: Host, update: AddressUpdate, *, tls: bool, author: Author, caller: Caller | None = None
    ) -> Outcome:
        assert caller is not None
        if self.error is not None:
            raise self.error
        self.applied.append(host.fqdn)
        return DONE


class Access:
    """Finds the hosts of a user."""

    def __init__(self, *hosts: Host) -> None:
        self.hosts = hosts

    async def find(self, caller: Caller, fqdn: str, action: Action) -> Host | None:
        return next((found for found in self.hosts if found.fqdn == fqdn and caller.kind is Kind.USER), None)


class Service:
    """Update requests, what they have applied, and which faults they have counted."""

    def __init__(self, *hosts: Host) -> None:
        self.updates = Updates()
        self.faults: list[Fault] = []
        self.requests: Any = UpdateRequests(Access(*hosts), self.updates, self)  # type: ignore[arg-type]

    async def count(self, fault: Fault) -> None:
        self.faults.append(fault)

    def count_later(self, fault: Fault) -> None:
        self.faults.append(fault)

    async def apply(self, caller: Caller, fqdn: str, update: AddressUpdate | Refusal = UPDATE) -> Any:
        _, result = await self.requests.apply(caller, fqdn, update, tls=True, author=AUTHOR)
        return result


async def test_a_machine_updates_its_own_host_and_a_user_those_that_are_found() -> None:
    service = Service(host(2, "mail.example.org"))
    assert await service.apply(machine(host()), "www.example.org") == DONE
    assert await service.apply(USER, "mail.example.org") == DONE
    assert service.updates.applied == ["www.example.org", "mail.example.org"]
    assert service.faults == []


@pytest.mark.parametrize(
    ("fqdn", "refusal"),
    [
        ("www", Refusal.NOT_FULL_NAME),
        ("other.example.org", Refusal.UNKNOWN_HOST),
        ("", Refusal.UNKNOWN_HOST),
    ],
)
async def test_a_name_that_is_not_the_callers_is_a_fault_of_a_machine(fqdn: str, refusal: Refusal) -> None:
    service = Service()
    assert await service.apply(machine(host()), fqdn) is refusal
    assert service.faults == [Fault(1, "client_faults")]
    assert await service.apply(USER, fqdn) is refusal
    assert len(service.faults) == 1, "a user has no host that could get the fault"


@pytest.mark.parametrize(
    ("values", "refusal"),
    [
        ({"owner_active": False, "abuse": True}, Refusal.UNAVAILABLE),
        ({"abuse": True, "available": False}, Refusal.BLOCKED),
        ({"abuse_blocked": True}, Refusal.BLOCKED),
        ({"available": False}, Refusal.UNAVAILABLE),
        ({"domain_available": False}, Refusal.UNAVAILABLE),
    ],
)
@pytest.mark.parametrize("update", [UPDATE, Refusal.BAD_ADDRESS, Refusal.UNKNOWN_PEER])
async def test_a_host_that_takes_no_updates_counts_nothing(
    values: dict[str, Any], refusal: Refusal, update: AddressUpdate | Refusal
) -> None:
    service = Service()
    assert await service.apply(machine(host(**values)), "www.example.org", update) is refusal
    assert (service.updates.applied, service.faults) == ([], [])


@pytest.mark.parametrize(
    ("error", "refusal", "fault"),
    [
        (InvalidAddress("x"), Refusal.BAD_ADDRESS, "client_faults"),
        (DeniedAddress(), Refusal.DENIED_ADDRESS, "client_faults"),
        (Blocked(), Refusal.BLOCKED, None),
        (NoHost(), Refusal.UNAVAILABLE, None),
        (Held("CNAME"), Refusal.HELD, None),
        (NotAcknowledged("late"), Refusal.UNCONFIRMED, "server_faults"),
        (StoreDown("gone"), Refusal.UNCONFIRMED, "server_faults"),
    ],
)
async def test_an_update_that_fails_is_the_clients_fault_or_ours(
    error: Exception, refusal: Refusal, fault: str | None
) -> None:
    service = Service(host(2, "mail.example.org"))
    service.updates.error = error
    assert await service.apply(USER, "mail.example.org") is refusal
    assert service.faults == ([Fault(2, fault)] if fault else [])


async def test_a_bug_is_no_refusal() -> None:
    service = Service()
    service.updates.error = KeyError("x")
    with pytest.raises(KeyError):
        await service.apply(machine(host()), "www.example.org")


@pytest.mark.parametrize(("refusal", "faults"), [(Refusal.BAD_ADDRESS, 1), (Refusal.UNKNOWN_PEER, 0)])
async def test_a_refusal_in_place_of_an_update_is_the_result(refusal: Refusal, faults: int) -> None:
    service = Service()
    assert await service.apply(machine(host()), "www.example.org", refusal) is refusal
    assert (service.updates.applied, len(service.faults)) == ([], faults)


async def test_each_name_of_a_request_has_its_own_result() -> None:
    service = Service()
    caller = machine(host(), host(2, "mail.example.org", abuse=True))
    found = await service.requests.apply_each(
        caller, ["www.example.org", "x.example.org", "mail.example.org"], UPDATE, tls=True, author=AUTHOR
    )
    assert [result for _, result in found] == [DONE, Refusal.UNKNOWN_HOST, Refusal.BLOCKED]


async def test_all_or_none_of_the_hosts_are_updated() -> None:
    service, blocked = Service(), host(2, "mail.example.org", abuse=True)
    with pytest.raises(Blocked):
        await service.requests.apply_to_all(USER, [host(), blocked], UPDATE, tls=True, author=AUTHOR)
    assert service.updates.applied == []
    await service.requests.apply_to_all(USER, [host(), host(3, "x.example.org")], UPDATE, tls=True, author=AUTHOR)
    assert service.updates.applied == ["www.example.org", "x.example.org"]


@pytest.mark.parametrize("refusal", [Refusal.TOO_MANY_NAMES, Refusal.BAD_AGENT, Refusal.OFFLINE_DENIED])
async def test_a_refused_request_is_a_fault_of_the_machine_except_what_the_operator_switched_off(
    refusal: Refusal,
) -> None:
    service = Service()
    await service.requests.count_refusal(USER, refusal)
    await service.requests.count_refusal(machine(host()), refusal)
    assert len(service.faults) == (0 if refusal is Refusal.OFFLINE_DENIED else 1)


def test_a_request_has_twenty_names_at_most() -> None:
    check_count(["www.example.org"] * MOST_NAMES)
    with pytest.raises(RequestRefused):
        check_count(["www.example.org"] * (MOST_NAMES + 1))
