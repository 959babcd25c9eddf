# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl import`"""

from __future__ import annotations

import click

from ddnsctl import options, output


@click.command("import")
@click.option("--domain", metavar="NAME", help="Only hosts in this domain.")
@click.option("--stack", metavar="NAME", help="Declare this stack, and what is registered for it.")
@click.option("--adopt", is_flag=True, help="With --stack: also hosts of no stack, which the next apply takes over.")
@click.option("--dynamic", is_flag=True, help="Leave all addresses to the hosts' own updaters.")
@click.option("-o", "--out", metavar="FILE", type=click.Path(), help="Write to a new file instead of standard output.")
@options.connection
def command(
    domain: str | None,
    stack: str | None,
    adopt: bool,
    dynamic: bool,
    out: str | None,
    connection: options.Connection,
) -> int:
    """Write a declaration of what is registered for you. Hosts of other users, which an administrator sees, stay out.

    A plan of it has nothing to do, unless --adopt is used: then it takes over the hosts that belong to no stack, and
    changes nothing else.
    """
    from ddnsctl import importing, session
    from ddnsctl.sync.errors import SyncError

    if adopt and stack is None:
        raise SyncError("--adopt needs --stack: it says which stack takes the hosts over")
    opened = session.open_session(connection, None, session.NO_FILE)
    choice = importing.Choice(domain, stack, adopt=adopt, dynamic=dynamic, server=opened.url)
    text = importing.declaration(opened.registered, opened.server.capabilities, choice)
    if out is None:
        click.echo(text, nl=False)
    else:
        importing.write(text, out)
        output.remark(f"Written to {out}.")
    return 0
