# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations of commands and pages: doctor, export and import, hosts and domains, daily retention."""
