# SPDX-License-Identifier: GPL-3.0-or-later
"""An Ansible callback that prints what Ansible hands to every callback: a line of JSON for each task's result."""

import json
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: lines
type: stdout
short_description: Results as lines of JSON
description: One object for each result, with task, host, status, result.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """The results as callbacks get them: what `no_log` hides is hidden here."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "lines"

    def _line(self, status: str, result: Any) -> None:
        content = result._result
        line = {"task": result._task.get_name(), "host": result._host.get_name(), "status": status, "result": content}
        self._display.display(json.dumps(line, default=str))

    def v2_runner_on_ok(self, result: Any) -> None:
        self._line("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._line("failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._line("unreachable", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._line("skipped", result)
