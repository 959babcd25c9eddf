# SPDX-License-Identifier: GPL-3.0-or-later
"""EGI's API, against a stand-in built from its documentation: what is asked, and what is kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from support.clients.transport import HttpTransport, Scripted, Watched
from support.servers.egi import Egi, Fault, egi

from ddnsctl.sync.api import Done
from ddnsctl.sync.changes import Action, Change
from ddnsctl.sync.egi import LOOK, EgiServer
from ddnsctl.sync.errors import LostAnswer, NotSupported, Refused, ServerError, Stale, Unauthorized, Unreachable
from ddnsctl.sync.model import UNKNOWN, Host

D = "vm.fedcloud.eu"
A, B, C = f"a.{D}", f"b.{D}", f"c.{D}"
BOTH = {"ipv4": "192.0.2.1", "ipv6": "2001:db8::1"}
FULL: dict[str, Any] = {**BOTH, "wildcard": True, "comment": "Front end", "stack": "web"}
CREATE = Change(Action.CREATE, "host", A, after=FULL)


@dataclass
class Rig:
    """A stand-in, what goes to it, and the server over it; its clock stands still unless a test moves it."""

    egi: Egi
    transport: Watched
    server: EgiServer
    now: float = 100.0

    def asked(self) -> list[str]:
        """The last words of the paths that were asked since the last call, each with how often."""
        counts = [f"{path[5:]} {count}" for path, count in sorted(self.egi.requests.items())]
        self.egi.requests.clear()
        return counts

    def later(self) -> None:
        self.now += LOOK + 1


@pytest.fixture
def rig() -> Iterator[Rig]:
    with egi(delay=0) as state:
        transport = Watched(HttpTransport(state.url, "token-of-alice"))
        made = Rig(state, transport, EgiServer(transport, clock=lambda: made.now))
        yield made


def update(**after: Any) -> Change:
    return Change(Action.UPDATE, "host", A, {"stack": "web"}, after)


def replacement(**after: Any) -> Change:
    return Change(Action.REPLACE, "host", A, {"stack": "web"}, after, reason="not edited in place")


def create(rig: Rig, **after: Any) -> str:
    secret = rig.server.execute(Change(Action.CREATE, "host", A, after=FULL | after)).secret
    rig.asked()
    assert secret
    return secret


def test_hosts_are_the_callers_own_with_their_stacks(rig: Rig) -> None:
    create(rig)
    EgiServer(HttpTransport(rig.egi.url, "token-of-bob")).execute(Change(Action.CREATE, "host", B, after=BOTH))
    for names in (None, [A, B]):
        registered = rig.server.registered(names)
        assert registered.hosts == {A: Host(A, D, **FULL)}
        assert set(registered.hosts[A].facts) == {
            "name",
            "client_faults",
            "server_faults",
            "abuse_blocked",
            "abuse",
            "last_update_ipv4",
            "tls_update_ipv4",
            "last_update_ipv6",
            "tls_update_ipv6",
        }
        assert list(registered.domains) == [D]
        assert registered.domains[D].public
    assert rig.server.registered([B]).hosts == {}
    assert rig.transport.changing == 2


def test_what_the_server_cannot_say_is_unknown(rig: Rig) -> None:
    create(rig)
    rig.egi.unknown.add(A)
    host = rig.server.registered().hosts[A]
    assert (host.ipv4, host.ipv6, host.comment) == (UNKNOWN, UNKNOWN, "Front end")


def test_names_and_addresses_are_canonical_whatever_the_server_writes() -> None:
    row = {"fqdn": A.upper(), "domain": D, "ipv4": "192.0.2.1", "ipv6": "2001:0DB8::0001", "comment": ""}
    script = Scripted().expect("GET /nic/domains", {"status": "ok"})
    script.expect("GET /nic/hosts", {"status": "ok", "hosts": [row]})
    assert EgiServer(script).registered().hosts == {A: Host(A, D, "192.0.2.1", "2001:db8::1")}


@pytest.mark.parametrize("hosts", [None, {}, ["a"], [{"name": "a"}]])
def test_a_list_that_is_none(hosts: Any) -> None:
    script = Scripted().expect("GET /nic/domains", {"status": "ok"})
    script.expect("GET /nic/hosts", {"status": "ok", "hosts": hosts})
    with pytest.raises(ServerError, match="sent no list of hosts"):
        EgiServer(script).registered()


def test_a_host_is_registered_with_one_address_and_updated_with_the_other(rig: Rig) -> None:
    done = rig.server.execute(CREATE)
    row = rig.egi.hosts[A]
    assert done == Done("applied", row.secret)
    assert (row.ipv4, row.ipv6, row.wildcard, row.comment) == (
        "192.0.2.1",
        "2001:db8::1",
        True,
        "Front end [ddns:web]",
    )
    assert rig.asked() == ["hosts 1", "register 1", "update 1"]


def test_a_host_that_is_there_is_not_registered_again(rig: Rig) -> None:
    """Nor may an error of the server's own make it look like the one that was to be registered."""
    secret = create(rig)
    for _ in range(2):
        rig.egi.fail("register", Fault.ERROR)
        with pytest.raises(Refused, match=f"{A} is now registered"):
            EgiServer(rig.transport).execute(Change(Action.CREATE, "host", A, after=FULL))
        assert rig.asked() == ["hosts 1"]
    assert rig.egi.hosts[A].secret == secret


