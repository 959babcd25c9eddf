# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a large JSON document in parts: the caller enters objects and lists, and gets the values inside one by one."""

import json
from collections.abc import Iterator
from json.decoder import JSONDecodeError
from typing import IO, Any

PART = 64 * 1024
"""Characters that are read at once, at least."""

LARGEST = 16 * 1024 * 1024
"""Characters of one value. It also limits what is read to find the end of a broken one."""

BLANK = " \t\n\r"


class JsonReader:
    """A position in a document. All methods raise ValueError where the text is not JSON, or not what is asked for."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._text, self._at, self._ended = file, "", 0, False
        self._decode = json.JSONDecoder().raw_decode

    def members(self) -> Iterator[str]:
        """The names in an object. The caller reads the value of each before the next one."""
        for _ in self._items("{", "}"):
            name = self.value()
            if not isinstance(name, str):
                raise ValueError(f"a name is missing before {name!r:.40}")
            self._expect(":")
            yield name

    def elements(self) -> Iterator[Any]:
        """The values in a list."""
        for _ in self._items("[", "]"):
            yield self.value()

    def value(self) -> Any:
        """The next value as a whole."""
        self._next()
        while True:
            try:
                found, end = self._decode(self._text, self._at)
            except JSONDecodeError:
                if not self._more():
                    raise
                continue
            if end < len(self._text) or not self._more():  # a number may go on
                self._at = end
                return found

    def end(self) -> None:
        """The end of the document."""
        if rest := self._next():
            raise ValueError(f"text after the end: {rest!r}")

    def _items(self, first: str, last: str) -> Iterator[None]:
        self._expect(first)
        if self._next() == last:
            self._at += 1
            return
        while True:
            yield
            mark = self._next()
            self._at += 1
            if mark == last:
                return
            if mark != ",":
                raise ValueError(f"{mark!r} instead of ',' or {last!r}")

    def _expect(self, mark: str) -> None:
        found = self._next()
        if found != mark:
            raise ValueError(f"{found!r} instead of {mark!r}")
        self._at += 1

    def _next(self) -> str:
        """The next character that is not blank, which is not taken; empty at the end."""
        while True:
            while self._at < len(self._text):
                if (found := self._text[self._at]) not in BLANK:
                    return found
                self._at += 1
            if not self._more():
                return ""

    def _more(self) -> bool:
        """Read more text; False at the end."""
        rest = self._text[self._at :]
        if len(rest) > LARGEST:
            raise ValueError("a value is not complete")
        part = "" if self._ended else self._file.read(max(PART, len(rest)))
        self._text, self._at, self._ended = rest + part, 0, not part
        return bool(part)
