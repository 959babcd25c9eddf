# SPDX-License-Identifier: GPL-3.0-or-later
"""Systemd machines without a container engine: an overlay mount, a network namespace, and systemd-nspawn in both."""
