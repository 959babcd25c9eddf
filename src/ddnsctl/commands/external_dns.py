# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl external-dns`"""

from __future__ import annotations

import click

from ddnsctl import options


def _listener(_context: click.Context, _option: click.Parameter, value: str) -> tuple[str, int] | None:
    """Callback of options with an address and a port."""
    from ipaddress import ip_address

    host, _, port = value.rpartition(":")
    try:
        found = str(ip_address(host.removeprefix("[").removesuffix("]"))), int(port)
    except ValueError:
        raise click.BadParameter("write ADDRESS:PORT, such as 127.0.0.1:8888 or [::1]:8888") from None
    if not 0 < found[1] < 65536:
        raise click.BadParameter("the port must be from 1 to 65535")
    return found


@click.command("external-dns")
@click.option(
    "--listen",
    metavar="ADDRESS:PORT",
    default="127.0.0.1:8888",
    callback=_listener,
    help="Where external-dns connects; 127.0.0.1:8888 by default. Anybody who can connect there can change the stack.",
)
@click.option(
    "--probes",
    metavar="ADDRESS:PORT",
    default="0.0.0.0:8080",
    callback=_listener,
    help="Where /healthz and /metrics are; 0.0.0.0:8080 by default.",
)
@click.option("--stack", metavar="NAME", required=True, help="Owns the hosts that external-dns makes.")
@options.connection
def command(connection: options.Connection, listen: tuple[str, int], probes: tuple[str, int], stack: str) -> int:
    """Serve external-dns of Kubernetes as its webhook provider, until it is ended.

    Run it beside external-dns in one pod, and start external-dns with --provider=webhook and --registry=noop. Only
    hosts of the stack are shown to external-dns, and only they are changed.
    """
    import signal
    import threading

    from ddnsctl import session
    from ddnsctl.external_dns.provider import Provider
    from ddnsctl.external_dns.server import Routes, serve
    from ddnsctl.output import remark
    from ddnsctl.sync import names
    from ddnsctl.sync.errors import SyncError

    try:
        folded = names.stack(stack)
    except ValueError as error:
        raise SyncError(f"--stack: {error}") from None
    session.address(connection, None, session.NO_FILE)
    routes = Routes(Provider(lambda: session.connect(connection, None, session.NO_FILE).server, folded, remark), remark)
    servers = [serve(routes, routes.webhook, *listen), serve(routes, routes.probes, *probes)]
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    remark(f"serving external-dns at http://{listen[0]}:{listen[1]}, stack {folded}")
    ended.wait()
    for server in servers:
        server.shutdown()
        server.server_close()
    return 0
