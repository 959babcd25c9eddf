# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages, a module for each part of the portal: each has `routes(portal) -> list[Route]`."""