def test_a_name_of_somebody_else_is_taken(rig: Rig) -> None:
    script = Scripted().expect("GET /nic/hosts", {"status": "ok", "hosts": []})
    taken = {"status": "error", "message": "formerr", "errors": {"__all__": ["Host with this Name already exists."]}}
    script.expect(f"GET /nic/register?fqdn={A}&wildcard=false&ip=192.0.2.1", taken, status=400)
    with pytest.raises(Refused, match=r"formerr: Host with this Name already exists\.") as raised:
        EgiServer(script).execute(Change(Action.CREATE, "host", A, after={"ipv4": "192.0.2.1"}))
    assert (list(raised.value.fields), raised.value.lost) == (["__all__"], False)


def test_a_host_without_an_address_gets_the_callers_own(rig: Rig) -> None:
    rig.server.execute(Change(Action.CREATE, "host", A, after={"stack": "web"}))
    assert (rig.egi.hosts[A].ipv4, rig.egi.hosts[A].comment) == ("127.0.0.1", "[ddns:web]")
    assert rig.asked() == ["hosts 1", "register 1"]


def test_a_comment_that_does_not_fit_with_its_mark_is_refused_before_anything_is_sent(rig: Rig) -> None:
    create(rig)
    long = "c" * 250
    with pytest.raises(Refused, match="261 characters with the marker of stack web"):
        rig.server.execute(Change(Action.CREATE, "host", B, after={"comment": long, "stack": "web"}))
    with pytest.raises(Refused, match="261 characters"):
        rig.server.execute(replacement(comment=long))
    assert rig.asked() == ["hosts 1"]
    assert A in rig.egi.hosts


def test_addresses_are_updated_in_place(rig: Rig) -> None:
    secret = create(rig)
    assert rig.server.execute(update(ipv4="192.0.2.2", ipv6="2001:db8::2")) == Done("applied")
    assert (rig.egi.hosts[A].ipv4, rig.egi.hosts[A].ipv6) == ("192.0.2.2", "2001:db8::2")
    assert rig.asked() == ["hosts 1", "update 2"]
    assert rig.server.execute(update(ipv4="192.0.2.2", ipv6="2001:db8::2")) == Done("unchanged")
    assert rig.server.execute(update(ipv4="192.0.2.2", ipv6="2001:db8::3")) == Done("applied")
    assert rig.egi.hosts[A].secret == secret


@pytest.mark.parametrize("after", [{"ipv4": None}, {"comment": "x"}, {"ipv4": "192.0.2.2", "wildcard": False}])
def test_nothing_else_is(rig: Rig, after: dict[str, Any]) -> None:
    create(rig)
    with pytest.raises(NotSupported, match="cannot set"):
        rig.server.execute(update(**after))
    assert rig.asked() == ["hosts 1"]


