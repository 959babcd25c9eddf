# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl completion`"""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="bash|zsh|fish")
def command(shell: str) -> int:
    """Print a script that completes commands, options, and registered names and stacks.

    \b
      bash   source <(ddnsctl completion bash)             in ~/.bashrc
      zsh    source <(ddnsctl completion zsh)              in ~/.zshrc
      fish   ddnsctl completion fish > ~/.config/fish/completions/ddnsctl.fish

    Names and stacks are those of the service in DDNS_SERVER, with the token of DDNS_TOKEN or DDNS_TOKEN_FILE.
    """
    from click.shell_completion import get_completion_class

    from ddnsctl.cli import group

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(group, {}, "ddnsctl", "_DDNSCTL_COMPLETE").source())
    return 0
