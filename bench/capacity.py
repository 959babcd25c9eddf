# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts and handshakes need: the figures of docs/capacity.md."""

import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from support.ports import free_port, listens, wait_until
from support.servers.service import dev

from bench.figure import Figure, Section, number
from bench.large import wait_compared
from bench.many import memory
from bench.plan import Plan, say
from bench.rig import Rig

HANDSHAKE_SECONDS = 5
MEGA = 1e6
KEYS = {"P-256": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "RSA 2048": ("rsa:2048",), "RSA 4096": ("rsa:4096",)}
TEXT = """\
`ddnsd dev` with {sizes} hosts of one zone on SQLite, each with an IPv4 address and a secret. Memory is
resident, of the service after the comparison of zone and database, and of `named`. Then changed updates for {seconds:g}
seconds, which show what one change adds to BIND's journal and, with its history, to the database. A handshake is a new
connection of TLS 1.3 by `openssl s_time` to nginx, without resumption; its time is nginx's processor time."""
NGINX = """\
daemon off; pid {folder}/pid; error_log {folder}/log; worker_processes 1; events {{ }}
http {{
  access_log off;
  {paths}
  server {{
    listen 127.0.0.1:{port} ssl; ssl_protocols TLSv1.3;
    ssl_certificate {folder}/certificate; ssl_certificate_key {folder}/key;
    location / {{ return 200 good; }}
  }}
}}
"""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def section(plan: Plan) -> Section:
    """Each size, then each kind of key."""
    figures: list[Figure] = []
    sizes = [plan.million // 1000, plan.million // 50, plan.million]
    for size in sizes:
        figures += _hosts(plan, size)
    for kind in KEYS:
        figures.append(_handshakes(plan.directory / f"tls-{kind.replace(' ', '-')}", kind))
    text = TEXT.format(sizes=", ".join(map(number, sizes)), seconds=plan.seconds)
    return Section("Capacity", text, figures)


def _hosts(plan: Plan, size: int) -> list[Figure]:
    figures = {
        name: Figure(f"{name}, {number(size)} hosts", unit)
        for name, unit in (
            ("service", "MiB"),
            ("named", "MiB"),
            ("database", "MB"),
            ("zone file", "MB"),
            ("journal, a change", "octets"),
            ("database, a change", "octets"),
        )
    }
    with dev(plan.directory / f"capacity-{size}") as service:
        rig = Rig(service)
        zone = service.dir / "bind" / "zones" / f"{service.domain}.zone"
        journal = zone.with_suffix(".zone.jnl")
        service.stop()
        rig.load("n", size, "admin")
        service.start()
        wait_compared(service)
        figures["service"].add(memory(service, "VmRSS"))
        figures["named"].add(_resident(service.named_pid()))
        before, at_first = _database(rig), journal.stat().st_size if journal.exists() else 0
        figures["database"].add(before / MEGA)
        figures["zone file"].add(zone.stat().st_size / MEGA)
        changes = len(rig.changed(plan.seconds).latencies)
        figures["journal, a change"].add((journal.stat().st_size - at_first) / changes)
        service.stop()
        figures["database, a change"].add((_database(rig) - before) / changes)
    say(figures.values())
    return list(figures.values())


def _database(rig: Rig) -> int:
    """Octets of the SQLite file, with all that its log had."""
    with closing(sqlite3.connect(rig.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return rig.database.stat().st_size


def _resident(pid: int) -> float:
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) / 1024


def _handshakes(folder: Path, kind: str) -> Figure:
    figure = Figure(f"TLS handshake, {kind}", "µs")
    folder.mkdir()
    command = ["openssl", "req", "-x509", "-nodes", "-subj", "/CN=bench", "-newkey", *KEYS[kind]]
    subprocess.run(
        [*command, "-keyout", folder / "key", "-out", folder / "certificate"], check=True, capture_output=True
    )
    with _nginx(folder) as (port, worker):
        before = _processor(worker)
        timed = ["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-time", str(HANDSHAKE_SECONDS)]
        done = subprocess.run([*timed, "-www", "/", "-tls1_3"], check=True, capture_output=True, text=True).stdout
        found = re.search(r"^(\d+) connections in \d+ real seconds", done, re.MULTILINE)
        assert found, done
        figure.add((_processor(worker) - before) / int(found[1]) * MEGA)
    say([figure])
    return figure


@contextmanager
def _nginx(folder: Path) -> Iterator[tuple[int, int]]:
    """The port of nginx, and the process id of its worker."""
    port = free_port()
    paths = " ".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, paths=paths))
    process = subprocess.Popen(["nginx", "-c", folder / "nginx.conf", "-e", folder / "log"])
    try:
        wait_until(lambda: listens(port), what="nginx")
        time.sleep(0.5)  # its worker begins after it listens
        (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield port, int(worker)
    finally:
        process.terminate()
        process.wait()


def _processor(pid: int) -> float:
    """Seconds of processor time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
