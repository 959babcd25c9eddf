# SPDX-License-Identifier: GPL-3.0-or-later
"""Authentication and permissions: who is calling, and what they may do."""
