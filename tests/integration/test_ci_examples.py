# SPDX-License-Identifier: GPL-3.0-or-later
"""The pipelines of examples/ci: their shell steps as a runner runs them, with stand-ins for GitHub and GitLab."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.servers.service import Service, dev

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "ci"
numbers = count(1)

GH = """\
#!/bin/sh
set -eu
echo "$*" >>"$CALLS"
case "$1 $2" in
  "pr comment") while [ "$1" != --body-file ]; do shift; done; cp "$2" "$COMMENT" ;;
  "api repos/o/dns/commits/merged/pulls") echo head ;;
  "run list") echo 42 ;;
  "run download") cp "$ARTIFACT" plan.json ;;
esac
"""

DDNSCTL = """\
#!/bin/sh
case "$1" in
  apply | check) exec "$DDNSCTL" "$@" --dns "$NAME_SERVER" ;; # the test's domain has no public name server
  *) exec "$DDNSCTL" "$@" ;;
esac
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with dev(tmp_path_factory.mktemp("service") / "dir") as running:
        yield running


class Checkout:
    """A repository with a declaration in `dns`, and the programs of a runner."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service, self.folder, self.number = service, folder, next(numbers)
        self.name = f"ci{self.number}.{service.domain}"
        user = f"ci{self.number}"
        self.apply_token = service.user(user)
        self.plan_token = service.cli("token", "add", user, "--name", "plans", "--scope", "read").stdout.strip()
        (folder / "dns").mkdir()
        programs = folder / "bin"
        programs.mkdir()
        for name, text in (("gh", GH), ("ddnsctl", DDNSCTL), ("pip", "#!/bin/sh\n")):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self.env = {
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DDNSCTL": str(Path(sys.executable).parent / "ddnsctl"),
            "NAME_SERVER": f"127.0.0.1:{service.dns_port}",
            "CALLS": str(folder / "calls"),
            "COMMENT": str(folder / "comment"),
            "ARTIFACT": str(folder / "artifact"),
        }

    def declare(self, address: str) -> None:
        hosts = {self.name: {"ipv4": address}}
        content = {"version": 1, "stack": f"ci{self.number}", "hosts": hosts}
        (self.folder / "dns" / "web.yml").write_text(json.dumps(content))

    def run(self, script: str, env: dict[str, str]) -> tuple[int, str]:
        """Exit code and output of a step."""
        ended = subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=self.folder,
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return ended.returncode, ended.stdout + ended.stderr

    def keep_artifact(self) -> None:
        (self.folder / "plan.json").rename(self.folder / "artifact")


@pytest.fixture
def checkout(service: Service, tmp_path: Path) -> Checkout:
    return Checkout(service, tmp_path)


def github(checkout: Checkout, job: str) -> tuple[int, str]:
    """Run the steps of a job. As a runner does, the comment is made also after a step that failed."""
    workflow = yaml.safe_load((EXAMPLES / "github.yml").read_text())
    known = {
        "${{ secrets.DDNS_PLAN_TOKEN }}": checkout.plan_token,
        "${{ secrets.DDNS_APPLY_TOKEN }}": checkout.apply_token,
        "${{ github.token }}": "t",
        "${{ github.event.pull_request.number }}": "7",
    }
    runner = {
        "GITHUB_REPOSITORY": "o/dns",
        "GITHUB_SHA": "merged",
        "GITHUB_WORKFLOW": workflow["name"],
        "GITHUB_STEP_SUMMARY": str(checkout.folder / "summary"),
    }
    failed, said = 0, ""
    for step in workflow["jobs"][job]["steps"]:
        if "run" not in step or (failed and "cancelled()" not in step.get("if", "")):
            continue
        assert "${{" not in step["run"], "a value of a pull request would become part of a script"
        env = {name: known[value] for name, value in step.get("env", {}).items()}
        code, text = checkout.run(step["run"], workflow["env"] | runner | env | {"DDNS_SERVER": checkout.service.url})
        failed, said = failed or code, said + text
    return failed, said


def test_github(checkout: Checkout) -> None:
    checkout.declare("192.0.2.1")
    assert github(checkout, "plan") == (0, "")
    comment = (checkout.folder / "comment").read_text()
    assert comment.startswith("### Plan: 1 to add")
    assert (checkout.folder / "summary").read_text() == comment
    checkout.keep_artifact()
    checkout.declare("192.0.2.66")  # what was reviewed is applied, not what somebody pushed later
    code, said = github(checkout, "apply")
    assert (code, checkout.service.dig(checkout.name)) == (0, ["192.0.2.1"]), said
    code, said = github(checkout, "check")
    assert (code, "192.0.2.66" in said) == (2, True)
    checkout.declare("192.0.2.1")
    assert github(checkout, "check")[0] == 0


def test_github_refusals(checkout: Checkout) -> None:
    (checkout.folder / "dns" / "web.yml").write_text("version: 1\nhsots: {}\n")
    assert github(checkout, "plan")[0] == 1
    assert "dns/web.yml:2:1: hsots: unknown key" in (checkout.folder / "comment").read_text()
    checkout.declare("192.0.2.1")
    assert github(checkout, "plan")[0] == 0
    checkout.keep_artifact()
    github(checkout, "apply")
    code, said = github(checkout, "apply")
    assert code == 5, said
    (checkout.folder / "bin" / "gh").write_text("#!/bin/sh\n")  # a push without a pull request
    code, said = github(checkout, "apply")
    assert (code, "no plan was made for this change" in said) == (1, True)


class GitLab(BaseHTTPRequestHandler):
    """The calls of GitLab's API that the pipeline makes, for one merge request with the iid 7."""

    notes: list[dict[str, Any]]
    artifact: Path
    PROJECT = "/api/v4/projects/3"

    def _answer(self, content: Any, status: int = 200) -> None:
        assert self.headers["PRIVATE-TOKEN"] == "glt"
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _sent(self) -> dict[str, Any]:
        sent: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return sent

    def do_GET(self) -> None:
        if self.path.startswith(f"{self.PROJECT}/merge_requests/7/notes?"):
            self._answer(self.notes)
        elif self.path == f"{self.PROJECT}/repository/commits/merged/merge_requests":
            self._answer([{"iid": 7}])
        elif self.path == f"{self.PROJECT}/jobs/artifacts/refs%2Fmerge-requests%2F7%2Fhead/raw/plan.json?job=dns-plan":
            self._answer(self.artifact.read_bytes())
        else:
            self._answer([])

    def do_POST(self) -> None:
        assert self.path == f"{self.PROJECT}/merge_requests/7/notes"
        self.notes.append({"id": 100 + len(self.notes), **self._sent()})
        self._answer(self.notes[-1], 201)

    def do_PUT(self) -> None:
        number = int(self.path.removeprefix(f"{self.PROJECT}/merge_requests/7/notes/"))
        (note,) = (one for one in self.notes if one["id"] == number)
        note |= self._sent()
        self._answer(note)

    def log_message(self, *_args: object) -> None:
        """Nothing."""


