# SPDX-License-Identifier: GPL-3.0-or-later
"""The portal: pages for people, rendered on the server. They work without scripts."""
