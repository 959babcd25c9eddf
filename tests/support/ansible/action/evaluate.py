# SPDX-License-Identifier: GPL-3.0-or-later
"""The action `evaluate`: the outcomes of many conditions and templates with the variables of one task.

`file` is a JSON file with `conditions`, each as `when` takes it, and `texts` by name. The answer's `outcomes` are lists
of a name, a status and a text: a task for each of them would take a hundred times as long.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template


class ActionModule(ActionBase):  # type: ignore[misc]
    """Evaluates what the file has."""

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The outcomes, in the order of the file."""
        given = json.loads(Path(self._task.args["file"]).read_text())
        outcomes = [
            [f"{number}: {condition}", *_outcome(self._holds, condition)]
            for number, condition in enumerate(given["conditions"])
        ]
        outcomes += [[name, *_outcome(self._text, text)] for name, text in given["texts"].items()]
        return {**super().run(tmp, task_vars), "changed": False, "outcomes": outcomes}

    def _holds(self, condition: Any) -> str:
        parts = condition if isinstance(condition, list) else [condition]
        holds = all(self._templar.evaluate_conditional(conditional=_trusted(part)) for part in parts)
        return "holds" if holds else "does not hold"

    def _text(self, text: str) -> str:
        return str(self._templar.template(_trusted(text)))


def _trusted(value: Any) -> Any:
    return trust_as_template(value) if isinstance(value, str) else value


def _outcome(work: Callable[[Any], str], given: Any) -> tuple[str, str]:
    try:
        return "ok", work(given)
    except AnsibleError as error:
        return "failed", str(error)
