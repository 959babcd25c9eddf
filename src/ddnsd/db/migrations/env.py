# SPDX-License-Identifier: GPL-3.0-or-later
"""Alembic runs the migrations on the connection that `ddnsd.db.migrate` hands over."""

from alembic import context

from ddnsd.db.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
