# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a name or an RRset is not in DNS as ours: a code with the name where the obstacle is.

The `conflict` columns of the database store `delegated lab.example.org`. `str()` of an obstacle is the English sentence
for the API, the commands, the log and the history; the portal translates by code.
"""

from dataclasses import dataclass
from enum import Enum, unique
from typing import Self


@unique
class Kind(Enum):
    """The codes, as they are stored."""

    UNMANAGED = "unmanaged"
    DELEGATED = "delegated"
    REDIRECTED = "redirected"
    ALIAS = "alias"
    DNAME = "dname"
    DHCP = "dhcp"
    BESIDE = "beside"
    TEXT = "text"
    """A sentence of a name server that refuses the records, or of an earlier version. It is stored without a code."""

    @property
    def sentence(self) -> str:
        """The English sentence, with `%(name)s` for the name."""
        return _SENTENCES[self]

    def at(self, name: str) -> "Obstacle":
        """The obstacle at a name."""
        return Obstacle(self, name if _NAME in self.sentence else "")


_NAME = "%(name)s"

_SENTENCES = {
    Kind.UNMANAGED: "the name is in the zone and is not ours",
    Kind.DELEGATED: "%(name)s is delegated to other name servers (NS record)",
    Kind.REDIRECTED: "names below %(name)s are redirected (DNAME record)",
    Kind.ALIAS: "%(name)s is an alias that is not ours (CNAME record)",
    Kind.DNAME: "%(name)s has a DNAME record that is not ours",
    Kind.BESIDE: "%(name)s has other records, so it cannot be an alias",
    Kind.DHCP: "the name belongs to DHCP (DHCID)",
    Kind.TEXT: _NAME,
}

_KINDS = {kind.value: kind for kind in Kind if kind is not Kind.TEXT}


@dataclass(frozen=True)
class Obstacle:
    """What prevents a name or an RRset from being in DNS as ours; `name` is the sentence of a TEXT."""

    kind: Kind
    name: str = ""

    @classmethod
    def from_stored(cls, text: str) -> Self:
        """The obstacle of a `conflict` column."""
        code, _, name = text.partition(" ")
        kind = _KINDS.get(code)
        if kind is None or " " in name or bool(name) != (_NAME in kind.sentence):
            return cls(Kind.TEXT, text)
        return cls(kind, name)

    @property
    def stored(self) -> str:
        """The text for a `conflict` column."""
        if self.kind is Kind.TEXT:
            return self.name
        return f"{self.kind.value} {self.name}".rstrip()

    def __str__(self) -> str:
        return self.kind.sentence % {"name": self.name}


UNMANAGED = Obstacle(Kind.UNMANAGED)


def sentence(stored: str | None) -> str | None:
    """The English sentence for the value of a `conflict` column."""
    return None if stored is None else str(Obstacle.from_stored(stored))
