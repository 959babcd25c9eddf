# SPDX-License-Identifier: GPL-3.0-or-later
"""Registered domains, hosts and users, and the rules for them. Independent of HTTP."""
