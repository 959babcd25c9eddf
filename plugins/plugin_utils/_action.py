# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the modules in the controller's own process, which saves the start of Python.

A task runs here if its connection is local. Otherwise the module runs on the task's host, which may be the only one
that can reach the service. The variable `ddns_in_process` overrides this. Asynchronous tasks, and tasks that become
another user and write files, always run as modules.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.errors import UnsupportedError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ..module_utils._ansible.secret_writer import Vault
from ..module_utils._ansible.spec import Spec
from ..module_utils._ansible.task import Operation, failure, perform
from ..module_utils._sync.errors import SyncError

VARIABLE = "ddns_in_process"


class DdnsAction(ActionBase):  # type: ignore[misc]
    """Base class of the action plugins. Each has the name of its module."""

    _supports_async = True

    spec: ClassVar[Spec]
    writes_files: ClassVar[bool] = False

    @abstractmethod
    def operation(self) -> Operation:
        """The operation to run in this process. Raises SyncError."""

    def options(self) -> dict[str, Any]:
        """The task's options, to validate here."""
        return dict(self._task.args)

    def module_args(self) -> Mapping[str, Any]:
        """The options for the module. Raises SyncError."""
        args: Mapping[str, Any] = self._task.args
        return args

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The task's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        if self._in_process(variables):
            with environment(self._environment()):
                return {**result, **self._here()}
        try:
            args = dict(self.module_args())
        except SyncError as error:
            return {**result, **failure(error)}
        answer = self._execute_module(module_args=args, task_vars=variables, wrap_async=self._task.async_val)
        return {**result, **answer}

    def _in_process(self, variables: Mapping[str, Any]) -> bool:
        if self._task.async_val:
            return False
        chosen = self._templar.template(variables.get(VARIABLE))
        if chosen is not None:
            return bool(boolean(chosen))
        local: bool = self._connection.transport == "local"
        return local and not (self.writes_files and self._connection.become)

    def _environment(self) -> dict[str, str]:
        found: dict[str, Any] = {}
        self._compute_environment_string(found)
        return {name: str(value) for name, value in found.items()}

    def _here(self) -> dict[str, Any]:
        """Run like the module: validate the options, and remove secret options from the result."""
        checked = ArgumentSpecValidator(**self.spec.arguments()).validate(self.options())
        params = checked.validated_parameters
        if checked.error_messages:
            result = {"failed": True, "msg": self._error_text(checked.errors)}
        else:
            result = self._result(params)
        if not result.get("warnings"):
            result.pop("warnings", None)
        plain = {name: value for name, value in result.items() if value is None or isinstance(value, bool)}
        result["invocation"] = {"module_args": params}
        return {**remove_values(result, checked._no_log_values), **plain}

    def _error_text(self, errors: Any) -> str:
        """The errors of the options, worded as in `AnsibleModule`."""
        kind = f"Unsupported parameters for ({self._task.action}) module: "
        return (kind if isinstance(errors[0], UnsupportedError) else "") + str(errors.msg)

    def _result(self, params: Mapping[str, Any]) -> dict[str, Any]:
        try:
            operation = self.operation()
        except SyncError as error:
            return failure(error)
        return perform(operation, params, self._task.check_mode, Vault(self._encrypted, self._decrypted))

    def _encrypted(self, content: bytes) -> bytes:
        """The content, encrypted with the first password of the play's vault. Raises SyncError."""
        try:
            encrypted: bytes = self._loader._vault.encrypt(content)
        except AnsibleError as error:
            raise SyncError(f"ansible-vault: {error}. Use --vault-password-file or --vault-id") from None
        return encrypted

    def _decrypted(self, content: bytes) -> bytes:
        """The plain content, if one of the passwords of the play's vault fits. Raises SyncError."""
        try:
            decrypted: bytes = self._loader._vault.decrypt(content)
        except AnsibleError as error:
            raise SyncError(f"ansible-vault: {error}") from None
        return decrypted


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set the task's environment variables while it runs. A worker runs one task at a time."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
