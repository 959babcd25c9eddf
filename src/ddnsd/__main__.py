# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd`, and `python -m ddnsd`."""

import gc


def main() -> None:
    """Load the commands, and run one. Garbage collection is off while loading: it would take a fifth of the time."""
    gc.disable()
    from ddnsd.cli import app

    gc.freeze()
    gc.enable()
    app.main()


if __name__ == "__main__":
    main()
