# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of webhooks: signatures, and requests to their targets. It knows no hosts and no database."""
