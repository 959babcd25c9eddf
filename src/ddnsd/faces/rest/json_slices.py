# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a large JSON text value by value: what is built at once, and how long it takes, depends on no sender.

`json.loads` builds all of a text before anybody can look: 16 MiB of `[]` are five million lists and a gigabyte, and
no other thread runs meanwhile. Here a slice of the text is decoded at a time, and no value is longer than `VALUE`.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

SLICE = 16 * 1024
"""Octets that are decoded at once, unless a value is longer."""

VALUE = 128 * 1024
"""Characters of one value at most; the largest change that is none too large takes half of it, all of it escaped."""


_BLANKS = re.compile(r"[ \t\n\r]*")


class NotJson(ValueError):
    """the text is not JSON"""


class Repeated(NotJson):
    """an object has a member twice"""


class TooLong(ValueError):
    """a value is too long"""


class Reader:
    """A position in the text, which moves on with each call. Each call raises NotJson, TooLong."""

    def __init__(self, octets: bytes) -> None:
        self._octets, self._next = octets, 0
        self._text, self._at = "", 0
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder(object_pairs_hook=members)

    def begins(self, character: str) -> bool:
        """Whether this character comes next; if so it is read."""
        found = self._peek() == character
        self._at += found
        return found

    def expect(self, character: str) -> None:
        """Read this character."""
        if not self.begins(character):
            raise NotJson

    def end(self) -> None:
        """Nothing may come any more."""
        if self._peek():
            raise NotJson

    def value(self) -> Any:
        """The next value."""
        self._peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except Repeated:
                raise
            except (ValueError, RecursionError):
                end = -1
            # what ends where the slice ends may go on in the next one, as numbers do
            if 0 <= end < len(self._text) or (end >= 0 and self._is_last()):
                self._at = end
                return value
            if self._is_last():
                raise NotJson
            if len(self._text) - self._at > VALUE:
                raise TooLong
            self._more()

    def items(self) -> Iterator[Any]:
        """The values of an array whose bracket has been read."""
        if self.begins("]"):
            return
        while True:
            yield self.value()
            if not self.begins(","):
                break
        self.expect("]")

    def names(self) -> Iterator[str]:
        """The names of an object whose brace has been read; the caller reads each one's value."""
        if self.begins("}"):
            return
        while True:
            if self._peek() != '"':
                raise NotJson
            name = self.value()
            self.expect(":")
            yield name
            if not self.begins(","):
                break
        self.expect("}")

    def _peek(self) -> str:
        """The next character that is no blank, "" at the end."""
        while True:
            if match := _BLANKS.match(self._text, self._at):
                self._at = match.end()
            if self._at < len(self._text) or self._is_last():
                return self._text[self._at : self._at + 1]
            self._more()

    def _is_last(self) -> bool:
        return self._next >= len(self._octets)

    def _more(self) -> None:
        octets = max(SLICE, len(self._text) - self._at)  # doubled: a long value is not tried at each slice's end
        part = self._octets[self._next : self._next + octets]
        self._next += len(part)
        try:
            decoded = self._utf8.decode(part, final=self._is_last())
        except UnicodeDecodeError:
            raise NotJson from None
        self._text, self._at = self._text[self._at :] + decoded, 0


def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Raises Repeated."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Repeated
    return found
