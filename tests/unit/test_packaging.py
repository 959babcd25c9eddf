# SPDX-License-Identifier: GPL-3.0-or-later
"""What is published: metadata, dependencies, locks, and the modules' documentation."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from support import scripts

REPOSITORY = Path(__file__).parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
GALAXY = yaml.safe_load((REPOSITORY / "galaxy.yml").read_text())
MODULES = sorted((REPOSITORY / "plugins" / "modules").glob("*.py"))
DISTRIBUTIONS = {"dns": "dnspython", "yaml": "PyYAML", "urllib3": "requests"}
"""Packages whose distribution has another name; urllib3 comes with requests."""


def names(requirements: list[str]) -> set[str]:
    """The distributions that are required, without versions and extras."""
    return {re.split(r"[\[<>=~! ]", text)[0] for text in requirements}


def imported(folder: Path) -> set[str]:
    """The distributions that the modules of a folder import, besides the standard library."""
    found = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return {DISTRIBUTIONS.get(name, name) for name in found - set(sys.stdlib_module_names) - {"ddnsctl", "ddnsd"}}


# ---- dependencies


def test_the_plain_install_has_what_ddnsctl_imports_and_no_more() -> None:
    assert names(PROJECT["dependencies"]) == imported(REPOSITORY / "src" / "ddnsctl")


def test_the_lock_has_the_newest_uvicorn_that_is_allowed() -> None:
    lock = (REPOSITORY / "requirements" / "server.txt").read_text()
    (minor,) = re.findall(r"^uvicorn==0\.(\d+)\.", lock, re.MULTILINE)
    (bound,) = [text for text in PROJECT["optional-dependencies"]["server"] if text.startswith("uvicorn")]
    assert bound.endswith(f",<0.{int(minor) + 1}"), "server.py and the HTTP protocol use uvicorn's internals"


@pytest.mark.parametrize("lock", sorted((REPOSITORY / "requirements").glob("*.*")), ids=lambda lock: lock.name)
def test_locks_name_no_index(lock: Path) -> None:
    assert "://" not in lock.read_text()


def ddnsd_without(package: str, *arguments: str, url: str = "") -> tuple[int, str, str]:
    """Run `ddnsd` as if a package were not installed."""
    code = f"import sys; sys.modules[{package!r}] = None; from ddnsd.__main__ import main; main()"
    env = {"DDNSD_DATABASE_URL": url}
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("package", ["sqlalchemy", "pydantic_settings", "structlog"])
def test_without_its_packages_the_service_names_the_extra(package: str) -> None:
    message = "ddnsd needs the server's packages: pip install 'fedcloud-ddns[server]'\n"
    assert ddnsd_without(package, "serve") == (1, "", message)


def test_an_error_in_our_own_modules_is_a_traceback() -> None:
    code, _, message = ddnsd_without("ddnsd.cli.hosts", "serve")
    assert (code, "ddnsd.cli.hosts" in message, "pip install" in message) == (1, True, False)


@pytest.mark.parametrize("command", [("serve",), ("db", "upgrade"), ("domain", "list"), ("doctor",)])
def test_without_its_driver_postgresql_names_the_extra(command: tuple[str, ...]) -> None:
    code, printed, message = ddnsd_without("asyncpg", *command, url="postgresql://ddnsd@127.0.0.1/ddnsd")
    assert (code, printed) == (1, "")
    reason = "PostgreSQL needs one more package: pip install 'fedcloud-ddns[server,postgres]'"
    assert message == f"Error: DDNSD_DATABASE_URL: {reason}\n"


# ---- metadata


def test_both_files_of_metadata_agree() -> None:
    assert GALAXY["version"] == PROJECT["version"]
    assert GALAXY["license"] == [PROJECT["license"]]
    assert GALAXY["authors"] == [author["name"] for author in PROJECT["authors"]]
    assert GALAXY["readme"] == PROJECT["readme"]
    assert PROJECT["classifiers"] == sorted(PROJECT["classifiers"])


@pytest.fixture
def script() -> ModuleType:
    """scripts/release-metadata as a module."""
    return scripts.script("release-metadata")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with the two files that a release changes."""
    for name in ("galaxy.yml", "pyproject.toml"):
        (tmp_path / name).write_text((REPOSITORY / name).read_text())
    return tmp_path


def test_a_release_has_addresses(script: ModuleType, copy: Path) -> None:
    script.main(["--root", str(copy), "https://old.example.org/x", "--issues", "https://old.example.org/bugs"])
    script.main(["--root", str(copy), "https://git.example.org/fedcloud/ddns/"])
    base = "https://git.example.org/fedcloud/ddns"
    addresses = {"homepage": base, "repository": base, "documentation": base, "issues": f"{base}/issues"}
    assert yaml.safe_load((copy / "galaxy.yml").read_text()) == {**GALAXY, **addresses}
    urls = {name.capitalize(): address for name, address in addresses.items()}
    changed = tomllib.loads((copy / "pyproject.toml").read_text())
    assert changed["project"] == {**PROJECT, "urls": urls}
    assert "old.example.org" not in (copy / "galaxy.yml").read_text() + (copy / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    "address", ["http://git.example.org/x", "git.example.org/x", "https://", 'https://x.example/"']
)
def test_what_is_no_address_changes_nothing(copy: Path, address: str) -> None:
    command = [sys.executable, str(REPOSITORY / "scripts" / "release-metadata"), "--root", str(copy), address]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, "is not an https address" in result.stderr) == (2, True)
    assert "example" not in (copy / "pyproject.toml").read_text().replace("examples", "")


# ---- the modules' documentation


def strings(module: Path) -> dict[str, Any]:
    """DOCUMENTATION and RETURN of a module, read as YAML."""
    found: dict[str, Any] = {}
    for node in ast.parse(module.read_text()).body:
        match node:
            case ast.Assign([ast.Name("DOCUMENTATION" | "RETURN" as name)], ast.Constant(str(text))):
                found[name] = yaml.safe_load(text)
    return found


def without_sample(values: dict[str, Any], path: str = "") -> Iterator[str]:
    """The return values that show no sample, by their path."""
    for name, value in values.items():
        if "sample" not in value:
            yield f"{path}{name}"
        yield from without_sample(value.get("contains", {}), f"{path}{name}.")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_every_return_value_has_a_sample(module: Path) -> None:
    returned = strings(module)["RETURN"]
    assert list(without_sample(returned)) == []
    for value in returned.values():
        samples = value["sample"] if isinstance(value["sample"], list) else [value["sample"]]
        if known := value.get("contains"):
            assert all(set(sample) <= set(known) for sample in samples), "a sample has a value that is not described"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_the_author_is_the_project(module: Path) -> None:
    assert strings(module)["DOCUMENTATION"]["author"] == [f"{GALAXY['authors'][0]} (@fedcloud)"]
