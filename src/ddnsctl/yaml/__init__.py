# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations as YAML: read with positions, written, formatted. `reader.py` is a link to the collection's reader."""
