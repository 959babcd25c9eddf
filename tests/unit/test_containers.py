# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of containers/ agree with each other and with the role; `make containers` runs them."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "containers"
CONTAINERFILE = (FOLDER / "Containerfile").read_text()
STAGES: dict[str, str] = dict(re.findall(r"(?ms)^FROM \S+ AS (\w+)\n(.*?)(?=^FROM |\Z)", CONTAINERFILE))
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
IMAGES = sorted(STAGES.keys() - {"build"})


def test_each_image_has_the_same_base() -> None:
    assert set(re.findall(r"(?m)^FROM (\S+)", CONTAINERFILE)) == {"docker.io/library/debian:trixie-slim"}


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_number_that_is_not_root(image: str) -> None:
    (user,) = re.findall(r"(?m)^USER (\d+):\d+$", STAGES[image])
    assert int(user) > 0


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_copies_only_what_the_context_has(image: str) -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    kept = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    for source in re.findall(r"(?m)^COPY (?!--from)(.*) \S+$", STAGES["build"] + STAGES[image]):
        for path in source.split():
            assert (REPOSITORY / path).exists()
            assert any(path == entry or path.startswith(f"{entry}/") or entry.startswith(f"{path}/") for entry in kept)


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_a_service_is_closed_healthy_and_has_an_image(service: str) -> None:
    described = COMPOSE["services"][service]
    assert (described["read_only"], described["cap_drop"]) == (True, ["ALL"])
    assert described["security_opt"] == ["no-new-privileges"]
    image = described["image"].removeprefix("localhost/fedcloud-ddns/")
    assert "\nHEALTHCHECK " in STAGES[image]
    for volume in described["volumes"]:
        name = volume.partition(":")[0]
        assert name in COMPOSE["volumes"] or (FOLDER / name).is_dir()
    for network in described.get("networks", ()):
        assert network in COMPOSE["networks"]


def test_the_service_believes_only_the_proxy() -> None:
    services = COMPOSE["services"]
    address = services["front"]["networks"]["front"]["ipv4_address"]
    assert services["ddnsd"]["environment"]["DDNSD_TRUSTED_PROXIES"] == address


def test_the_example_has_every_variable() -> None:
    used = set(re.findall(r"\$\{(\w+)", (FOLDER / "compose.yaml").read_text()))
    assert set(re.findall(r"(?m)^#?(\w+)=", (FOLDER / "env.example").read_text())) == used


def test_no_file_names_an_index_or_a_secret() -> None:
    for file in FOLDER.rglob("*"):
        if file.is_file():
            assert not re.search(r"(?i)https?://(?!127\.0\.0\.1|:|\$|\{)|password\s*[:=]\s*\w", file.read_text()), file


def test_scripts_are_correct_and_executable() -> None:
    scripts = [*FOLDER.glob("*/*-start"), REPOSITORY / "scripts" / "containers"]
    assert len(scripts) == 5
    for script in scripts:
        assert script.stat().st_mode & 0o111
        subprocess.run(["sh", "-n", script], check=True)


def test_the_proxy_is_the_roles() -> None:
    command = [sys.executable, str(REPOSITORY / "scripts" / "container-front")]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (FOLDER / "front" / "Caddyfile").read_text() == made, (
        "run .venv/bin/python scripts/container-front >containers/front/Caddyfile"
    )
