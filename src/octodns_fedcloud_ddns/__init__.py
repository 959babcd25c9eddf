# SPDX-License-Identifier: GPL-3.0-or-later
"""A provider and a source of octoDNS for a fedcloud.ddns service."""

from importlib.metadata import version

from octodns_fedcloud_ddns.provider import FedcloudDdnsProvider as FedcloudDdnsProvider
from octodns_fedcloud_ddns.provider import FedcloudDdnsSource as FedcloudDdnsSource

__version__ = version("fedcloud-ddns")
