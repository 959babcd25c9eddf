# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines with systemd on this host."""
