# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS queries of `ddnsctl apply --verify`."""
