# SPDX-License-Identifier: GPL-3.0-or-later
"""A reader of large JSON texts, value by value. No sender can make it use much memory or time at once.

`json.loads` builds the whole result before the caller can check it: 16 MiB of `[]` become five million lists, take a
gigabyte, and block all other threads. This reader decodes one slice at a time, and limits a value to `VALUE`.
"""

import codecs
import json
import re
import time
from collections.abc import Iterable, Iterator
from typing import Any

SLICE = 16 * 1024
"""Octets that are decoded at a time, unless a value is longer."""

VALUE = 128 * 1024
"""Maximum number of characters in one value. The largest valid change, fully escaped, has half as many."""


_BLANKS = re.compile(r"[ \t\n\r]*")


class NotJson(ValueError):
    """the text is not JSON"""


class Repeated(NotJson):
    """an object has a member twice"""


class TooLong(ValueError):
    """a value is too long"""


class Reader:
    """Reads a text, which comes in parts, from start to end. Each method raises NotJson, TooLong."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._slices = _slices(body)
        self._next = next(self._slices, None)
        self._text, self._at = "", 0
        self._utf8 = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder(object_pairs_hook=members)

    def begins(self, character: str) -> bool:
        """Whether this character comes next. If so, read it."""
        found = self._peek() == character
        self._at += found
        return found

    def expect(self, character: str) -> None:
        """Read this character."""
        if not self.begins(character):
            raise NotJson

    def end(self) -> None:
        """Check that the text ends here."""
        if self._peek():
            raise NotJson

    def value(self) -> Any:
        """Read the next value."""
        self._peek()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._at)
            except Repeated:
                raise
            except (ValueError, RecursionError):
                end = -1
            # a value at the end of the slice may continue in the next one: 1 or 1. may become 1.5
            if end >= 0 and (self._is_last() or self._text[end : end + 1] not in ("", ".", "e", "E")):
                self._at = end
                return value
            if self._is_last():
                raise NotJson
            if len(self._text) - self._at > VALUE:
                raise TooLong
            self._more()

    def items(self) -> Iterator[Any]:
        """The values of an array whose opening bracket has been read."""
        if self.begins("]"):
            return
        while True:
            yield self.value()
            if not self.begins(","):
                break
        self.expect("]")

    def names(self) -> Iterator[str]:
        """The names of an object whose opening brace has been read. The caller must read the value after each name."""
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
        """The next character that is not a blank; "" at the end."""
        while True:
            if match := _BLANKS.match(self._text, self._at):
                self._at = match.end()
            if self._at < len(self._text) or self._is_last():
                return self._text[self._at : self._at + 1]
            self._more()

    def _is_last(self) -> bool:
        return self._next is None

    def _more(self) -> None:
        time.sleep(0)  # let other threads run now, before they have to wait
        parts = [self._text[self._at :]]
        octets, enough = 0, max(SLICE, len(parts[0]))  # doubled, so that a long value is not parsed again per slice
        while self._next is not None and octets < enough:
            part, self._next = self._next, next(self._slices, None)
            octets += len(part)
            try:
                parts.append(self._utf8.decode(part, final=self._next is None))
            except UnicodeDecodeError:
                raise NotJson from None
        self._text, self._at = "".join(parts), 0


def _slices(body: Iterable[bytes]) -> Iterator[bytes]:
    return (part[start : start + SLICE] for part in body for start in range(0, len(part), SLICE))


def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as an object. Raises Repeated."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Repeated
    return found
