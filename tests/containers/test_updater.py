# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of the updater, with podman alone."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clients.programs import private_file
from support.containers import inspect, podman
from support.ports import wait_until
from support.servers.http_stub import Asked, Web, web

CONTAINER = "updater"
UPDATER = 10057


@pytest.fixture
def server() -> Iterator[Web]:
    def answer(asked: Asked) -> str:
        return "203.0.113.7" if asked.path == "/myip" else "good"

    with web(answer) as running:
        yield running


def test_it_sends_and_ends_in_time(tmp_path: Path, server: Web) -> None:
    secret = private_file(tmp_path / "secret", "the-secret")
    config = tmp_path / "conf"
    config.write_text(f"[vm.example.org]\nserver = {server.url}\nsources = server\nsecret_file = /secret\nipv6 = no\n")
    for file in (secret, config):
        os.chown(file, UPDATER, UPDATER)
    options = ["--detach", "--pull=never", "--name", CONTAINER, "--network=host", "--read-only", "--cap-drop=ALL"]
    options += ["--volume", f"{secret}:/secret:ro", "--volume", f"{config}:/etc/ddns-update.conf:ro"]
    options += ["--volume", "updater:/var/lib/ddns-update"]
    podman("run", *options, "localhost/fedcloud-ddns/updater")
    try:
        wait_until(lambda: "updated: 203.0.113.7" in podman("logs", CONTAINER, check=False), 60, "the first update")
        assert podman("exec", CONTAINER, "ddns-update").strip() == "vm.example.org: current: 203.0.113.7"
        assert [asked.basic for asked in server.asked if asked.path == "/nic/update"] == ["vm.example.org:the-secret"]
        assert podman("exec", CONTAINER, "id", "-u").strip() == str(UPDATER)
        podman("stop", CONTAINER)
        assert inspect(CONTAINER)["State"]["ExitCode"] == 143
        podman("start", CONTAINER)
        wait_until(lambda: "current: 203.0.113.7" in podman("logs", CONTAINER, check=False), 60, "the kept state")
    finally:
        podman("rm", "--force", "--time=0", "--volumes", CONTAINER)
