# SPDX-License-Identifier: GPL-3.0-or-later
"""§4: `/healthz`, `/readyz`, `/metrics`."""

import re
import time

import pytest
from parts.dyndns import GIVEN, Host, said
from parts.faults import hung
from parts.ports import wait_until
from parts.service import Service

SAMPLE = re.compile(r'[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_][a-zA-Z0-9_]*="[^\n]*"\})? [-+0-9.eEInfNa]+( \d+)?')


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_probes_answer_200_without_credentials(service: Service, path: str) -> None:
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


def test_readyz_is_503_within_5_s_of_a_primary_hanging_and_says_what_fails(fragile: Service) -> None:
    wait_until(lambda: fragile.get("/readyz").status_code == 200, 20, "ready")
    with hung(fragile.named_pid()):
        began = time.monotonic()
        wait_until(lambda: fragile.get("/readyz").status_code == 503, 7, "not ready")
        assert time.monotonic() - began < 7
        text = fragile.get("/readyz").text
        assert fragile.domain in text or f":{fragile.dns_port}" in text
        assert fragile.get("/healthz").status_code == 200
        assert fragile.get("/metrics").status_code == 200
    wait_until(lambda: fragile.get("/readyz").status_code == 200, 20, "ready again")
