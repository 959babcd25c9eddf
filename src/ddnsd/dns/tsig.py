# SPDX-License-Identifier: GPL-3.0-or-later
"""TSIG keys (RFC 8945), in the forms of `named.conf`, `nsupdate -y` and dnspython."""

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property, lru_cache

import dns.name
import dns.tsig

from ddnsd.db.rows import Domain

# Algorithms of new keys, and the octets of their secrets: those of the hash (RFC 8945, section 8).
GENERATED = {"hmac-sha256": 32, "hmac-sha384": 48, "hmac-sha512": 64}

ALGORITHMS = {
    "hmac-md5": dns.tsig.HMAC_MD5,
    "hmac-sha1": dns.tsig.HMAC_SHA1,
    "hmac-sha224": dns.tsig.HMAC_SHA224,
    "hmac-sha256": dns.tsig.HMAC_SHA256,
    "hmac-sha256-128": dns.tsig.HMAC_SHA256_128,
    "hmac-sha384": dns.tsig.HMAC_SHA384,
    "hmac-sha384-192": dns.tsig.HMAC_SHA384_192,
    "hmac-sha512": dns.tsig.HMAC_SHA512,
    "hmac-sha512-256": dns.tsig.HMAC_SHA512_256,
}

_QUOTED_OR_COMMENT = re.compile(r'"[^"\n]*"|/\*.*?\*/|(?://|#)[^\n]*', re.DOTALL)
_CLAUSE = re.compile(r'\bkey\s+"?([^"\s{};]+)"?\s*\{([^{}]*)\}')
_STATEMENT = re.compile(r'([\w-]+)\s+"?([^"\s;]+)"?\s*;')


@dataclass(frozen=True)
class TsigKey:
    """A key's name (lower case, no trailing dot), its algorithm (a key of `ALGORITHMS`) and its secret in base64.

    Raises ValueError for an invalid value. No error and no `repr` shows the secret.
    """

    name: str
    _: KW_ONLY
    algorithm: str = "hmac-sha256"
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _name(self.name))
        object.__setattr__(self, "algorithm", _algorithm(self.algorithm))
        _check_secret(self.name, self.secret)

    @classmethod
    def generate(cls, name: str, algorithm: str = "hmac-sha256") -> "TsigKey":
        """A new key with a random secret as long as the hash; the algorithm is one of `GENERATED`."""
        if algorithm not in GENERATED:
            raise ValueError(f"a new TSIG key uses one of {', '.join(GENERATED)}, not {algorithm!r}")
        secret = base64.b64encode(secrets.token_bytes(GENERATED[algorithm])).decode()
        return cls(name, algorithm=algorithm, secret=secret)

    @classmethod
    def of(cls, domain: Domain) -> "TsigKey":
        """The key of a domain."""
        return _of_row(domain.key_name, domain.key_algorithm, domain.key_secret)

    @classmethod
    def from_text(cls, text: str) -> "TsigKey":
        """Read the one `key` clause of a key file or `named.conf`, or `[algorithm:]name:secret` (`nsupdate -y`)."""
        if "{" in text:
            return cls._from_clause(_QUOTED_OR_COMMENT.sub(_without_comment, text))
        words = text.strip().split(":")
        if len(words) not in (2, 3):
            raise ValueError('a TSIG key is algorithm:name:secret, or key "name" { algorithm …; secret "…"; };')
        algorithm = words[0] if len(words) == 3 else "hmac-sha256"
        return cls(words[-2], algorithm=algorithm, secret=words[-1])

    @classmethod
    def _from_clause(cls, text: str) -> "TsigKey":
        clauses = _CLAUSE.findall(text)
        if len(clauses) != 1:
            raise ValueError(f"expected one key clause (key NAME {{ algorithm …; secret …; }};), found {len(clauses)}")
        name, body = clauses[0]
        statements = dict(_STATEMENT.findall(body))
        if missing := {"algorithm", "secret"} - statements.keys():
            raise ValueError(f"TSIG key {name}: it has no {' and no '.join(sorted(missing))}")
        return cls(name, algorithm=statements["algorithm"], secret=statements["secret"])

    @property
    def fingerprint(self) -> str:
        """Tells keys of the same name apart: the first 8 hexadecimal digits of the SHA-256 of the secret."""
        return hashlib.sha256(base64.b64decode(self.secret)).hexdigest()[:8]

    def to_text(self) -> str:
        """The clause that `named.conf`, `rndc -k` and `nsupdate -k` read."""
        return f'key "{self.name}" {{\n\talgorithm {self.algorithm};\n\tsecret "{self.secret}";\n}};\n'

    @cached_property
    def dnspython(self) -> dns.tsig.Key:
        """The key that `dns.message.Message.use_tsig` takes."""
        return dns.tsig.Key(dns.name.from_text(self.name), self.secret, ALGORITHMS[self.algorithm])


@lru_cache(4096)
def _of_row(name: str, algorithm: str, secret: str) -> TsigKey:
    """Cached, because a check of its values takes as long as a signature."""
    return TsigKey(name, algorithm=algorithm, secret=secret)


def _name(name: str) -> str:
    normal = name.lower().removesuffix(".")
    try:
        dns.name.from_text(normal)
    except dns.exception.DNSException:
        normal = ""
    # Narrower than RFC 8945: the name ends up in quotes in configuration files.
    if not re.fullmatch(r"[a-z0-9_.-]+", normal):
        raise ValueError(
            f"{name!r} is not a valid name for a TSIG key: it must be a domain name of letters, digits, - and _"
        )
    return normal


def _algorithm(algorithm: str) -> str:
    normal = algorithm.lower().removesuffix(".").removesuffix(".sig-alg.reg.int")
    if normal not in ALGORITHMS:
        raise ValueError(f"unknown TSIG algorithm {algorithm!r}: use one of {', '.join(ALGORITHMS)}")
    return normal


def _check_secret(name: str, secret: str) -> None:
    try:
        octets = base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"TSIG key {name}: the secret is not base64") from None
    if not octets:
        raise ValueError(f"TSIG key {name}: the secret is empty")


def _without_comment(match: re.Match[str]) -> str:
    return match[0] if match[0].startswith('"') else " "
