# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of the registry for display in pages: texts, and coordinates of charts."""
