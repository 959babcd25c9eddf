# SPDX-License-Identifier: GPL-3.0-or-later
"""A host: adding it, and everything about it."""

from starlette.routing import Route

from ddnsd.faces.portal.context import Portal


def routes(_portal: Portal) -> list[Route]:
    """The routes."""
    return []
