# SPDX-License-Identifier: GPL-3.0-or-later
"""A progress bar for many changes, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

FEW = 20
"""No bar appears for up to this many changes."""


@contextmanager
def shown(total: int, what: str = "Applying") -> Iterator[Callable[[], None]]:
    """Show a bar. Yields a function to call after each of `total` steps."""
    if total <= FEW or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