def test_a_replacement_is_registered_anew_with_what_it_had(rig: Rig) -> None:
    secret = create(rig)
    done = rig.server.execute(replacement(comment="Back end"))
    row = rig.egi.hosts[A]
    assert (row.ipv4, row.ipv6, row.wildcard, row.comment) == ("192.0.2.1", "2001:db8::1", True, "Back end [ddns:web]")
    assert done == Done("applied", row.secret)
    assert row.secret != secret
    assert rig.asked() == ["hosts 1", "register 1", "unregister 1", "update 1"]
    assert rig.server.execute(replacement(ipv6=None)).status == "applied"
    assert (rig.egi.hosts[A].ipv4, rig.egi.hosts[A].ipv6) == ("192.0.2.1", None)


def test_what_a_replacement_would_lose_keeps_it_from_happening(rig: Rig) -> None:
    create(rig)
    with pytest.raises(Refused, match="without an address, the server would set the address of this machine"):
        rig.server.execute(replacement(ipv4=None, ipv6=None))
    rig.egi.unknown.add(A)
    rig.later()
    with pytest.raises(Refused, match="does not report its ipv4, and the change would lose it"):
        rig.server.execute(replacement(ipv6="2001:db8::9"))
    assert rig.asked() == ["hosts 2"]
    assert rig.egi.hosts[A].ipv6 == "2001:db8::1"


def test_a_move_registers_the_new_name_before_the_old_one_goes(rig: Rig) -> None:
    create(rig)
    move = Change(Action.MOVE, "host", B, FULL, FULL | {"ipv4": "192.0.2.5"}, A, reason="it does not rename")
    done = rig.server.execute(move)
    assert list(rig.egi.hosts) == [B]
    assert (rig.egi.hosts[B].ipv4, rig.egi.hosts[B].comment) == ("192.0.2.5", "Front end [ddns:web]")
    assert done == Done("applied", rig.egi.hosts[B].secret)
    with pytest.raises(Stale, match=rf"{B} is now registered .*\n{A} is no longer registered"):
        rig.server.execute(move)


def test_a_secret_is_rotated(rig: Rig) -> None:
    old = create(rig)
    done = rig.server.execute(Change(Action.ROTATE, "host", A, {"stack": "web"}))
    assert done == Done("applied", rig.egi.hosts[A].secret)
    assert done.secret != old


def test_a_host_is_deleted_once(rig: Rig) -> None:
    create(rig)
    delete = Change(Action.DELETE, "host", A, FULL)
    assert rig.server.execute(delete) == Done("applied")
    assert rig.egi.hosts == {}
    assert rig.server.execute(delete) == Done("unchanged")
    assert rig.asked() == ["hosts 2", "unregister 1"]


def test_a_host_that_goes_away_while_it_is_deleted_is_deleted(rig: Rig) -> None:
    create(rig)
    rig.transport.before = lambda _number: rig.egi.hosts.clear()
    assert rig.server.execute(Change(Action.DELETE, "host", A, FULL)) == Done("applied")
    assert rig.asked() == ["hosts 1", "unregister 1"]


@pytest.mark.parametrize("action", [Action.UPDATE, Action.REPLACE, Action.DELETE, Action.ROTATE])
def test_a_host_that_is_another_stacks_by_now_is_left_alone(rig: Rig, action: Action) -> None:
    create(rig, stack="other")
    after = {} if action in (Action.DELETE, Action.ROTATE) else {"ipv4": "192.0.2.9"}
    with pytest.raises(Stale, match=f"{A}: stack was web and is now other"):
        rig.server.execute(Change(action, "host", A, {"stack": "web"}, after))
    assert rig.asked() == ["hosts 1"]
    assert rig.egi.hosts[A].ipv4 == "192.0.2.1"


def test_one_look_serves_many_changes_until_it_is_old(rig: Rig) -> None:
    for name in (A, B, C):
        rig.server.execute(Change(Action.CREATE, "host", name, after=FULL))
    rig.now += 0.1
    rig.asked()
    for name in (A, B):
        rig.server.execute(Change(Action.ROTATE, "host", name))
    assert rig.asked() == ["generate_secret 2", "hosts 1"]
    rig.later()
    rig.server.execute(Change(Action.DELETE, "host", C))
    assert rig.asked() == ["hosts 1", "unregister 1"]


