# SPDX-License-Identifier: GPL-3.0-or-later
"""What commands do beside the running service, and what runs daily."""
