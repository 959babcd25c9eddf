# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of a certificate authority with ACME (RFC 8555). It knows no hosts and no DNS."""
