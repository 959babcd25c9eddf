# SPDX-License-Identifier: GPL-3.0-or-later
"""The port for DNS UPDATE (RFC 2136): nsupdate, ACME clients, routers and DHCP servers send signed changes."""
