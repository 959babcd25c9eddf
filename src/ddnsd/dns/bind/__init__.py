# SPDX-License-Identifier: GPL-3.0-or-later
"""Control a BIND by `rndc`, or run one as a child process: zones, keys, files and catalog."""
