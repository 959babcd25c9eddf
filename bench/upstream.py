# SPDX-License-Identifier: GPL-3.0-or-later
"""The `nsupdate` package of PyPI behind gunicorn, with a zone of its own on the BIND that the service uses."""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.ports import free_port, listens, wait_until

from bench.bind import Bind

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".cache" / "upstream-venv"
ZONE = "upstream.test"

SERVERS = {
    "2 sync workers": ("--workers=2",),
    "4 sync workers": ("--workers=4",),
    "2 workers of 4 threads, connections kept": ("--workers=2", "--threads=4", "--keep-alive=60"),
    "2 workers of 32 threads, connections kept": ("--workers=2", "--threads=32", "--keep-alive=60"),
}
"""gunicorn's settings that are tried, the best of them counts."""


def install() -> None:
    """Have the venv."""
    subprocess.run([ROOT / "scripts" / "peer-venv", "upstream"], check=True)


@dataclass(frozen=True)
class Upstream:
    """Its database, filled."""

    environment: dict[str, str]
    directory: Path
    secrets: dict[str, str]

    @contextmanager
    def serve(self, server: str) -> Iterator[int]:
        """Run it with one of `SERVERS`; yields its port."""
        port = free_port()
        options = (*SERVERS[server], "--no-control-socket", f"--bind=127.0.0.1:{port}")
        command = [str(VENV / "bin" / "gunicorn"), *options, "nsupdate.wsgi"]
        with (self.directory / "gunicorn.log").open("ab") as log:
            process = subprocess.Popen(command, env=self.environment, cwd=self.directory, stdout=log, stderr=log)
        try:
            wait_until(lambda: listens(port), what="gunicorn")
            yield port
        finally:
            process.terminate()
            process.wait(30)


def prepare(directory: Path, bind: Bind, hosts: int, *, tuned: bool) -> Upstream:
    """Migrate a new database and register `hosts` hosts in the zone, as upstream's own forms do."""
    directory.mkdir(parents=True)
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "bench.upstream_settings",
        "BENCH_SECRET_KEY": secrets.token_hex(32),
        "BENCH_DATABASE": str(directory / "nsupdate.sqlite"),
        "BENCH_DNS_PORT": str(bind.port),
        "BENCH_ZONE": bind.zone,
        "BENCH_ZONE_SECRET": bind.key.secret,
        "BENCH_HOSTS": str(hosts),
        "BENCH_TUNED": "1" if tuned else "",
    }
    _django(environment, "migrate", "--verbosity=0")
    script = Path(__file__).with_name("upstream_hosts.py").read_text()
    printed = _django(environment, "shell", "--verbosity=0", "--command", script)
    return Upstream(environment, directory, json.loads(printed.splitlines()[-1]))


def _django(environment: dict[str, str], *words: str) -> str:
    done = subprocess.run([VENV / "bin" / "django-admin", *words], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"django-admin {words[0]}: {done.stderr[-2000:]}")
    return done.stdout
