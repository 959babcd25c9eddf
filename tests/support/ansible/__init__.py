# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible as a user runs it."""
