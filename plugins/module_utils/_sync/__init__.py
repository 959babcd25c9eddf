# SPDX-License-Identifier: GPL-3.0-or-later
"""The sync engine: declared hosts and domains against registered ones, a plan, and its application.

Pure Python with the standard library alone; no Ansible, no YAML. I/O enters through `api.Transport`.
"""
