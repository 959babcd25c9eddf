# SPDX-License-Identifier: GPL-3.0-or-later
"""The path to the name servers: UPDATE messages (RFC 2136) signed with TSIG, one sender per zone, repairs."""
