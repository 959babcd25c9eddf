# SPDX-License-Identifier: GPL-3.0-or-later
"""The operations of modules and action plugins: they turn options into the result of a task."""
