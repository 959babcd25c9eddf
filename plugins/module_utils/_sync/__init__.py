# SPDX-License-Identifier: GPL-3.0-or-later
"""The sync engine: compares declared hosts and domains with registered ones, makes a plan, and applies it.

It imports only the standard library: no Ansible, no YAML. HTTP goes through `api.Transport`.
"""
