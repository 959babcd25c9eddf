# SPDX-License-Identifier: GPL-3.0-or-later
"""§4: `/healthz`, `/readyz`, `/healthz/dns`, `/metrics`."""

import re

import pytest
from support.clients.dyndns import GIVEN, Host, said
from support.ports import wait_until
from support.servers.faults import hung, locked
from support.servers.service import Service

SAMPLE = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_][a-zA-Z0-9_]*="[^\n]*"\})? [-+0-9.eEInfNa]+( \d+)?')


PATHS = ("/healthz", "/readyz", "/healthz/dns", "/metrics")


@pytest.mark.parametrize("path", PATHS)
def test_probes_answer_200_without_credentials(service: Service, path: str) -> None:
    wait_until(lambda: service.get("/healthz/dns").status_code == 200, 20, "every zone follows")
    for _ in range(2):
        answer = service.get(path)
        assert answer.status_code == 200, answer.text
        assert answer.content


def test_metrics_are_prometheus_text(service: Service, host: Host) -> None:
    said(host.update(myip=GIVEN), 200, f"nochg {GIVEN}")
    answer = service.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    lines = [line for line in answer.text.splitlines() if line]
    assert any(line.startswith("# TYPE ") for line in lines)
    for line in lines:
        assert line.startswith(("# HELP ", "# TYPE ")) or SAMPLE.fullmatch(line), line
    assert host.fqdn not in answer.text


def test_metrics_count_answers(service: Service, host: Host) -> None:
    def samples() -> list[str]:
        return [line for line in service.get("/metrics").text.splitlines() if "nochg" in line]

    before = samples()
    said(host.update(myip=GIVEN), 200, f"nochg {GIVEN}")
    said(host.update(myip=GIVEN), 200, f"nochg {GIVEN}")
    assert samples() != before


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("spelling", ["//{}", "/{}/", "/\\{}", "/%2f{}", "/%5c{}%2F"])
def test_probes_are_found_in_every_spelling(service: Service, path: str, spelling: str) -> None:
    """A front that hides them must know these too."""
    assert service.get(spelling.format(path[1:].replace("/", "%2f"))).status_code == service.get(path).status_code


def test_readyz_is_503_soon_after_a_primary_hangs_and_says_what_fails(fragile: Service) -> None:
    """Under `ddnsd dev` the embedded name server is a part of the node."""
    wait_until(lambda: fragile.get("/readyz").json()["status"] == "ok", 20, "ready")
    with hung(fragile.named_pid()):
        wait_until(lambda: fragile.get("/readyz").status_code == 503, 20, "not ready")
        answer = fragile.get("/readyz", fragile.admin_token).json()
        assert (answer["status"], answer["primary"], answer["store"]) == ("error", "error", "ok")
        assert answer["zones"][fragile.domain].startswith("unreachable: ")
        assert fragile.domain not in fragile.get("/readyz").text
        assert fragile.get("/healthz/dns").status_code == 503
        assert fragile.get("/healthz").status_code == 200
        assert fragile.get("/metrics").status_code == 200
    wait_until(lambda: fragile.get("/readyz").status_code == 200, 20, "ready again")
    wait_until(lambda: fragile.get("/healthz/dns").status_code == 200, 20, "every zone follows again")


def test_a_database_that_takes_no_write_makes_readyz_503(fragile: Service) -> None:
    wait_until(lambda: fragile.get("/readyz").status_code == 200, 20, "ready")
    with locked(fragile):
        wait_until(lambda: fragile.get("/readyz").status_code == 503, 20, "not ready")
        assert fragile.get("/readyz").json()["store"] == "error"
        assert fragile.get("/healthz").status_code == 200
    wait_until(lambda: fragile.get("/readyz").status_code == 200, 20, "ready again")
