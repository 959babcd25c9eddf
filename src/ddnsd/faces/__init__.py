# SPDX-License-Identifier: GPL-3.0-or-later
"""What callers see. A face parses, calls the registry, and renders; no rule lives here."""
