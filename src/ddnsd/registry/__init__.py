# SPDX-License-Identifier: GPL-3.0-or-later
"""What is registered, and the rules for it: domains, hosts, names, addresses, abuse, audit. It knows no HTTP."""
