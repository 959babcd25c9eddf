# SPDX-License-Identifier: GPL-3.0-or-later
"""What can fail around the service: certificate, backups, clock, disks, secondaries, DNSSEC, the database itself."""
