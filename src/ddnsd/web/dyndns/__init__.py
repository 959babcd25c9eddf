# SPDX-License-Identifier: GPL-3.0-or-later
"""The paths that old clients know: dyndns2, Duck DNS and EGI's Dynamic DNS."""
