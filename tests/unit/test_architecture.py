# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/architecture.md agrees with the contracts of import-linter, and names files that exist."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src" / "ddnsd"
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text()
CONTRACTS: list[dict[str, Any]] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
SERVICE = "ddnsd."
TOP_ROOM = "web"
"""From this room downwards the diagram has every room."""


class Layer(NamedTuple):
    """Modules of one height; where they are `independent`, none imports another."""

    names: frozenset[str]
    independent: bool


def layers() -> list[Layer]:
    """The rooms by height, the highest first."""
    (contract,) = [contract for contract in CONTRACTS if contract["type"] == "layers"]
    found = []
    for text in contract["layers"]:
        names = frozenset(name.strip(" ()").removeprefix(SERVICE) for name in re.split(r"[|:]", text))
        found.append(Layer(names, ":" not in text))
    return found


def diagram() -> str:
    """The Mermaid block of the page."""
    (block,) = re.findall(r"^```mermaid\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(block)


def edges(subgraph: str | None = None) -> Iterator[tuple[str, str]]:
    """The solid arrows, from importer to imported; those of a subgraph or of all."""
    text = diagram()
    if subgraph is not None:
        (text,) = re.findall(rf"^  subgraph {subgraph} .*?\n(.+?)^  end$", text, re.MULTILINE | re.DOTALL)
    yield from re.findall(r"^ *(\w+)(?:\[.*?\])? --> (\w+)", text, re.MULTILINE)


def heights() -> dict[str, int]:
    """How far from the top each room is."""
    return {name: height for height, layer in enumerate(layers()) for name in layer.names}


@pytest.mark.parametrize("edge", list(edges("ddnsd")), ids=" → ".join)
def test_an_arrow_is_an_import_that_the_contracts_allow(edge: tuple[str, str]) -> None:
    importer, imported = edge
    height = heights()
    assert importer in height, f"no layer of pyproject.toml is ddnsd.{importer}"
    assert imported in height, f"no layer of pyproject.toml is ddnsd.{imported}"
    assert height[importer] <= height[imported], "imports run downwards only"
    if height[importer] == height[imported]:
        assert not layers()[height[importer]].independent, "these rooms are independent"
    for contract in CONTRACTS:
        if contract["type"] == "forbidden" and SERVICE + importer in contract["source_modules"]:
            assert SERVICE + imported not in contract["forbidden_modules"], contract["name"]


def test_every_room_is_drawn() -> None:
    drawn = {name for edge in edges("ddnsd") for name in edge}
    height = heights()
    assert {name for name, level in height.items() if level >= height[TOP_ROOM]} <= drawn
    assert {"cli", "operations", "app", "server"} <= drawn


def test_the_service_and_the_tool_import_nothing_of_each_other() -> None:
    inside = {name for edge in edges("ddnsd") for name in edge}
    outside = {name for edge in edges("clients") for name in edge}
    assert not inside & outside
    assert set(edges()) == {*edges("ddnsd"), *edges("clients")}, "a solid arrow joins the service and the tool"


# ---- files


def named(pattern: str) -> list[str]:
    """The paths in code marks that look like this."""
    return sorted(set(re.findall(rf"`({pattern})`", PAGE)))


@pytest.mark.parametrize("name", named(r"(?:web|auth|registry|dns|db|operations|cli)/[\w/]+(?:\.py)?"))
def test_a_module_of_the_service_is_there(name: str) -> None:
    assert (SOURCE / name).exists()


@pytest.mark.parametrize("name", named(r"_sync/\w+\.py"))
def test_a_module_of_the_engine_is_there(name: str) -> None:
    assert (REPOSITORY / "plugins" / "module_utils" / name).exists()
