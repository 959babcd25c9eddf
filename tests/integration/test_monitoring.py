# SPDX-License-Identifier: GPL-3.0-or-later
"""The alerts and the dashboard that we ship, with the Prometheus of the distribution and a real service."""

import json
import re
import runpy
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from support.ports import free_port, wait_until
from support.servers.faults import hung
from support.servers.second_bind import second_bind
from support.servers.service import Service, dev
from support.servers.tls import issue, serving

REPOSITORY = Path(__file__).parents[2]
KIT = REPOSITORY / "examples" / "monitoring"
RULES = KIT / "ddnsd.rules.yml"
DASHBOARD = KIT / "grafana-dashboard.json"
CASES = REPOSITORY / "tests" / "support" / "monitoring" / "rules.test.yml"

METRIC = re.compile(r"\b(?:ddnsd|process)_[a-z_]+\b")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return found


def expressions() -> list[str]:
    """All expressions of rules and dashboard, with values for Grafana's variables."""
    shown = [target["expr"] for panel in panels() for target in panel.get("targets", ())]
    given = [one.replace("$__rate_interval", "5m").replace("$instance", ".*") for one in shown]
    return [rule["expr"] for rule in rules()] + given


def promtool(*words: str | Path) -> str:
    done = subprocess.run(["promtool", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_valid() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", RULES)


def test_each_alert_fires_for_its_fault_and_none_otherwise(tmp_path: Path) -> None:
    names = sorted(rule["alert"] for rule in rules())
    every = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in names]
    file = tmp_path / "rules.test.yml"
    file.write_text(CASES.read_text().replace("RULES", str(RULES)).replace("EVERY", json.dumps(every)))
    assert "SUCCESS" in promtool("test", "rules", file)


def test_every_alert_tells_a_cause_and_a_page_that_helps() -> None:
    for rule in rules():
        told = rule["annotations"]
        assert told["summary"]
        assert told["description"]
        page, _, anchor = told["runbook"].partition("#")
        titles = re.findall(r"^#+ (.+)$", (REPOSITORY / page).read_text(), re.MULTILINE)
        assert anchor in {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}, told[
            "runbook"
        ]


def test_the_dashboard_is_what_its_generator_prints() -> None:
    command = "scripts/grafana-dashboard >examples/monitoring/grafana-dashboard.json"
    printed = json.dumps(runpy.run_path(str(REPOSITORY / "scripts" / "grafana-dashboard"))["dashboard"](), indent=1)
    assert DASHBOARD.read_text() == printed + "\n", f"run: {command}"


def test_the_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_prometheus_accepts_every_expression(tmp_path: Path) -> None:
    file = tmp_path / "all.yml"
    records = [{"record": f"n{number}", "expr": one} for number, one in enumerate(expressions())]
    file.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": records}]}))
    promtool("check", "rules", file)


# ---- a real service


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with all that has metrics: a secondary, a certificate, a backup, a signed zone."""
    folder = tmp_path_factory.mktemp("complete")
    report = folder / "report.json"
    moment = int(time.time())
    report.write_text(json.dumps({"finished": moment, "problem": "", "succeeded": moment, "size": 4711}))
    pair = issue("127.0.0.1")
    with serving(*pair.write(folder)) as port, second_bind(folder / "bind") as bind:
        settings = {"secondaries": bind.address, "tls_front": f"127.0.0.1:{port}", "backup_report": str(report)}
        with dev(folder / "service", **settings) as service:
            service.cli("domain", "set", service.domain, "--dnssec-policy", "default")
            secret = service.register("a", ip="192.0.2.1")
            auth = (f"a.{service.domain}", secret)
            assert service.get("/nic/update", auth=auth, params={"myip": "192.0.2.2"}).text == "good 192.0.2.2"
            assert service.get("/nic/update", auth=(auth[0], "wrong")).text == "badauth"
            assert requests.get(f"{service.url}/myip", headers={"x": "y" * 20_000}, timeout=20).status_code == 431
            yield service


def test_every_metric_that_rules_and_dashboard_use_is_there(complete: Service) -> None:
    used = {name for expression in expressions() for name in METRIC.findall(expression)}

    def missing() -> set[str]:
        lines = complete.get("/metrics").text.splitlines()
        return used - {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}

    wait_until(lambda: not missing(), 40, "all are there") if missing() else None
    assert missing() == set()


def test_names_and_types_follow_the_conventions(complete: Service) -> None:
    """promtool knows the rules of Prometheus for names, units and help texts."""
    shown = complete.get("/metrics").text
    done = subprocess.run(["promtool", "check", "metrics"], input=shown, capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if "ddnsd_" in line and "error while" not in line]
    assert complaints == []


# ---- a real Prometheus


@contextmanager
def prometheus(folder: Path, service: Service) -> Iterator[str]:
    """Scrapes the service, and has our rules, each second; the pauses of the rules are as short. Yields its URL."""
    quick = RULES.read_text()
    (folder / "rules.yml").write_text(re.sub(r"for: \d+m", "for: 1s", quick))
    job = {"job_name": "ddnsd", "static_configs": [{"targets": [f"127.0.0.1:{service.http_port}"]}]}
    timing = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config = {"global": timing, "rule_files": [str(folder / "rules.yml")], "scrape_configs": [job]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)
        try:
            yield f"http://{address}"
        finally:
            process.terminate()
            process.wait(20)


def firing(url: str) -> set[str]:
    try:
        found = requests.get(f"{url}/api/v1/alerts", timeout=5).json()["data"]["alerts"]
    except requests.ConnectionError:
        return set()
    return {alert["labels"]["alertname"] for alert in found if alert["state"] == "firing"}


def test_an_alert_fires_while_named_is_stopped(tmp_path: Path) -> None:
    with dev(tmp_path / "service") as service, prometheus(tmp_path, service) as url:
        service.register("a", ip="192.0.2.1")

        def answers() -> bool:
            query = requests.get(f"{url}/api/v1/query", params={"query": "ddnsd_primary_up"}, timeout=5)
            return [one["value"][1] for one in query.json()["data"]["result"]] == ["1"]

        wait_until(lambda: requests_work(url) and answers(), 60, "Prometheus has our metrics")
        wait_until(lambda: firing(url) == set(), 60, "all is well")
        with hung(service.named_pid()):
            wait_until(lambda: "DdnsdNameServerDown" in firing(url), 60, "the alert")
        wait_until(lambda: "DdnsdNameServerDown" not in firing(url), 60, "it ends")


def requests_work(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=5).status_code == 200
    except requests.ConnectionError:
        return False
