# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m ddnsctl.docs [FOLDER]`: writes a page for each command, from its help."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from ddnsctl.cli import COMMANDS, group

FOLDER = Path("docs/ddnsctl")
NOTE = "<!-- Made by python -m ddnsctl.docs from the commands' help. Do not edit. -->"


def pages() -> Iterator[tuple[str, str]]:
    """File name and text of each page."""
    names = group.context_settings["help_option_names"]
    context = click.Context(
        group, info_name="ddnsctl", terminal_width=100, max_content_width=100, help_option_names=names
    )
    listed = []
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, context, info_name=name, terminal_width=100, max_content_width=100)
        yield f"{name}.md", _page(f"ddnsctl {name}", command.get_help(inner))
        summary = inspect.cleandoc(command.help or "").partition("\n\n")[0].replace("\n", " ")
        listed.append(f"- [{name}]({name}.md): {summary}")
    yield "README.md", _page("ddnsctl", group.get_help(context)) + "\n" + "\n".join(listed) + "\n"


def _page(title: str, text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"{NOTE}\n# {title}\n\n```text\n{lines}\n```\n"


def write(folder: Path) -> None:
    """Write all pages, and delete pages of commands that do not exist. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    made = dict(pages())
    for old in folder.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
