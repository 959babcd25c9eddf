# SPDX-License-Identifier: GPL-3.0-or-later
"""The Dynamic DNS service.

`web` receives a request, `auth` identifies the caller, `registry` applies the rules, `db` stores the result, and `dns`
sends it to the name server.
"""
