# SPDX-License-Identifier: GPL-3.0-or-later
"""The speed claims, as ratios measured in one run on one machine: `python -m bench`."""
