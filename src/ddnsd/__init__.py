# SPDX-License-Identifier: GPL-3.0-or-later
"""The update service: a request enters `faces`, is someone in `identity`, is ruled on in `registry`,
becomes records in `zones` and is kept in `store`."""
