# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `ddnsd`, with all of its commands."""

import click

from ddnsd.cli import abuse, accounts, database, denylist, dhcp_keys, domains, fleets, hosts, queue, quotas, service
from ddnsd.cli.group import CommandGroup


@click.group(cls=CommandGroup)
@click.version_option(package_name="fedcloud-ddns")
def main() -> None:
    """Dynamic DNS service on BIND."""


COMMANDS = (
    service.serve,
    service.dev_command,
    service.settings_command,
    service.doctor_command,
    service.housekeeping_command,
    service.reconcile,
    database.db,
    database.export_command,
    database.import_command,
    accounts.user,
    quotas.group,
    accounts.token,
    accounts.key,
    domains.domain,
    dhcp_keys.dhcp_key,
    fleets.fleet,
    denylist.deny,
    abuse.abuse,
    hosts.host,
    hosts.related,
    queue.queue,
)
for command in COMMANDS:
    main.add_command(command)
