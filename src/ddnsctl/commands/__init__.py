# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of `ddnsctl`, one module each.

Functions import what they need when they run, so that `--help` and completion stay fast.
"""
