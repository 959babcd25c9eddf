# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `ddnsd`: run and administer the service. Commands parse options, call one function, and print.

Exit codes: 0 done · 1 error · 2 `reconcile --check` found a difference (and wrong usage, as every Click program).
"""
