# SPDX-License-Identifier: GPL-3.0-or-later
"""The YAML reader that the controller's plugins and `ddnsctl` share, and what composes declarations.

The modules in `src/ddnsctl/yaml` with the same names are links to these, except `problems.py`.
"""
