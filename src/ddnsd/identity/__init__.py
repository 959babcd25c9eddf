# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is calling, and what they may do."""
