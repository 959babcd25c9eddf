# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages. Each module has view functions, and lists them in `ROUTES`."""
