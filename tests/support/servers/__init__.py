# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers on free loopback ports, and stand-ins where a fault cannot be had otherwise."""
