# SPDX-License-Identifier: GPL-3.0-or-later
"""The database: tables, one set of queries for SQLite and PostgreSQL, migrations. No rules."""
