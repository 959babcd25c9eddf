# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd`, and `python -m ddnsd`."""

import gc
import sys


def main() -> None:
    """Load the commands, and run one. Garbage collection is off while loading: it would take a fifth of the time."""
    gc.disable()
    try:
        from ddnsd.cli import app
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("ddnsd"):
            raise
        sys.exit("ddnsd needs the server's packages: pip install 'fedcloud-ddns[server]'")

    gc.freeze()
    gc.enable()
    app.main()


if __name__ == "__main__":
    main()
