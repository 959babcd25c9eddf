# SPDX-License-Identifier: GPL-3.0-or-later
"""`ddns_key` and `ddns_token`: a credential with a name and rights, whose secret the service returns only once.

Another one replaces it if its secret is not in the declared file. If its rights differ, a key is changed. A token is
replaced, because the service cannot change it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping
from urllib.parse import quote

from .._sync import secret_files
from .._sync.api import object_in
from .._sync.errors import DeclarationError, Problem, ServerError, SyncError
from .._sync.rest import RestServer
from .resource import Note, difference, rest_server
from .secret_writer import Encrypt
from .spec import CONNECTION, Spec, state
from .task import Failed, Task

SPEC = (
    CONNECTION
    + state("present", "absent", "rotated")
    + Spec(
        {
            "name": {"type": "str", "required": True},
            "secret": {
                "type": "dict",
                "no_log": False,
                "options": {"file": {"type": "path"}, "vault": {"type": "path"}},
                "mutually_exclusive": [("file", "vault")],
                "required_one_of": [("file", "vault")],
            },
            "return_secrets": {"type": "bool", "default": False, "no_log": False},
        }
    )
)

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """Keys or tokens."""

    noun: str
    path: str
    identity: str
    """The field that identifies one in the path."""
    rights: tuple[str, ...]
    """The fields that a new one is created with, besides `name`."""
    secret: Callable[[Fields], str]
    """What to keep of the answer to a creation."""
    is_in: Callable[[str, Fields], bool]
    """Whether the content of a file is the secret of a registered one, as far as that can be seen."""
    canonical: Callable[[Fields], dict[str, Any]]
    """Equal rights are equal, whatever their order and notation."""
    edits: bool = False
    """Whether the service changes the rights of a registered one."""
    has_ended: Callable[[Fields], bool] = lambda _registered: False


def run(task: Task, kind: Kind, wanted: Fields) -> dict[str, Any]:
    """Result keys: changed, diff, warnings, `kind.noun` (if present), secret (if one was made and is asked for).

    `wanted` has the given rights.
    """
    wanted = kind.canonical(wanted)
    server = rest_server(task, f"{kind.noun}s")
    name = task.params["name"]
    found = [item for item in server.items(kind.path) if item["name"] == name]
    if task.params["state"] == "absent":
        return _remove(task, kind, server, found)
    if len(found) > 1:
        text = f"{len(found)} {kind.noun}s have the name {name}"
        raise SyncError(f"{text}: delete all but one of them, or all with `state: absent`")
    return _Present(task, kind, server, wanted, found[0] if found else None).run()


def _remove(task: Task, kind: Kind, server: RestServer, found: list[dict[str, Any]]) -> dict[str, Any]:
    rights = _rights(kind, found[0]) if found else None
    for item in [] if task.check else found:
        server.call("DELETE", _path(kind, item))
    return {"changed": bool(found), "diff": difference(_subject(kind, task.params["name"]), rights, None)}


class _Present:
    def __init__(
        self, task: Task, kind: Kind, server: RestServer, wanted: Fields, registered: dict[str, Any] | None
    ) -> None:
        self.task, self.kind, self.server, self.wanted, self.registered = task, kind, server, wanted, registered
        self.file = _SecretFile(task.params["secret"] or {}, task.encrypt)

    def run(self) -> dict[str, Any]:
        if self.registered is not None and not self.needs_another(self.registered):
            return self.edit(self.registered)
        self.check()
        before = None if self.registered is None else _rights(self.kind, self.registered)
        text = "new secret" if before is None else "new secret, replaces the present one"
        after = {**self.former_rights(), **self.wanted, "secret": Note(f"({text}{self.file.shown()})")}
        subject = _subject(self.kind, self.task.params["name"])
        result = {"changed": True, "diff": difference(subject, before, after)}
        if self.task.check:
            predicted = {**(self.registered or {}), "name": self.task.params["name"], **self.wanted}
            return {**result, self.kind.noun: predicted}
        return {**result, **self.replace()}

    def edit(self, registered: dict[str, Any]) -> dict[str, Any]:
        """Change the rights that differ. The secret stays."""
        rights = _rights(self.kind, registered)
        changes = {right: value for right, value in self.wanted.items() if value != rights[right]}
        shown = difference(_subject(self.kind, registered["name"]), rights, {**rights, **changes})
        if changes and not self.task.check:
            registered = object_in(self.server.call("PATCH", _path(self.kind, registered), changes))
        return {"changed": bool(changes), "diff": shown, self.kind.noun: {**registered, **changes}}

    def needs_another(self, registered: Fields) -> bool:
        """Whether only another one can be as declared, or its secret is not in the file."""
        if self.task.params["state"] == "rotated":
            return True
        rights = _rights(self.kind, registered)
        differs = not self.kind.edits and {**rights, **self.wanted} != rights
        if differs or self.kind.has_ended(registered):
            return True
        return not self.file.has(lambda content: self.kind.is_in(content, registered))

    def check(self) -> None:
        """Raises SyncError if the secret could not be kept."""
        noun, name = self.kind.noun, self.task.params["name"]
        if not (self.file.path or self.task.params["return_secrets"]):
            text = f"the {noun} {name} needs a new secret, but it would not be stored anywhere, so nothing was changed"
            raise SyncError(f"{text}: set `secret: {{file: …}}`, or `return_secrets`")
        self.file.check(name, replaces=self.registered is not None)

    def former_rights(self) -> dict[str, Any]:
        """What a new one has that is not declared: as before, but not an end in the past."""
        if self.registered is None:
            return {}
        rights = _rights(self.kind, self.registered)
        return {**rights, "expires": None} if self.kind.has_ended(self.registered) else rights

    def replace(self) -> dict[str, Any]:
        """Create one with the declared rights and the present ones of the one that it replaces."""
        noun, name = self.kind.noun, self.task.params["name"]
        content = {"name": name, **self.former_rights(), **self.wanted}
        if self.registered is not None:
            content["replaces"] = self.registered[self.kind.identity]
        made = object_in(self.server.call("POST", self.kind.path, content))
        try:
            secret = self.kind.secret(made)
        except KeyError:
            raise ServerError(f"{self.server.url}{self.kind.path} sent no secret") from None
        try:
            self.file.write(secret)
        except OSError as error:
            text = f"the secret of the {noun} {name} could not be written ({error.strerror or error}) and is lost"
            raise Failed(f"{text}: run the task again", {"changed": True}) from error
        shown = {field: value for field, value in made.items() if field not in ("secret", "token", "tsig")}
        returned = {} if self.file.path else {"secret": secret}
        return {noun: shown, **returned}


class _SecretFile:
    """The declared file for a secret; none if `path` is None."""

    def __init__(self, declared: Mapping[str, str | None], encrypt: Encrypt | None) -> None:
        self._kind, given = next(((kind, path) for kind, path in declared.items() if path), ("", None))
        self.path = Path(given).absolute() if given else None
        self._encrypt = encrypt

    def shown(self) -> str:
        return f" → {self._kind} {self.path}" if self.path else ""

    def has(self, is_it: Callable[[str], bool]) -> bool:
        """Whether the secret is there. That of an encrypted file cannot be compared. Without a file, it is."""
        if self.path is None:
            return True
        try:
            content = secret_files.read(self.path)
        except OSError as error:
            raise SyncError(f"secret: {self.path}: {error.strerror or error}") from error
        return content is not None and (self._kind == "vault" or is_it(content))

    def check(self, name: str, *, replaces: bool) -> None:
        """Raises SyncError if the file cannot be written."""
        if self.path is None:
            return
        if problems := secret_files.check([secret_files.Destination(name, self.path, replaces)]):
            raise DeclarationError(problems)
        if self._kind == "vault":
            self._encrypted(b"a secret")

    def write(self, secret: str) -> None:
        """Write the secret and a line break. Raises OSError, SyncError."""
        if self.path is not None:
            content = f"{secret}\n".encode()
            secret_files.write(self.path, self._encrypted(content) if self._kind == "vault" else content)

    def _encrypted(self, content: bytes) -> bytes:
        if self._encrypt is None:
            hint = "run the task there, with `delegate_to: localhost`, or name a `file`"
            raise DeclarationError([Problem("secret.vault: only the controller can encrypt secrets", hint=hint)])
        return self._encrypt(content)


def _rights(kind: Kind, item: Fields) -> dict[str, Any]:
    return kind.canonical({field: item[field] for field in kind.rights})


def _path(kind: Kind, item: Fields) -> str:
    return f"{kind.path}/{quote(str(item[kind.identity]), safe='')}"


def _subject(kind: Kind, name: str) -> str:
    return f"{kind.noun} {name}"
