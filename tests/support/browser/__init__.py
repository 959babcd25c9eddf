# SPDX-License-Identifier: GPL-3.0-or-later
"""Browsers: the system's Chromium, and one without scripts."""
