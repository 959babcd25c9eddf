# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers that the tests start on free loopback ports and stop again."""
