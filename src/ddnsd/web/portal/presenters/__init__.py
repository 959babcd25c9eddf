# SPDX-License-Identifier: GPL-3.0-or-later
"""What the portal's pages show of hosts, histories and numbers, in words and coordinates."""
