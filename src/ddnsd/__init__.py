# SPDX-License-Identifier: GPL-3.0-or-later
"""The update service.

`web` takes a request, `auth` says who calls, `registry` applies the rules, `db` keeps the result, and `dns` sends it to
the name server.
"""
