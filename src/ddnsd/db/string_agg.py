# SPDX-License-Identifier: GPL-3.0-or-later
"""`Lines(column)`: the values of a group as lines of one text, on both databases; NULL when there are none."""

from typing import Any

from sqlalchemy import Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class Lines(FunctionElement[str]):
    """An aggregate of text."""

    type = Text()
    inherit_cache = True


@compiles(Lines)
def _sqlite(element: Lines, compiler: SQLCompiler, **options: Any) -> str:
    return f"group_concat({compiler.process(element.clauses, **options)}, char(10))"


@compiles(Lines, "postgresql")
def _postgresql(element: Lines, compiler: SQLCompiler, **options: Any) -> str:
    return f"string_agg({compiler.process(element.clauses, **options)}, chr(10))"
