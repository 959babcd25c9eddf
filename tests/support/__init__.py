# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests share: real servers, clients, a browser, Ansible and machines."""
