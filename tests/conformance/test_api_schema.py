# SPDX-License-Identifier: GPL-3.0-or-later
"""The description of `/api` is complete and exact: requests made from it find no answer that it does not describe."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from support.servers.service import Service, dev

REPOSITORY = Path(__file__).parents[2]
SEED = 20
PHASES = {"sqlite": "coverage,fuzzing,stateful", "postgresql": "fuzzing,stateful"}
EXAMPLES = {"sqlite": 12, "postgresql": 4}
"""What an answer looks like is the same with each store; that it is one is to be seen with both."""

CONFIGURATION = """
hooks = "{hooks}"
seed = {seed}

[headers]
Authorization = "Bearer {token}"

[generation]
max-examples = {examples}
database = "none"

[checks]
positive_data_acceptance.expected-statuses = ["2xx", 403, 404, 409, 412, 422]
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 409, 412, 413, 415, 422]

[[operations]]
include-path = "/api/enrol"
headers = {{ Authorization = "Bearer {enrolment}" }}

[operations.checks]
positive_data_acceptance.expected-statuses = ["2xx", 401]  # its token is good for the first secret that is sent

[[operations]]
include-path = "/api/users/{{name}}/second-factor"

[operations.phases.stateful]
enabled = false  # a new user has none: 404, which would count as a user that is lost
"""


def test_requests_made_from_the_description(tmp_path: Path, store_settings: Callable[[], dict[str, str]]) -> None:
    settings = store_settings()
    with dev(tmp_path / "service", **settings) as service:
        service.register("known")
        done = _schemathesis(service, tmp_path, "postgresql" if settings else "sqlite")
        assert done.returncode == 0, done.stdout + done.stderr
        operations = sum(len(methods) for methods in service.get("/api/schema/").json()["paths"].values())
        assert f"Tested: {operations}\n" in done.stdout
        enrolled = service.get("/api/events", service.admin_token, params={"action": "host.enrol"}).json()
        assert len(enrolled["items"]) == 1
        assert "unexpected error" not in service.log.read_text()


def _schemathesis(service: Service, folder: Path, store: str) -> subprocess.CompletedProcess[str]:
    hooks = REPOSITORY / "tests" / "support" / "openapi_hooks.py"
    file = folder / "schemathesis.toml"
    made = service.request("POST", f"/api/hosts/known.{service.domain}/enrolments", service.admin_token, json={})
    tokens = {"token": service.admin_token, "enrolment": made.json()["token"]}
    file.write_text(CONFIGURATION.format(hooks=hooks, seed=SEED, examples=EXAMPLES[store], **tokens))
    program = Path(sys.executable).parent / "schemathesis"
    command: list[str | Path] = [
        program,
        "--config-file",
        file,
        "run",
        f"{service.url}/api/schema/",
        "--no-color",
        "--checks",
        "all",
    ]
    command += ["--phases", PHASES[store]]
    env = os.environ | {"HYPOTHESIS_STORAGE_DIRECTORY": str(REPOSITORY / ".hypothesis")}  # keeps tables of Unicode
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
