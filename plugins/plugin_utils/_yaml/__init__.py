# SPDX-License-Identifier: GPL-3.0-or-later
"""The YAML reader that the controller's plugins and `ddnsctl` share.

`src/ddnsctl/yaml/reader.py` is a link to `reader.py`, beside a `problems.py` of its own.
"""
