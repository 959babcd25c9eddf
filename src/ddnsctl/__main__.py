# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m ddnsctl`"""

from ddnsctl.cli import main

main()
