# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible callback: prints how long each task took, with all items of its loop."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: durations
type: aggregate
short_description: Print how long each task took
description: Writes one line for each task, with its name and seconds.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "durations"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._task, self._begin = "", 0.0

    def v2_playbook_on_task_start(self, task: Any, **_options: Any) -> None:
        self._end()
        self._task, self._begin = task.get_name(), time.perf_counter()

    def v2_playbook_on_stats(self, *_stats: Any) -> None:
        self._end()

    def _end(self) -> None:
        if self._task:
            self._display.display(f"seconds of {self._task}: {time.perf_counter() - self._begin:.4f}")
