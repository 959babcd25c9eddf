# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a large JSON text value by value: what is built at once, and how long it takes, depends on no sender.

`json.loads` builds all of a text before anybody can look: 16 MiB of `[]` are five million lists and a gigabyte, and
no other thread runs meanwhile. Here a slice of the text is decoded at a time, and no value is longer than `VALUE`.
"""

import codecs
import json
import re
import time
from collections.abc import Iterator, Sequence
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
    """A position in the text, which comes in parts, and moves on with each call. Each call raises NotJson, TooLong."""

    def __init__(self, body: Sequence[bytes]) -> None:
        self._slices = _slices(body)
        self._next = next(self._slices, None)
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
            # what ends with the text so far may go on in the next slice, as 1 and 1. do in 1.5
            if end >= 0 and (self._is_last() or self._text[end : end + 1] not in ("", ".", "e", "E")):
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
        return self._next is None

    def _more(self) -> None:
        time.sleep(0)  # other threads have their turn at once, not when they have waited for it
        parts = [self._text[self._at :]]
        octets, enough = 0, max(SLICE, len(parts[0]))  # doubled: a long value is not tried at each slice's end
        while self._next is not None and octets < enough:
            part, self._next = self._next, next(self._slices, None)
            octets += len(part)
            try:
                parts.append(self._utf8.decode(part, final=self._next is None))
            except UnicodeDecodeError:
                raise NotJson from None
        self._text, self._at = "".join(parts), 0


def _slices(body: Sequence[bytes]) -> Iterator[bytes]:
    return (part[start : start + SLICE] for part in body for start in range(0, len(part), SLICE))


def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Raises Repeated."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Repeated
    return found
