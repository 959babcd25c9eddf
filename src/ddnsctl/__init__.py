# SPDX-License-Identifier: GPL-3.0-or-later
"""The declarative sync tool `ddnsctl`."""
