# SPDX-License-Identifier: GPL-3.0-or-later
"""Argument specifications that can be added."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible.module_utils.basic import env_fallback


@dataclass(frozen=True)
class Spec:
    """The options of a module and the rules between them. The fields have the names of `AnsibleModule`."""

    argument_spec: Mapping[str, Any] = field(default_factory=dict)
    mutually_exclusive: Sequence[Sequence[str]] = ()
    required_together: Sequence[Sequence[str]] = ()
    required_one_of: Sequence[Sequence[str]] = ()
    required_if: Sequence[Sequence[Any]] = ()
    required_by: Mapping[str, Any] = field(default_factory=dict)

    def __add__(self, other: Spec) -> Spec:
        """The options and rules of both."""
        return Spec(
            {**self.argument_spec, **other.argument_spec},
            (*self.mutually_exclusive, *other.mutually_exclusive),
            (*self.required_together, *other.required_together),
            (*self.required_one_of, *other.required_one_of),
            (*self.required_if, *other.required_if),
            {**self.required_by, **other.required_by},
        )

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `AnsibleModule` and of `ArgumentSpecValidator`."""
        return {
            "argument_spec": {name: dict(option) for name, option in self.argument_spec.items()},
            "mutually_exclusive": [list(names) for names in self.mutually_exclusive],
            "required_together": [list(names) for names in self.required_together],
            "required_one_of": [list(names) for names in self.required_one_of],
            "required_if": [list(rule) for rule in self.required_if],
            "required_by": dict(self.required_by),
        }


CONNECTION = Spec(
    {
        "api_url": {"type": "str", "required": True, "fallback": (env_fallback, ["DDNS_SERVER"])},
        "api_token": {"type": "str", "required": True, "no_log": True, "fallback": (env_fallback, ["DDNS_TOKEN"])},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
        "timeout": {"type": "int", "default": 30},
    }
)
"""Options for the connection to the service."""


def state(*choices: str) -> Spec:
    """The option `state`; the first choice is the default."""
    return Spec({"state": {"type": "str", "choices": list(choices), "default": choices[0]}})
