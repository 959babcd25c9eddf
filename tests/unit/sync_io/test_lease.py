# SPDX-License-Identifier: GPL-3.0-or-later
"""Holding the lease of a stack: who holds it, waiting, renewing, and the lease of a run that died."""

import threading
from typing import Any

import pytest
from support.clients.transport import Scripted

from ddnsctl.sync import lease
from ddnsctl.sync.errors import Leased, LeaseLost, Unreachable
from ddnsctl.sync.rest import RestServer

PATH = "/api/stacks/web/lease"
BUSY = {"type": "urn:ddns:leased", "status": 409, "detail": "web is being applied by ci (job 1) since 3 s."}
LOST = {"type": "urn:ddns:lease-lost", "status": 409, "detail": "The lease has ended."}
NOW = lease.Turn()


def silent(_text: str) -> None:
    raise AssertionError


@pytest.mark.parametrize(
    ("environment", "job", "commit"),
    [
        ({"CI_JOB_ID": "4711", "CI_COMMIT_SHA": "abc"}, "job 4711", "abc"),
        ({"GITHUB_RUN_ID": "7", "GITHUB_SHA": "d\nef"}, "run 7", "d?ef"),
        ({"BUILD_TAG": "jenkins-a-1", "GIT_COMMIT": "a" * 300}, "build jenkins-a-1", "a" * 255),
    ],
)
def test_a_pipeline_says_which_job_it_is(environment: dict[str, str], job: str, commit: str) -> None:
    assert (lease.job(environment), lease.commit(environment)) == (job, commit)


def test_a_person_says_which_process_it_is() -> None:
    assert lease.job({}).startswith("process ")
    assert lease.commit({}) is None


def test_calls_carry_the_lease_until_it_is_given_back() -> None:
    script = Scripted().expect(f"POST {PATH}", {"id": "one"}, status=201).expect(f"DELETE {PATH}", status=204)
    server = RestServer(script)
    assert server.stacks is not None
    with lease.held(server, "web", NOW, silent):
        assert server.stacks.headers == {"Stack-Lease": "one"}
    script.done()
    assert script.asked[-1].headers["Stack-Lease"] == "one"
    assert server.stacks.headers == {}


def test_somebody_else_is_named_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "PAUSE", 0.001)
    script = Scripted().expect(f"POST {PATH}", BUSY, status=409)
    refused = pytest.raises(Leased, match=r"web is being applied by ci \(job 1\) since 3 s, so nothing .*\. Wait\.")
    with refused, lease.held(RestServer(script), "web", lease.Turn(hint="Wait."), silent):
        raise AssertionError
    script.expect(f"POST {PATH}", BUSY, status=409).expect(f"POST {PATH}", BUSY, status=409)
    script.expect(f"POST {PATH}", {"id": "one"}, status=201).expect(f"DELETE {PATH}", status=204)
    told: list[str] = []
    with lease.held(RestServer(script), "web", lease.Turn(wait=60), told.append):
        pass
    assert told == ["web is being applied by ci (job 1) since 3 s. Waiting for at most 60 seconds …"]


@pytest.mark.parametrize("ended", [False, True])
def test_the_lease_of_a_run_that_died_is_continued(ended: bool) -> None:
    script = Scripted()
    if ended:
        script.expect(f"PUT {PATH}", LOST, status=409).expect(f"POST {PATH}", {"id": "new"}, status=201)
    else:
        script.expect(f"PUT {PATH}", {"holder": "x"})
    script.expect(f"DELETE {PATH}", status=204)
    server = RestServer(script)
    assert server.stacks is not None
    with lease.held(server, "web", lease.Turn(former="old"), silent):
        assert server.stacks.lease == ("new" if ended else "old")
    script.done()


def test_a_lease_is_taken_away_only_if_somebody_has_it() -> None:
    for found, answers in (({"lease": None}, []), ({"lease": {"holder": "ci"}}, [f"DELETE {PATH}?force=true"])):
        script = Scripted().expect("GET /api/stacks/web", found)
        for line in answers:
            script.expect(line, LOST, status=409)
        script.expect(f"POST {PATH}", {"id": "one"}, status=201).expect(f"DELETE {PATH}", status=204)
        told: list[str] = []
        with lease.held(RestServer(script), "web", lease.Turn(force=True), told.append):
            pass
        assert told == (["Took the lease of web from ci."] if answers else [])
        script.done()


class Renewing:
    """Stacks whose lease ends after some renewals; the first one gets no answer."""

    def __init__(self) -> None:
        self.renewals = 0
        self.ended = threading.Event()

    def renew(self) -> None:
        self.renewals += 1
        if self.renewals == 1:
            raise Unreachable("gone")
        if self.renewals == 3:
            self.ended.set()
            raise LeaseLost(409, "lost")


def test_it_is_renewed_until_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "INTERVAL", 0.001)
    stacks: Any = Renewing()
    lease._renew(stacks, threading.Event())
    assert stacks.ended.is_set()
    assert stacks.renewals == 3


def test_a_run_ends_although_the_service_is_gone() -> None:
    script = Scripted().expect(f"POST {PATH}", {"id": "one"}, status=201)
    script.expect(f"DELETE {PATH}", Unreachable("gone"))
    with lease.held(RestServer(script), "web", NOW, silent):
        pass
    script.done()
