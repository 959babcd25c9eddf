# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of a Dynamic DNS service that send changes without pause, and what must be true of it afterwards."""
