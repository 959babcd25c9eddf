# SPDX-License-Identifier: GPL-3.0-or-later
"""A PgBouncer before a PostgreSQL server."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from support.ports import free_port, listens, wait_until
from support.servers.postgres import as_owner


@contextmanager
def pgbouncer(url: str, mode: str) -> Iterator[str]:
    """The URL of the same database through a pooler with this `pool_mode`."""
    address, port = make_url(url), free_port()
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as folder:
        file = Path(folder) / "pgbouncer.ini"
        file.write_text(f"""\
[databases]
* = host={address.host} port={address.port} user={address.username}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 20
""")
        Path(folder).chmod(0o755)
        program = subprocess.Popen(
            ["/usr/sbin/pgbouncer", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **as_owner()
        )
        try:
            wait_until(lambda: listens(port), what="PgBouncer listens")
            yield address.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
        finally:
            program.terminate()
            program.wait()
