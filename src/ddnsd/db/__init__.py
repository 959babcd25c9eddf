# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept: tables, one set of queries for SQLite and PostgreSQL, migrations. It knows no rules."""
