# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server is asked about a plan, and what becomes of its answers."""

from dataclasses import replace

import pytest
from support.clients.transport import Scripted

from ddnsctl.sync import dry_run, rest
from ddnsctl.sync.changes import Action, Change
from ddnsctl.sync.egi import EgiServer
from ddnsctl.sync.errors import Location, LostAnswer, NotApplicable, Problem
from ddnsctl.sync.model import HostSpec
from ddnsctl.sync.plan import Plan
from ddnsctl.sync.rest import RestServer

DRY = "POST /api/changes?dry_run=1"
ME = "GET /api/users/me"
OLD, NEW = "old.dyn.example.org", "new.dyn.example.org"
DELETE = Change(Action.DELETE, "host", OLD, {"stack": "web"})
CREATE = Change(Action.CREATE, "host", NEW, after={"ipv4": "192.0.2.1"})
PLAN = Plan((DELETE, CREATE))
SPECS = {NEW: HostSpec(NEW, where=Location("f.yml", 3, 1))}
GONE = {"fqdn": OLD, "status": "applied", "removes": [{"fqdn": OLD, "type": "MX"}]}


def failed(name: str, status: int) -> dict[str, object]:
    return {"fqdn": name, "status": "failed", "error": {"status": status, "title": "No", "detail": "No."}}


def server(script: Scripted) -> RestServer:
    return RestServer(script, pause=lambda _: None)


def test_refusals_and_what_goes_with_deletions() -> None:
    script = Scripted().expect(ME, {"name": "ann"}).expect(DRY, {"results": [GONE, failed(NEW, 409)]})
    found = dry_run.asked(PLAN, server(script), SPECS)
    assert found.changes == (replace(DELETE, removes=(f"MX {OLD}",)), CREATE)
    assert found.refusals == (Problem(f"create {NEW}: No.", SPECS[NEW].where),)
    with pytest.raises(NotApplicable) as raised:
        dry_run.require(found, [Problem("and a file")])
    assert [problem.text for problem in raised.value.problems] == [f"create {NEW}: No.", "and a file"]
    assert len(raised.value.plan.refusals) == 2
    dry_run.require(PLAN)
    script.done()


def test_a_server_that_cannot_tell_now_gives_a_note() -> None:
    script = Scripted().expect(ME, {"name": "ann"}).expect(DRY, {"results": [GONE, failed(NEW, 503)]})
    found = dry_run.asked(PLAN, server(script))
    assert (found.refusals, [note.text for note in found.notes]) == ((), [f"create {NEW}: No."])
    script = Scripted().expect(ME, {"name": "ann"})
    for _ in range(len(rest.PAUSES) + 1):
        script.expect(DRY, LostAnswer("nothing came"))
    found = dry_run.asked(PLAN, server(script))
    assert found.changes == PLAN.changes
    assert found.notes[0].text.startswith("the server could not check the changes: nothing came")


def test_a_server_that_cannot_tell_is_not_asked() -> None:
    assert dry_run.asked(PLAN, EgiServer(Scripted())) == PLAN
    assert dry_run.asked(PLAN, RestServer(Scripted(), features=["rename"])) == PLAN
    assert dry_run.asked(Plan(), server(Scripted())) == Plan()


def test_names_in_a_new_domain_are_not_asked_about() -> None:
    plan = Plan((Change(Action.CREATE, "domain", "dyn.example.org"), CREATE))
    assert dry_run.asked(plan, server(Scripted())) == plan


def test_names_that_an_earlier_dry_run_frees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "BULK", 1)
    again = Change(Action.CREATE, "host", OLD, after={})
    script = Scripted().expect(ME, {"name": "ann"}).expect(DRY, {"results": [GONE]})
    script.expect(DRY, {"results": [failed(OLD, 409)]}).expect(DRY, {"results": [failed(NEW, 409)]})
    found = dry_run.asked(Plan((DELETE, again, CREATE)), server(script))
    assert [problem.text for problem in found.refusals] == [f"create {NEW}: No."]
    assert found.changes[0].removes == (f"MX {OLD}",)


def test_records_that_a_reviewed_plan_does_not_list() -> None:
    reviewed = Plan((replace(DELETE, removes=("MX a", "TXT b")),))
    assert dry_run.grown(reviewed, Plan((replace(DELETE, removes=("MX a",)),))) == []
    (problem,) = dry_run.grown(reviewed, Plan((replace(DELETE, removes=("TLSA c", "MX a")),)))
    assert problem.text == f"{OLD}: the deletion would also remove TLSA c, which the plan does not list"
