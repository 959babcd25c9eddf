# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the portal's configuration of a program: `python3 portal_config.py PROGRAM HOST URL <SECRET`."""

import sys

from ddnsd.web.portal.client_configs import Target, configuration

program, fqdn, server = sys.argv[1:]
made = configuration(Target(fqdn, server, sys.stdin.readline().strip()), program)
assert made is not None, program
print(made.parts[0].text, end="")
