# SPDX-License-Identifier: GPL-3.0-or-later
"""`/api`: resources as JSON, described by OpenAPI. A route parses, calls the registry, and renders."""
