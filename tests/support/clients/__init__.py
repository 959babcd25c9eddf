# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of the service, and what they see."""
