# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets a Home Assistant integration up as Home Assistant does; runs in the clients' own environment.

Standard input: `{"component", "config" | "file", "url"?, "service"?, "data"?}`; `file` is a configuration.yaml, `url`
replaces the component's address, and `service` of the component is called with `data` afterwards. Standard output:
`{"result", "log", "error"?}`.
"""

import asyncio
import importlib
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

from homeassistant.core import HomeAssistant
from homeassistant.util.yaml import Secrets, load_yaml


class Lines(logging.Handler):
    """Keeps what the integration logs."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname}: {record.getMessage()}")


def _config(task: dict[str, Any]) -> Any:
    if "file" not in task:
        return task["config"]
    file = Path(task["file"])
    return load_yaml(file, Secrets(file.parent))[task["component"]]


async def main(task: dict[str, Any]) -> dict[str, Any]:
    name: str = task["component"]
    answer: dict[str, Any] = {"result": None}
    component: Any = importlib.import_module(f"homeassistant.components.{name}")
    if "url" in task:
        component.UPDATE_URL = task["url"]
    log = Lines()
    logging.getLogger(component.__name__).setLevel(logging.DEBUG)
    logging.getLogger(component.__name__).addHandler(log)

    hass = HomeAssistant(tempfile.gettempdir())
    try:
        config = component.CONFIG_SCHEMA({name: _config(task)})
        answer["result"] = await component.async_setup(hass, config)
        await hass.async_block_till_done()
        if "service" in task:
            await hass.services.async_call(name, task["service"], task["data"], blocking=True)
    except Exception as error:
        answer["error"] = repr(error)
    finally:
        await hass.async_stop(force=True)
    return answer | {"log": log.lines}


if __name__ == "__main__":
    logging.lastResort = None
    json.dump(asyncio.run(main(json.load(sys.stdin))), sys.stdout)
