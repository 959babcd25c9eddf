# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl certificate`: makes a key and a request by openssl, and gets the certificate from the service."""

from __future__ import annotations

from pathlib import Path

import click

from ddnsctl import options


@click.command("certificate")
@click.argument("host", metavar="HOST", shell_complete=options.registered("hosts"))
@click.option(
    "--key-file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    required=True,
    help="The private key, PEM. If there is no such file, it is created with a new key and mode 0600.",
)
@click.option(
    "--chain-file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Write the certificate and those of its issuers there, not to standard output.",
)
@click.option("--wildcard", is_flag=True, help="Also for all names below the host, which has a wildcard.")
@options.connection
def command(host: str, key_file: str, chain_file: str | None, wildcard: bool, connection: options.Connection) -> int:
    """Get a TLS certificate for a host from the service. The host needs no address.

    HOST is a registered name, in full or its first label if that is unique. The private key is made here and stays
    here. The service's operator chooses the authority; this takes up to a minute.
    """
    from ddnsctl import output, session
    from ddnsctl.sync import certificates, secret_files
    from ddnsctl.sync.errors import SyncError
    from ddnsctl.sync.rest import RestServer

    opened = session.open_by_names(connection, None, (host,))
    (name,) = session.full_names((host,), opened.registered.hosts)
    if not isinstance(opened.server, RestServer):
        raise SyncError("this service issues no certificates; only ddnsd does")
    key = Path(key_file)
    key_pem = secret_files.read(key)
    is_new = key_pem is None
    if key_pem is None:
        key_pem = certificates.new_key()
    csr = certificates.request(certificates.names_of(name, wildcard=wildcard), key_pem)
    if is_new:  # before the order: a certificate without its key is worth nothing
        secret_files.write(key, key_pem.encode())
    chain = opened.server.certificate(name, csr)
    if chain_file is None:
        click.echo(chain, nl=False)
    else:
        secret_files.write(Path(chain_file), chain.encode(), private=False)
    output.remark(f"{name}: certificate issued" + (f", key created in {key}" if is_new else ""))
    return 0
