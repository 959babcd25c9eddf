# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP: a module parses a request, calls the registry, and renders the answer. No rule is here."""
