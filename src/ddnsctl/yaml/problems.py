# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's errors, as `reader.py` imports them in `ddnsctl`."""

from __future__ import annotations

from ddnsctl.sync.errors import DeclarationError, Location, Problem

__all__ = ["DeclarationError", "Location", "Problem"]
