# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl user-data`"""

from __future__ import annotations

from typing import Any

import click

from ddnsctl import options


@click.command("user-data")
@click.argument("host")
@click.option("--enrol", is_flag=True, help="Put in a token that works once; the machine makes its own secret.")
@click.option(
    "--lifetime",
    metavar="SECONDS",
    type=click.IntRange(60, 604_800),
    help="With --enrol: until when the machine must have booted; an hour by default, a week at most.",
)
@click.option("--secret-file", metavar="FILE", type=click.Path(), help="Put in the secret that this file holds.")
@click.option("--new-secret", is_flag=True, help="Put in a new secret; the host's old one is void at once.")
@click.option(
    "--form",
    type=click.Choice(["unit", "runcmd"]),
    default="unit",
    metavar="FORM",
    help="unit: the updater with a timer (the default). runcmd: one call of curl at the first boot, less safe.",
)
@click.option("--no-updater", is_flag=True, help="Leave out the updater: the machine's image has it, by the role.")
@click.option("-o", "--out", metavar="FILE", type=click.Path(), help="Write to a file of mode 0600.")
@options.connection
def command(connection: options.Connection, no_updater: bool, **kwargs: Any) -> int:
    """Print cloud-init user data for the machine of a host.

    From its first boot the machine keeps the addresses of HOST, a full registered name, as they are.

    Exactly one of --enrol, --secret-file and --new-secret says where its secret comes from. Who can read the user data
    of a machine, such as everything that runs on it, can read a secret in it; a token is worth nothing once the machine
    has booted. EGI's Dynamic DNS makes no tokens. With --secret-file no token of yours is needed, and nobody is asked.

    With --form runcmd the secret stands in the command line of curl for a moment, and the address is sent once.

    EC2 takes 16384 bytes of user data, less than the updater needs: there, use an image that has it (--no-updater).
    """
    from ddnsctl import firstboot

    choice = firstboot.Choice(updater=not no_updater, **kwargs)
    firstboot.keep(firstboot.make(choice, connection), choice.out)
    return 0