def test_many_go_one_after_the_other(rig: Rig) -> None:
    first, second = rig.server.execute_many([CREATE, CREATE], "key")
    assert isinstance(first, Done)
    assert isinstance(second, Refused)


def test_domains_and_checking_secrets_are_beyond_it(rig: Rig) -> None:
    with pytest.raises(NotSupported, match="cannot change domains"):
        rig.server.execute(Change(Action.CREATE, "domain", D))
    with pytest.raises(NotSupported, match="cannot check whether a secret is valid"):
        rig.server.valid(A, "s")
    with pytest.raises(NotSupported, match="EGI Dynamic DNS cannot create enrolment tokens"):
        rig.server.enrolment(A, 600)
    assert rig.asked() == []


def test_words_of_refusal_are_explained(rig: Rig) -> None:
    with pytest.raises(Refused, match="nxdomain: there is no such domain, or you may not use it"):
        rig.server.execute(Change(Action.CREATE, "host", "a.unknown.example.org", after=BOTH))
    with pytest.raises(Unauthorized, match="DDNS_TOKEN"):
        EgiServer(HttpTransport(rig.egi.url, "mistyped")).registered()


def test_pages_that_are_no_api() -> None:
    for _ in range(2):
        script = Scripted().expect("GET /nic/domains", b"<html>maintenance</html>")
        with pytest.raises(ServerError, match=r"answered 200 \(text/html\): this is not EGI's API"):
            EgiServer(script).registered()
        script.done()


# ---- faults


@pytest.mark.parametrize(
    ("faults", "asked"),
    [
        ([Fault.LOSE_AFTER], ["generate_secret 1", "hosts 2", "register 1", "update 1"]),
        ([Fault.LOSE_BEFORE], ["hosts 2", "register 2", "update 1"]),
        ([Fault.ERROR_AFTER], ["generate_secret 1", "hosts 2", "register 1", "update 1"]),
        ([Fault.LOSE_BEFORE, Fault.LOSE_AFTER], ["generate_secret 1", "hosts 3", "register 2", "update 1"]),
    ],
)
def test_a_registration_whose_answer_is_lost(rig: Rig, faults: list[Fault], asked: list[str]) -> None:
    rig.egi.fail("register", *faults)
    assert rig.server.execute(CREATE) == Done("applied", rig.egi.hosts[A].secret)
    assert rig.asked() == asked


def test_it_is_not_tried_forever(rig: Rig) -> None:
    rig.egi.fail("register", *[Fault.LOSE_BEFORE] * 5)
    with pytest.raises(ServerError, match="no answer"):
        rig.server.execute(CREATE)
    assert rig.asked() == ["hosts 4", "register 3"]


def test_a_look_that_fails_leaves_it_open_whether_it_was_done() -> None:
    script = Scripted().expect("GET /nic/hosts", {"status": "ok", "hosts": []})
    script.expect(f"GET /nic/register?fqdn={A}&wildcard=false&ip=192.0.2.1", LostAnswer("lost"))
    script.expect("GET /nic/hosts", Unreachable("refused"))
    with pytest.raises(LostAnswer, match="lost"):
        EgiServer(script).execute(Change(Action.CREATE, "host", A, after={"ipv4": "192.0.2.1"}))
    script.done()


@pytest.mark.parametrize("fault", [Fault.ERROR, Fault.NAME_SERVER])
def test_an_error_of_the_servers_own_is_looked_at_and_not_tried_again(rig: Rig, fault: Fault) -> None:
    rig.egi.fail("register", fault)
    with pytest.raises(Refused) as raised:
        rig.server.execute(CREATE)
    assert raised.value.status in (500, 502)
    assert rig.asked() == ["hosts 2", "register 1"]
    assert rig.egi.hosts == {}


