# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages for people, rendered here; nothing on them needs a script."""
