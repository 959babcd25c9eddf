# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault of a front's certificate is named, with the next step."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from support.ports import free_port
from support.servers.tls import DAY, Pair, issue, serving

from ddnsd.checks import certificate
from ddnsd.checks.certificate import Certificate, Front
from ddnsd.dns.endpoint import Endpoint

NAME = "ddns.example.org"


@pytest.fixture(scope="module")
def root() -> Pair:
    return issue("Root", authority=True)


@pytest.fixture(scope="module")
def intermediate(root: Pair) -> Pair:
    return issue("Intermediate", root, authority=True)


def authority(folder: Path, root: Pair) -> Path:
    """A file with the root's certificate."""
    file = folder / "root.pem"
    file.write_bytes(root.certificate.public_bytes(Encoding.PEM))
    return file


def of_front(folder: Path, pair: Pair, root: Pair | None = None, *, chain: bool = True) -> Certificate:
    """The result for a front that presents this certificate."""
    files = pair.write(folder, chain=chain)
    trusted = authority(folder, root) if root else None
    with serving(*files) as port:
        return certificate.examine(Front(NAME, Endpoint("127.0.0.1", port), trusted))


def problem(found: Certificate) -> str:
    (finding,) = found.findings
    assert finding.problem is not None
    return finding.problem


def test_a_good_certificate(tmp_path: Path, root: Pair, intermediate: Pair) -> None:
    pair = issue(NAME, intermediate)
    found = of_front(tmp_path, pair, root)
    assert [(one.problem, one.note) for one in found.findings] == [(None, None)]
    assert found.expires == pair.certificate.not_valid_after_utc


def test_one_that_is_self_signed_is_only_noted(tmp_path: Path) -> None:
    (finding,) = of_front(tmp_path, issue(NAME)).findings
    assert finding.problem is None
    assert finding.note is not None
    assert "self-signed" in finding.note


@pytest.mark.parametrize(
    ("begin", "end", "said"),
    [
        (-90 * DAY, -DAY, ("it expired on ", "Renew it", "reload the front")),
        (-80 * DAY, 10 * DAY, ("it expires in 9 days, on ", "was not renewed", "Renew it")),
        (-5 * DAY, DAY, ("it expires in ", "Renew it")),
        (DAY, 90 * DAY, ("valid only from", "clock")),
    ],
)
def test_dates(tmp_path: Path, root: Pair, begin: timedelta, end: timedelta, said: tuple[str, ...]) -> None:
    pair = issue(NAME, root, begin=begin, end=end)
    found = of_front(tmp_path, pair, root)
    assert all(text in problem(found) for text in said), problem(found)
    assert found.expires == pair.certificate.not_valid_after_utc


def test_a_short_one_that_is_renewed_in_time(tmp_path: Path, root: Pair) -> None:
    pair = issue(NAME, root, begin=-3 * DAY, end=3 * DAY)
    assert [one.problem for one in of_front(tmp_path, pair, root).findings] == [None]


def test_another_name(tmp_path: Path, root: Pair) -> None:
    said = problem(of_front(tmp_path, issue("other.example.org", root), root))
    assert "another name" in said
    assert f"Get one for {NAME}" in said


def test_an_incomplete_chain(tmp_path: Path, root: Pair, intermediate: Pair) -> None:
    said = problem(of_front(tmp_path, issue(NAME, intermediate), root, chain=False))
    assert "unknown authority" in said
    assert "intermediate certificates" in said
    assert "DDNSD_TLS_CA" in said


def test_a_front_that_is_down() -> None:
    said = problem(certificate.examine(Front(NAME, Endpoint("127.0.0.1", free_port()))))
    assert "the front does not answer: Connection refused" in said
    assert "`nginx -t`" in said


# ---- files


def of_files(file: Path, key: Path | None = None) -> str | None:
    (finding,) = certificate.examine(Front(NAME, certificate=file, key=key)).findings
    return finding.problem


def test_files_that_fit(tmp_path: Path, intermediate: Pair) -> None:
    pair = issue(NAME, intermediate)
    assert of_files(*pair.write(tmp_path)) is None
    assert certificate.examine(Front(NAME, certificate=tmp_path / "certificate.pem")).expires is not None


def test_a_key_that_does_not_fit(tmp_path: Path, root: Pair) -> None:
    file, key = issue(NAME, root).write(tmp_path)
    (tmp_path / "other").mkdir()
    _, other = issue(NAME, root).write(tmp_path / "other")
    said = of_files(file, other)
    assert said is not None
    assert "does not belong to the certificate" in said
    assert "will not start" in said
    key.write_text("no key")
    assert "cannot be used" in (of_files(file, key) or "")


def test_a_chain_in_the_wrong_order(tmp_path: Path, intermediate: Pair) -> None:
    pair = issue(NAME, intermediate)
    file, _ = pair.write(tmp_path)
    stranger = issue("Stranger", authority=True).certificate
    file.write_bytes(pair.certificate.public_bytes(Encoding.PEM) + stranger.public_bytes(Encoding.PEM))
    said = of_files(file)
    assert said is not None
    assert "CN=ddns.example.org is not issued by the next certificate in the file, CN=Stranger" in said


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in (of_files(tmp_path / "none.pem") or "")
    (tmp_path / "empty.pem").write_text("")
    assert "no PEM file" in (of_files(tmp_path / "empty.pem") or "")


def test_a_renewed_file_that_the_front_does_not_use_yet(tmp_path: Path, root: Pair) -> None:
    with serving(*issue(NAME, root).write(tmp_path)) as port:
        (tmp_path / "new").mkdir()
        file, key = issue(NAME, root).write(tmp_path / "new")
        address = Endpoint("127.0.0.1", port)
        _, stored = certificate.examine(Front(NAME, address, authority(tmp_path, root), file, key)).findings
    assert stored.problem is not None
    assert "Reload the front" in stored.problem