def test_somebody_else_was_faster_while_the_answer_was_lost(rig: Rig) -> None:
    def faster(number: int) -> None:
        if number == 2:
            EgiServer(rig.transport.inner).execute(Change(Action.CREATE, "host", A, after={"ipv4": "192.0.2.7"}))

    rig.egi.fail("register", Fault.LOSE_BEFORE)
    rig.transport.before = faster
    with pytest.raises(Refused, match=f"{A} is now registered with other values"):
        rig.server.execute(CREATE)
    assert rig.egi.hosts[A].ipv4 == "192.0.2.7"


def test_a_first_try_that_arrives_late_is_found(rig: Rig) -> None:
    """The look shows nothing yet, and the second try is told that the name is taken."""

    def late(number: int) -> None:
        if number == 2:
            EgiServer(rig.transport.inner).execute(CREATE)

    rig.egi.fail("register", Fault.LOSE_BEFORE)
    rig.transport.before = late
    assert rig.server.execute(CREATE) == Done("applied", rig.egi.hosts[A].secret)


def test_a_second_address_that_fails_leaves_a_host_with_its_secret(rig: Rig) -> None:
    rig.egi.fail("update", Fault.NAME_SERVER)
    done = rig.server.execute(CREATE)
    assert (done.status, done.secret) == ("failed", rig.egi.hosts[A].secret)
    assert (
        done.error
        == f"registered, but only with 192.0.2.1: {A}: 911: the server's name server does not answer; try again later"
    )


@pytest.mark.parametrize(
    ("fault", "status", "asked"),
    [
        (Fault.LOSE_AFTER, "pending", ["hosts 2", "update 1"]),
        (Fault.LOSE_BEFORE, "applied", ["hosts 2", "update 2"]),
    ],
)
def test_an_update_whose_answer_is_lost(rig: Rig, fault: Fault, status: str, asked: list[str]) -> None:
    create(rig)
    rig.egi.fail("update", fault)
    assert rig.server.execute(update(ipv4="192.0.2.2")) == Done(status)
    assert rig.asked() == asked
    assert rig.egi.hosts[A].ipv4 == "192.0.2.2"


@pytest.mark.parametrize(
    ("fault", "asked"),
    [(Fault.LOSE_AFTER, ["hosts 2", "unregister 1"]), (Fault.LOSE_BEFORE, ["hosts 2", "unregister 2"])],
)
def test_a_deletion_whose_answer_is_lost(rig: Rig, fault: Fault, asked: list[str]) -> None:
    create(rig)
    rig.egi.fail("unregister", fault)
    assert rig.server.execute(Change(Action.DELETE, "host", A)) == Done("applied")
    assert rig.asked() == asked
    assert rig.egi.hosts == {}


@pytest.mark.parametrize("fault", [Fault.LOSE_AFTER, Fault.LOSE_BEFORE])
def test_a_rotation_whose_answer_is_lost(rig: Rig, fault: Fault) -> None:
    create(rig)
    rig.egi.fail("generate_secret", fault)
    assert rig.server.execute(Change(Action.ROTATE, "host", A)) == Done("applied", rig.egi.hosts[A].secret)
    assert rig.asked() == ["generate_secret 2", "hosts 2"]


def test_a_replacement_that_breaks_off_says_what_is_left(rig: Rig) -> None:
    create(rig)
    rig.egi.fail("register", Fault.NAME_SERVER)
    with pytest.raises(ServerError, match="deleted, but not registered again; the next run registers it"):
        rig.server.execute(replacement(comment="x"))
    assert rig.egi.hosts == {}


def test_a_move_that_breaks_off_has_both_names_and_the_new_secret(rig: Rig) -> None:
    create(rig)
    rig.egi.fail("unregister", Fault.ERROR)
    done = rig.server.execute(Change(Action.MOVE, "host", B, FULL, FULL, A, reason="it does not rename"))
    assert (done.status, done.secret) == ("failed", rig.egi.hosts[B].secret)
    assert done.error.startswith(f"the old name {A} is still registered")
    assert sorted(rig.egi.hosts) == [A, B]


def test_a_token_that_expires_in_between(rig: Rig) -> None:
    create(rig)
    rig.egi.fail("update", Fault.UNAUTHORIZED)
    with pytest.raises(Unauthorized):
        rig.server.execute(update(ipv4="192.0.2.2"))
    assert rig.asked() == ["hosts 1", "update 1"]
