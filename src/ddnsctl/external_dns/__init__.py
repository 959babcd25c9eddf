# SPDX-License-Identifier: GPL-3.0-or-later
"""The webhook provider of Kubernetes' external-dns, for `ddnsctl external-dns`."""
