# SPDX-License-Identifier: GPL-3.0-or-later
"""Django settings of the upstream service: its production ones, with what an operator has to fill in.

With BENCH_TUNED=1 also what makes it faster: a write-ahead log, kept connections to the database, no log of requests.
A commit stays as durable as ours (synchronous=FULL).
"""

import functools
import os

import dns.query
import dns.resolver
from nsupdate.settings import prod
from nsupdate.settings.prod import *  # noqa: F403

SECRET_KEY = os.environ["BENCH_SECRET_KEY"]
DATABASES: dict[str, dict[str, object]] = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["BENCH_DATABASE"]}
}
BASEDOMAIN = "bench.test"
WWW_HOST = WWW_IPV4_HOST = WWW_IPV6_HOST = "127.0.0.1"
ALLOWED_HOSTS = [WWW_HOST]
if os.environ.get("BENCH_TUNED"):
    prod.LOGGING["loggers"] = {}
    DATABASES["default"] |= {
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        },
    }

# It knows name servers on port 53 only.
_PORT = int(os.environ["BENCH_DNS_PORT"])
dns.query.tcp = functools.partial(dns.query.tcp, port=_PORT)


class _Resolver(dns.resolver.Resolver):
    def reset(self) -> None:
        super().reset()
        self.port = _PORT


dns.resolver.Resolver = _Resolver  # type: ignore[misc]
