# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m ddnsd`."""

from ddnsd.cli import main

main()
