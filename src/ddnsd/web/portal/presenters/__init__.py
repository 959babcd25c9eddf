# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of the registry as pages show them: words for people, coordinates of charts."""
