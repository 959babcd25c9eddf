# SPDX-License-Identifier: GPL-3.0-or-later
"""`make audit` without a network: which versions an advisory affects, and what is no export."""

import json
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests
from support.scripts import script


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    return script("audit")


def advisory(**affected: Any) -> dict[str, Any]:
    package = {"name": "Some.Package", "ecosystem": "PyPI"}
    return {"id": "PYSEC-1", "affected": [{"package": package, **affected}]}


def within(*events: dict[str, str]) -> dict[str, Any]:
    return {"ranges": [{"type": "ECOSYSTEM", "events": list(events)}]}


@pytest.mark.parametrize(
    ("affected", "yes", "no"),
    [
        ({"versions": ["1.0", "1.1"]}, ["1.0", "1.1"], ["1.2"]),
        (within({"introduced": "0"}, {"fixed": "1.10"}), ["0.1", "1.9", "1.10rc1"], ["1.10", "2.0"]),
        (within({"introduced": "1"}, {"last_affected": "1.5"}), ["1.0", "1.5"], ["0.9", "1.5.1"]),
        (
            within({"fixed": "3.1"}, {"introduced": "3"}, {"fixed": "2.2"}, {"introduced": "2"}),
            ["2.1", "3"],
            ["2.5", "3.1"],
        ),
        (within({"introduced": "1"}), ["1", "99"], ["0.9"]),
        ({"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}, [], ["1"]),
    ],
)
def test_versions(audit: ModuleType, affected: dict[str, Any], yes: list[str], no: list[str]) -> None:
    advisories = audit.Advisories([advisory(**affected)])
    assert [version for version in yes + no if advisories.of("some-package", version)] == yes
    assert advisories.of("other", "1") == []


def test_it_answers_as_the_service_does(audit: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "all.zip"
    with zipfile.ZipFile(file, "w") as export:
        export.writestr("PYSEC-1.json", json.dumps(advisory(versions=["1.0"])))
        export.writestr(
            "GHSA.json", json.dumps({"id": "GHSA", "affected": [{"package": {"ecosystem": "npm", "name": "x"}}]})
        )
    advisories = audit.read(file)
    assert len(advisories) == 1
    server = audit.serve(advisories)
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/v1/query"

        def asked(name: str, version: str) -> Any:
            query = {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
            return requests.post(url, data=json.dumps(query), timeout=10).json()

        (found,) = asked("some-package", "1.0")["vulns"]
        assert (found["id"], found["affected"][0]["package"]["name"]) == ("PYSEC-1", "some-package")
        assert asked("some-package", "1.1") == {}
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("content", [None, b"", b"no archive", "empty"])
def test_what_is_no_export_is_an_error(
    audit: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | str | None
) -> None:
    file = tmp_path / "all.zip"
    if content == "empty":
        zipfile.ZipFile(file, "w").close()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    assert audit.main([str(file)]) == 2
    assert audit.SOURCE in capsys.readouterr().err
