# SPDX-License-Identifier: GPL-3.0-or-later
"""The fixed paths that old clients use: dyndns2, Duck DNS and EGI's Dynamic DNS."""
