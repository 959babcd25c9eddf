# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddnsd`: run the service, and administer what it keeps. Commands parse, call one function, and print.

Exit codes: 0 done · 1 error · 2 `reconcile --check` found a difference (and wrong usage, as every Click program).
"""
