# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP. A module parses a request, calls the registry and renders the answer. The rules are in the registry."""
