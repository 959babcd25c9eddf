# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of `ddnsctl`, a module each; what they need to run is imported when they run."""
