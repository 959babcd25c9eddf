# SPDX-License-Identifier: GPL-3.0-or-later
"""Getting it into DNS: UPDATE messages (RFC 2136) signed with TSIG keys, and the BIND that we run or control."""
