# SPDX-License-Identifier: GPL-3.0-or-later
"""The BIND that we control by `rndc`, or run as our child: its zones, keys, files and catalog."""
