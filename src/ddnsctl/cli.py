# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsctl`: finds the command, runs it, and prints errors. Each command is a module in `commands`.

Exit codes: 0 success, or nothing to do · 1 error, also of usage · 2 differences (`plan`, `check`) · 3 refused by a
safety rule · 4 partly applied · 5 stale plan · 6 somebody else applies the stack · 130 interrupted · 141 the reader of
a pipe has closed it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from ddnsctl import output

COMMANDS = (
    "validate",
    "plan",
    "check",
    "apply",
    "destroy",
    "import",
    "show",
    "quotas",
    "rotate",
    "certificate",
    "user-data",
    "external-dns",
    "fmt",
    "completion",
)
MODULES = {"import": "import_", "user-data": "user_data", "external-dns": "external_dns"}
INTERRUPTED = 130
COMPLETION = "_DDNSCTL_COMPLETE"
PIPE_CLOSED = 141
"""As a program that ends by SIGPIPE."""
EPILOG = """\b
A declaration, and how to apply it:
  version: 1
  stack: web-prod
  hosts:
    www.dyn.example.org: {ipv4: 192.0.2.10, wildcard: true}
\b
  $ export DDNS_SERVER=https://ddns.example.org DDNS_TOKEN=ddns_…
  $ ddnsctl plan web.yml
  $ ddnsctl apply web.yml

Exit codes: 0 success, or nothing to do; 1 error; 2 differences (plan, check); 3 refused by a safety rule; 4 partly
applied (apply --resume continues); 5 the saved plan is stale; 6 somebody else applies the stack."""


class Commands(click.Group):
    """Imports a command's module when the command is needed."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The commands in the order in which a user needs them."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, or None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"ddnsctl.commands.{MODULES.get(cmd_name, cmd_name)}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As Click, with a suggestion for a misspelt command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, 1)
            hint = f"did you mean {close[0]}?" if close else f"the commands are {', '.join(COMMANDS)}"
            raise click.UsageError(f"no such command: {args[0]} ({hint})", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": False},
)
@click.version_option(package_name="fedcloud-ddns", prog_name="ddnsctl")
@click.option("--debug", is_flag=True, envvar="DDNSCTL_DEBUG", help="Show tracebacks of errors.")
@click.pass_context
def group(ctx: click.Context, debug: bool) -> None:
    """Manage the hosts of a Dynamic DNS service from a declaration in YAML."""
    ctx.color = output.wants_colour()
    ctx.find_root().meta["debug"] = debug


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code. Errors are printed on one line, with --debug as a traceback."""
    gc.disable()  # a short run frees little memory, and collection would take a third of its time
    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    from ddnsctl.sync.errors import SyncError

    debug = "--debug" in arguments or bool(os.environ.get("DDNSCTL_DEBUG"))
    rest = [a for i, a in enumerate(arguments) if a != "--debug" or "--" in arguments[:i]]
    try:
        code = int(group.main(rest, prog_name="ddnsctl", standalone_mode=False) or 0)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # as `head` leaves it; what is still buffered would be an error at exit
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except SystemExit:  # Click ends so for completion, and with exit code 1 for a closed pipe
        if COMPLETION in os.environ:
            raise
        return PIPE_CLOSED
    except click.Abort:
        output.error("interrupted")
        return INTERRUPTED
    except click.ClickException as error:
        output.error(_usage(error))
        return 1
    except (SyncError, OSError, UnicodeError) as error:
        if debug:
            raise
        return output.failure(error)
    except Exception as error:
        if debug:
            raise
        output.error(f"unexpected {type(error).__name__}: {error}. Run again with --debug, and report the traceback")
        return 1


def _usage(error: click.ClickException) -> str:
    text = error.format_message()
    text = text[:1].lower() + text[1:].removesuffix(".")
    context = getattr(error, "ctx", None)
    return f"{text} (see {context.command_path} --help)" if context else text