@pytest.fixture
def gitlab_api(checkout: Checkout) -> Iterator[str]:
    GitLab.notes, GitLab.artifact = [{"id": 1, "body": "Looks good"}], checkout.folder / "artifact"
    with ThreadingHTTPServer(("127.0.0.1", 0), GitLab) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api/v4"
        server.shutdown()
        thread.join()


def gitlab(checkout: Checkout, api: str, job: str, sha: str = "merged") -> tuple[int, str]:
    """Run the script of a job, with the component's inputs filled in."""
    text = (EXAMPLES / "gitlab.yml").read_text()
    spec, _ = yaml.safe_load_all(text)
    inputs = {name: one.get("default", checkout.service.url) for name, one in spec["spec"]["inputs"].items()}
    _, jobs = yaml.safe_load_all(re.sub(r"\$\[\[ inputs\.(\w+) \]\]", lambda m: inputs[m[1]], text))
    described = jobs[job]
    base = jobs[described["extends"]]
    variables = base["variables"] | described["variables"]
    runner = {
        "CI_API_V4_URL": api,
        "CI_PROJECT_ID": "3",
        "CI_MERGE_REQUEST_IID": "7",
        "CI_COMMIT_SHA": sha,
        "DDNS_GITLAB_TOKEN": "glt",
    }
    tokens = {"$DDNS_PLAN_TOKEN": checkout.plan_token, "$DDNS_APPLY_TOKEN": checkout.apply_token}
    variables["DDNS_TOKEN"] = tokens[variables["DDNS_TOKEN"]]
    return checkout.run("\n".join([*base["before_script"], *described["script"]]), runner | variables)


def test_gitlab(checkout: Checkout, gitlab_api: str) -> None:
    checkout.declare("192.0.2.9")
    gitlab(checkout, gitlab_api, "dns-plan")
    checkout.declare("192.0.2.1")
    code, said = gitlab(checkout, gitlab_api, "dns-plan")
    assert code == 0, said
    assert [note["id"] for note in GitLab.notes] == [1, 101], "one note is kept up to date"
    assert "192.0.2.1\n" in GitLab.notes[1]["body"]
    assert "Plan: 1 to add" in GitLab.notes[1]["body"]
    checkout.keep_artifact()
    code, said = gitlab(checkout, gitlab_api, "dns-apply")
    assert (code, checkout.service.dig(checkout.name)) == (0, ["192.0.2.1"]), said
    assert gitlab(checkout, gitlab_api, "dns-check")[0] == 0
    code, said = gitlab(checkout, gitlab_api, "dns-apply", sha="pushed")
    assert (code, "no plan was made for this change" in said) == (1, True)


def test_gitlab_refusals(checkout: Checkout, gitlab_api: str) -> None:
    (checkout.folder / "dns" / "web.yml").write_text("version: 1\nhsots: {}\n")
    assert gitlab(checkout, gitlab_api, "dns-plan")[0] == 1
    assert "hsots: unknown key" in GitLab.notes[1]["body"]


@pytest.mark.parametrize("hook", ["ddnsctl-fmt", "ddnsctl-validate"])
def test_hooks_of_pre_commit(checkout: Checkout, hook: str) -> None:
    entries = {one["id"]: one["entry"] for one in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
    file = checkout.folder / "dns" / "web.yml"
    file.write_text(f"version: 1\nstack: s\nhosts:\n    {checkout.name}:   {{}}\n")
    assert checkout.run(f"{entries[hook]} dns", {})[0] == 0
    assert ("    " in file.read_text()) is (hook == "ddnsctl-validate")
    file.write_text("version: 1\nhsots: {}\n")
    code, said = checkout.run(f"{entries[hook]} dns", {})
    assert (code, "dns/web.yml:2:1" in said) == (1, True)
